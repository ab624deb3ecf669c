"""Salted credentials, and the server's side of SCRAM against kafka-python's client."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.net.sasl import get_sasl_mechanism

from wiremask.proxy.cli import main
from wiremask.proxy.sasl.credentials import Credentials, CredentialsUnusable, Verifier
from wiremask.proxy.sasl.scram import ScramServer
from wiremask.proxy.sasl.termination import PlainServer
from wiremask.proxy.sasl.verdict import LoginRefused, Verified

MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "credentials"
    lines = [f"alice:{Verifier.make('secret', mechanism, iterations=4096)}" for mechanism in MECHANISMS]
    path.write_text("# clients\n\n" + "\n".join(lines) + "\n")
    return path


def client(mechanism: str, name: str, password: str) -> Any:
    made = get_sasl_mechanism(mechanism)
    return made(sasl_mechanism=mechanism, sasl_plain_username=name, sasl_plain_password=password)


async def scram(server: ScramServer, one: Any) -> Verified | None:
    answer, nobody = await server.step(one.auth_bytes())
    one.receive(answer)
    answer, verified = await server.step(one.auth_bytes())
    one.receive(answer)
    assert nobody is None
    return verified


@pytest.mark.parametrize("mechanism", MECHANISMS)
async def test_a_client_with_the_password_logs_in_and_trusts_the_server(file: Path, mechanism: str) -> None:
    server = ScramServer(Credentials(file, use="test"), mechanism)
    one = client(mechanism, "alice", "secret")

    verified = await scram(server, one)

    assert verified == Verified(name="alice")
    assert one.is_authenticated()


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("name", "password"), [("alice", "wrong"), ("bob", "secret")])
async def test_another_password_or_name_is_refused_in_the_same_words(
    file: Path, mechanism: str, name: str, password: str
) -> None:
    server = ScramServer(Credentials(file, use="test"), mechanism)

    with pytest.raises(LoginRefused, match="name is not known, or the password is another"):
        await scram(server, client(mechanism, name, password))


async def test_an_unknown_name_has_a_salt_that_stays_the_same(file: Path) -> None:
    credentials = Credentials(file, use="test")
    asked = [await ScramServer(credentials, "SCRAM-SHA-256").step(b"n,,n=bob,r=abc") for _ in range(2)]

    salts = [re.search(rb"s=([^,]+)", answer) for answer, _ in asked]

    assert salts[0] is not None
    assert salts[1] is not None
    assert salts[0][1] == salts[1][1]


async def test_a_proof_cannot_be_used_twice(file: Path) -> None:
    credentials = Credentials(file, use="test")
    one = client("SCRAM-SHA-256", "alice", "secret")
    first = one.auth_bytes()
    server, other = ScramServer(credentials, "SCRAM-SHA-256"), ScramServer(credentials, "SCRAM-SHA-256")
    one.receive((await server.step(first))[0])
    proof = one.auth_bytes()
    await other.step(first)

    with pytest.raises(LoginRefused):
        await other.step(proof)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"n,,n=alice,r=abc", b"c=biws,r=abc,p=AAAA"]), max_size=3))
async def test_hostile_tokens_are_refused_or_answered(tokens: list[bytes]) -> None:
    credentials = Credentials.__new__(Credentials)
    credentials._verifiers, credentials._decoy = {}, bytes(32)
    server = ScramServer(credentials, "SCRAM-SHA-256")

    for token in tokens:
        try:
            _, verified = await server.step(token)
        except LoginRefused:
            return
        assert verified is None


@pytest.mark.parametrize(
    ("token", "is_let_in"),
    [
        (b"\0alice\0secret", True),
        (b"alice\0alice\0secret", True),
        (b"bob\0alice\0secret", False),
        (b"\0alice\0wrong", False),
        (b"\0bob\0secret", False),
        (b"\0alice", False),
        (b"\0alice\0secret\0", False),
        (b"\0\xff\0secret", False),
    ],
)
async def test_plain_is_checked_against_the_same_file(file: Path, token: bytes, is_let_in: bool) -> None:
    server = PlainServer(Credentials(file, use="test"))

    try:
        _, verified = await server.step(token)
    except LoginRefused:
        verified = None

    assert (verified == Verified(name="alice")) is is_let_in


@pytest.mark.parametrize(
    "line",
    [
        "alice",
        "alice:secret",
        ":SCRAM-SHA-256$4096:YQ==$YQ==:YQ==",
        "alice:SCRAM-SHA-1$4096:YQ==$YQ==:YQ==",
        "alice:SCRAM-SHA-256$1:YQ==$" + "A" * 43 + "=:" + "A" * 43 + "=",
        "alice:SCRAM-SHA-256$4096:YQ==$YQ==:YQ==",
        "alice:SCRAM-SHA-256$x:YQ==$YQ==:YQ==",
    ],
)
def test_a_line_that_is_none_is_named_and_not_quoted(file: Path, line: str) -> None:
    credentials = Credentials(file, use="test")
    file.write_text(f"# clients\n{line}\n")

    with pytest.raises(CredentialsUnusable) as raised:
        credentials.reload()

    assert f"{file}:2" in str(raised.value)
    assert "YQ==" not in str(raised.value)
    assert credentials.find("alice", "SCRAM-SHA-256") is not None


def test_a_name_twice_for_a_mechanism_is_refused(file: Path) -> None:
    file.write_text(file.read_text() * 2)

    with pytest.raises(CredentialsUnusable, match="twice"):
        Credentials(file, use="test")


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_command_makes_a_line(
    mechanism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("a password\n"))

    code = main(["credential", "alice", "--mechanism", mechanism, "--iterations", "4096"])

    (tmp_path / "file").write_text(capsys.readouterr().out)
    verifier = Credentials(tmp_path / "file", use="test").find("alice", mechanism)
    assert code == 0
    assert verifier is not None
    assert verifier.is_of("a password")


@pytest.mark.parametrize("arguments", [["a:b"], ["#a"], ["alice", "--mechanism", "PLAIN"], ["alice"]])
def test_the_command_says_what_it_cannot_use(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))

    code = main(["credential", *arguments])

    assert code == 2
    assert capsys.readouterr().out == ""
