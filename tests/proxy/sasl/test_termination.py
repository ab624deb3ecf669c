"""Clients log in at the proxy: who they are decides what they read, and until then they read nothing."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import pytest
from kafka.net.sasl import get_sasl_mechanism
from structlog.testing import capture_logs

from support.batches import write_batch
from support.issuer import AUDIENCE, ISSUER, Issuer, first_message
from support.login import handshake_frame, plain, token_frame
from support.requests import fetch_frame, plain_frame
from support.scripted import HEAD, Peer, Stage, fetched, proxied
from wiremask.protocol import api as apis
from wiremask.proxy.sasl.credentials import Verifier

LIST_GROUPS = 16
CLEAR = b'{"ssn":"123-45-6789"}'
UNSUPPORTED_MECHANISM, FAILED = 33, 58


def rules(condition: str) -> str:
    """`condition` reads clear, all others a redaction."""
    return HEAD + (
        f"rules:\n  - {{name: exempt, topics: [payments], at: [fetch], when: {{client: '{condition}'}},"
        " value: {format: json, fields: [{path: $.ssn, mask: keep}]}}\n"
        "  - {name: ssn, topics: [payments], at: [fetch], value: {format: json, fields: [{path: $.ssn, mask: redact}]}}\n"
    )


FRAUD = rules('principal == "User:fraud"')


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def logins(tmp_path: Path, issuer: Issuer) -> dict[str, Any]:
    lines = [
        f"{name}:{Verifier.make(f'{name}-password', 'SCRAM-SHA-512', iterations=4096)}\n" for name in ("fraud", "bob")
    ]
    (tmp_path / "credentials").write_text("".join(lines))
    return {
        "mechanisms": ["PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"],
        "credentials": str(tmp_path / "credentials"),
        "bearer": {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "jwksFile": str(issuer.write(tmp_path / "keys.json")),
        },
    }


def settings(logins: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"listener_settings": {"sasl": {**logins, **more}}}


def code(frame: bytes | None) -> int:
    """The error code of an answer to a step of a login."""
    assert frame is not None
    (found,) = struct.unpack_from(">h", frame, 4)
    return int(found)


def answered(frame: bytes | None) -> bytes:
    """The token in an answer, which is of version 1."""
    assert code(frame) == 0
    assert frame is not None
    (size,) = struct.unpack_from(">i", frame, 8)
    return frame[12 : 12 + size]


async def offered(client: Peer, mechanism: str) -> int:
    await client.send(handshake_frame(mechanism))
    return code(await client.read())


async def log_in(client: Peer, token: bytes, mechanism: str = "PLAIN") -> int:
    """Hands one token over; the code of the answer."""
    assert await offered(client, mechanism) == 0
    await client.send(token_frame(token))
    return code(await client.read())


async def read_ssn(stage: Stage, client: Peer) -> bytes:
    await client.send(fetch_frame("payments", version=11))
    await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: write_batch([CLEAR])}}))
    told = await client.read()
    assert told is not None
    return CLEAR if CLEAR in told else b"masked"


@pytest.mark.parametrize(("name", "reads"), [("fraud", CLEAR), ("bob", b"masked")])
async def test_plain_tells_who_a_client_is(logins: dict[str, Any], name: str, reads: bytes) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()

        told = await log_in(client, plain(name, f"{name}-password"))
        read = await read_ssn(stage, client)

        assert (told, read) == (0, reads)


async def test_scram_tells_who_a_client_is(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()
        name = "SCRAM-SHA-512"
        made = get_sasl_mechanism(name)
        one = made(sasl_mechanism=name, sasl_plain_username="fraud", sasl_plain_password="fraud-password")

        assert await offered(client, name) == 0
        while not one.is_done():
            await client.send(token_frame(one.auth_bytes()))
            one.receive(answered(await client.read()))

        assert await read_ssn(stage, client) == CLEAR


@pytest.mark.parametrize(
    ("condition", "claims", "reads"),
    [
        ('claims.team == "fraud"', {"team": "fraud"}, CLEAR),
        ('claims.team == "fraud"', {"team": "sales"}, b"masked"),
        ('claims.team == "fraud"', {}, b"masked"),
        ('"fraud" in claims.groups', {"groups": ["sales", "fraud"]}, CLEAR),
        ('claims.clearance > 2 && principal == "User:alice"', {"clearance": 3}, CLEAR),
        ('claims.team == "fraud"', {"team": "fraud\u0000"}, b"masked"),
        ('claims.team == "fraud"', {"team": "fraud", "other": 2**70}, b"masked"),
    ],
)
async def test_claims_of_a_token_decide_what_is_read(
    logins: dict[str, Any], issuer: Issuer, condition: str, claims: dict[str, Any], reads: bytes
) -> None:
    async with proxied(rules(condition), **settings(logins)) as stage:
        client = await stage.connect()

        told = await log_in(client, first_message(issuer.token("alice", **claims)), "OAUTHBEARER")
        read = await read_ssn(stage, client)

        assert (told, read) == (0, reads)


async def test_claims_of_a_client_without_a_token_are_not_known(logins: dict[str, Any]) -> None:
    async with proxied(rules('claims.team == "fraud"'), **settings(logins)) as stage:
        client = await stage.connect()
        await log_in(client, plain("fraud", "fraud-password"))

        assert await read_ssn(stage, client) == b"masked"


@pytest.mark.parametrize(
    ("token", "mechanism"),
    [
        (plain("fraud", "wrong"), "PLAIN"),
        (plain("nobody", "wrong"), "PLAIN"),
        (b"n,,n=fraud", "SCRAM-SHA-512"),
        (b"n,,\1auth=Bearer abc\1\1", "OAUTHBEARER"),
    ],
)
async def test_a_refused_login_is_told_and_ends_the_connection(
    logins: dict[str, Any], token: bytes, mechanism: str
) -> None:
    with capture_logs() as logs:
        async with proxied(FRAUD, **settings(logins)) as stage:
            client = await stage.connect()

            told = await log_in(client, token, mechanism)

            assert told == FAILED
            assert await client.read() is None
            assert await stage.broker.hears_nothing()
    (line,) = [line for line in logs if line["event"] == "login refused"]
    assert "fraud" not in line["error"]


@pytest.mark.parametrize("login", ["none", "begun"])
async def test_before_the_login_nothing_is_forwarded(logins: dict[str, Any], login: str) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()
        if login == "begun":
            await offered(client, "PLAIN")

        await client.send(fetch_frame("payments", version=11))

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


async def test_requests_sent_behind_a_token_wait_for_what_comes_of_it(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        right, wrong = await stage.connect(), await stage.connect()
        for client in (right, wrong):
            await offered(client, "PLAIN")
        request = plain_frame(LIST_GROUPS, 2)

        await right.send(token_frame(plain("fraud", "fraud-password")) + request)
        asked = await stage.broker.asked()
        await wrong.send(token_frame(plain("fraud", "wrong")) + request)

        assert asked.header.api.key == LIST_GROUPS
        assert code(await right.read()) == 0
        assert code(await wrong.read()) == FAILED
        assert await stage.broker.hears_nothing()


async def test_versions_are_asked_of_the_broker_before_the_login(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()

        await client.send(plain_frame(apis.API_VERSIONS, 0))

        assert (await stage.broker.asked()).header.api.key == apis.API_VERSIONS


async def test_another_mechanism_may_be_tried_after_one_that_is_not_taken(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()

        first = await offered(client, "GSSAPI")
        second = await log_in(client, plain("fraud", "fraud-password"))

        assert (first, second) == (UNSUPPORTED_MECHANISM, 0)


@pytest.mark.parametrize("frame", [handshake_frame("PLAIN", 0), token_frame(plain("fraud", "fraud-password"))])
async def test_bare_tokens_and_tokens_without_a_handshake_are_refused(logins: dict[str, Any], frame: bytes) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()

        await client.send(frame)
        told = await client.read()

        assert told is None or code(told) != 0
        assert await client.read() is None


async def test_a_login_that_is_not_finished_in_time_is_closed(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, login_seconds=0.2, **settings(logins)) as stage:
        nothing, begun, done = [await stage.connect() for _ in range(3)]
        await offered(begun, "PLAIN")
        await log_in(done, plain("fraud", "fraud-password"))

        assert await nothing.read() is None
        assert await begun.read() is None
        assert await read_ssn(stage, done) == CLEAR


async def test_a_client_logs_in_again_and_is_closed_if_it_does_not(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins, sessionSeconds=1)) as stage:
        client = await stage.connect()
        assert await offered(client, "PLAIN") == 0
        await client.send(token_frame(plain("fraud", "fraud-password")))
        told = await client.read()
        assert told is not None

        lifetime_ms = int.from_bytes(told[-8:], "big")
        again = await log_in(client, plain("fraud", "fraud-password"))
        read = await read_ssn(stage, client)

        assert (lifetime_ms, again, read) == (1000, 0, CLEAR)
        assert await client.read() is None


async def test_a_client_that_logs_in_again_stays_who_it_is(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()
        first = await log_in(client, plain("bob", "bob-password"))

        second = await log_in(client, plain("fraud", "fraud-password"))

        assert (first, second) == (0, FAILED)
        assert await client.read() is None


async def test_nothing_but_the_login_may_come_while_a_client_logs_in_again(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        client = await stage.connect()
        await log_in(client, plain("fraud", "fraud-password"))
        await offered(client, "PLAIN")

        await client.send(fetch_frame("payments", version=11))

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


async def test_tokens_in_a_stream_of_bytes_never_crash(logins: dict[str, Any]) -> None:
    async with proxied(FRAUD, **settings(logins)) as stage:
        for mechanism in ("PLAIN", "SCRAM-SHA-512", "OAUTHBEARER"):
            for token in (b"", b"\xff" * 100, b"\0" * 70_000):
                client = await stage.connect()
                assert await log_in(client, token, mechanism) == FAILED
                assert await client.read() is None
        await asyncio.sleep(0)
        assert not stage.shared.open
