"""Access tokens of clients: what is good, what is not, and where the keys come from."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from support.authority import Authority
from support.issuer import AUDIENCE, ISSUER, Endpoint, Issuer, first_message
from support.login import unsigned_jwt
from wiremask.proxy.sasl.bearer import NEW_KEY_PAUSE_S, BearerConfig, BearerServer, IssuerKeys, KeysUnusable
from wiremask.proxy.sasl.verdict import LoginRefused, Verified

CLOCKS_APART = 30


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def config(**places: Any) -> BearerConfig:
    return BearerConfig.model_validate({"issuer": ISSUER, "audience": AUDIENCE, **places})


async def log_in(settings: BearerConfig, keys: IssuerKeys, token: str, *, claim: str = "sub") -> Verified | None:
    _, verified = await BearerServer(settings, keys, principal_claim=claim).step(first_message(token))
    return verified


@pytest.fixture
def of_file(issuer: Issuer, tmp_path: Path) -> tuple[BearerConfig, IssuerKeys]:
    made = config(jwksFile=str(issuer.write(tmp_path / "keys.json")))
    return made, IssuerKeys(made, use="test")


async def test_a_good_token_tells_who_the_client_is(issuer: Issuer, of_file: tuple[BearerConfig, IssuerKeys]) -> None:
    verified = await log_in(*of_file, issuer.token("alice", team="fraud", aud=["other", AUDIENCE]))

    assert verified is not None
    assert verified.name == "alice"
    assert verified.claims is not None
    assert verified.claims.values["team"] == "fraud"
    assert verified.lasts_s == pytest.approx(600 + CLOCKS_APART, abs=10)


async def test_another_claim_may_be_the_name(issuer: Issuer, of_file: tuple[BearerConfig, IssuerKeys]) -> None:
    verified = await log_in(*of_file, issuer.token("1234", email="a@example.com"), claim="email")

    assert verified is not None
    assert verified.name == "a@example.com"


NOW = int(time.time())


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 3600},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": NOW + 3600},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"sub": None},
        {"sub": ""},
        {"headers": {"kid": "unknown"}},
        {"headers": {"crit": ["x"], "x": 1}},
    ],
    ids=[
        "over",
        "no end",
        "no number",
        "not yet",
        "issuer",
        "no issuer",
        "audience",
        "no audience",
        "no name",
        "empty name",
        "unknown key",
        "critical header",
    ],  # of their own: parallel workers must agree, and the time is in the values
)
async def test_a_token_that_is_not_good_lets_nobody_in(
    issuer: Issuer, of_file: tuple[BearerConfig, IssuerKeys], claims: dict[str, Any]
) -> None:
    with pytest.raises(LoginRefused) as raised:
        await log_in(*of_file, issuer.token("alice", **claims))

    assert "alice" not in str(raised.value)


async def test_a_token_that_nobody_or_another_signed_lets_nobody_in(
    issuer: Issuer, of_file: tuple[BearerConfig, IssuerKeys]
) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "exp": NOW + 600}
    forged = [
        unsigned_jwt(**claims),
        jwt.encode(claims, b"a secret that everybody knows by now", "HS256", headers={"kid": "first"}),
        Issuer().token("alice"),
        issuer.token("alice")[:-6] + "AAAAAA",
    ]

    for token in forged:
        with pytest.raises(LoginRefused):
            await log_in(*of_file, token)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
async def test_hostile_tokens_are_refused(data: bytes, is_framed: bool) -> None:
    made = config(jwksFile="/nowhere")
    keys = IssuerKeys.__new__(IssuerKeys)
    keys._config, keys._keys = made, {}
    token = b"n,,\1auth=Bearer " + data + b"\1\1" if is_framed else data

    with pytest.raises(LoginRefused):
        await BearerServer(made, keys, principal_claim="sub").step(token)


@pytest.mark.parametrize("text", ["", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}', "{"])
def test_a_file_without_a_public_key_cannot_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.json").write_text(text)

    with pytest.raises(KeysUnusable, match=r"keys\.json"):
        IssuerKeys(config(jwksFile=str(tmp_path / "keys.json")), use="test")


@pytest.mark.parametrize(
    "places", [{}, {"jwksFile": "a", "jwksUrl": "https://b"}, {"jwksUrl": "http://b"}, {"jwksUrl": "https://u:p@b"}]
)
def test_keys_are_in_one_place_that_can_be_trusted(places: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        config(**places)


async def test_keys_of_an_address_are_kept_and_asked_for_when_a_new_one_is_named(tmp_path: Path) -> None:
    authority, issuer, endpoint = Authority(tmp_path), Issuer(), Endpoint()
    issued = authority.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.certificate, issued.key)
    now = [1000.0]
    async with endpoint.serve(tls) as url:
        made = config(jwksUrl=url, ca=str(authority.ca))
        keys = IssuerKeys(made, use="test", clock=lambda: now[0])

        endpoint.status = "503 Busy"
        with pytest.raises(LoginRefused):
            await log_in(made, keys, issuer.token("alice"))
        endpoint.status, endpoint.answer = "200 OK", issuer.key_set()
        now[0] += NEW_KEY_PAUSE_S
        for _ in range(3):
            assert await log_in(made, keys, issuer.token("alice")) is not None
        asked = [len(endpoint.requests)]
        issuer.rotate("second", kind="RSA")
        endpoint.answer = issuer.key_set()
        for _ in range(3):
            with pytest.raises(LoginRefused):  # so soon after the last time
                await log_in(made, keys, issuer.token("alice"))
        now[0] += NEW_KEY_PAUSE_S
        assert await log_in(made, keys, issuer.token("alice")) is not None
        asked.append(len(endpoint.requests))
        now[0] += 301
        endpoint.answer = "not a set"
        assert await log_in(made, keys, issuer.token("alice")) is not None
        asked.append(len(endpoint.requests))

    assert asked == [2, 3, 4]


async def test_an_address_that_cannot_be_trusted_gives_no_keys(tmp_path: Path) -> None:
    authority, issuer, endpoint = Authority(tmp_path), Issuer(), Endpoint()
    issued = Authority(tmp_path, "stranger").issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.certificate, issued.key)
    endpoint.answer = issuer.key_set()
    async with endpoint.serve(tls) as url:
        made = config(jwksUrl=url, ca=str(authority.ca))

        with pytest.raises(LoginRefused):
            await log_in(made, IssuerKeys(made, use="test"), issuer.token("alice"))

    assert endpoint.requests == []
