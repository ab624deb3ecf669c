"""The proxy logs in at the brokers: before a client's first request, and again before the login ends."""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from support.authority import Authority
from support.issuer import Endpoint
from support.login import handshake_answer, handshake_frame, token_answer
from support.requests import plain_frame
from support.scripted import Asked, Stage, metadata, proxied
from wiremask.protocol import api as apis
from wiremask.protocol.messages.sasl import SaslAuthenticateRequest, make_authenticate_response
from wiremask.proxy.health import Health
from wiremask.proxy.probe import Probe
from wiremask.proxy.sasl.credentials import Credentials, Verifier
from wiremask.proxy.sasl.initiation import Initiation, InitiationConfig
from wiremask.proxy.sasl.scram import ScramServer
from wiremask.proxy.sasl.tokens import ClientCredentialsConfig, TokenSource, TokenUnavailable
from wiremask.proxy.secret import SecretConfig

LIST_GROUPS = 16
PASSWORD = "a password of the proxy"


@pytest.fixture
def plain(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    return {"mechanism": "PLAIN", "username": "proxy", "password": {"file": str(tmp_path / "password")}}


def token_of(asked: Asked) -> bytes:
    return bytes(SaslAuthenticateRequest.read(asked.body, 1).token or b"")


async def let_in(stage: Stage, *, lifetime_ms: int = 0) -> bytes:
    """Plays a broker that lets the proxy in; gives the token of PLAIN."""
    handshake = await stage.broker.asked()
    assert handshake.header.api.key == apis.SASL_HANDSHAKE
    await stage.broker.answer(handshake, handshake_answer())
    asked = await stage.broker.asked()
    await stage.broker.answer(asked, make_authenticate_response(1, lifetime_ms=lifetime_ms))
    return token_of(asked)


async def test_a_client_without_a_login_is_served_with_the_proxy_s(plain: dict[str, Any]) -> None:
    async with proxied(upstream_settings={"sasl": plain}) as stage:
        client = await stage.connect()
        await client.send(plain_frame(LIST_GROUPS, 2))

        token = await let_in(stage)
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, b"groups")

        assert token == b"proxy\0proxy\0" + PASSWORD.encode()
        assert asked.header.api.key == LIST_GROUPS
        told = await client.read()
        assert told is not None
        assert told.endswith(b"groups")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("name", ["proxy", "a,b=c"])
async def test_scram(tmp_path: Path, plain: dict[str, Any], mechanism: str, name: str) -> None:
    (tmp_path / "users").write_text(f"{name}:{Verifier.make(PASSWORD, mechanism, iterations=4096)}\n")
    server = ScramServer(Credentials(tmp_path / "users", use="broker"), mechanism)
    sasl = {**plain, "mechanism": mechanism, "username": name}
    async with proxied(upstream_settings={"sasl": sasl}) as stage:
        client = await stage.connect()
        await client.send(plain_frame(LIST_GROUPS, 2))
        await stage.broker.answer(await stage.broker.asked(), handshake_answer())

        verified = None
        while verified is None:
            asked = await stage.broker.asked()
            answer, verified = await server.step(token_of(asked))
            await stage.broker.answer(asked, token_answer(answer))

        assert verified.name == name
        assert (await stage.broker.asked()).header.api.key == LIST_GROUPS


@pytest.mark.parametrize("refuses", ["the mechanism", "the password", "the answer"])
async def test_a_broker_that_does_not_let_the_proxy_in_is_told_of(plain: dict[str, Any], refuses: str) -> None:
    with capture_logs() as logs:
        async with proxied(upstream_settings={"sasl": plain}) as stage:
            client = await stage.connect()

            await stage.broker.answer(
                await stage.broker.asked(), handshake_answer(33 if refuses == "the mechanism" else 0)
            )
            if refuses != "the mechanism":
                asked = await stage.broker.asked()
                code = 58 if refuses == "the password" else 0
                await stage.broker.answer(asked, token_answer(b"" if code else b"unexpected", error_code=code))

            assert await client.read() is None
    (line,) = [line for line in logs if line["event"] == "upstream unavailable"]
    assert "PLAIN" in line["error"]
    assert PASSWORD not in str(logs)


async def test_a_client_that_would_log_in_is_told_that_it_need_not(plain: dict[str, Any]) -> None:
    async with proxied(upstream_settings={"sasl": plain}) as stage:
        client = await stage.connect()
        await client.send(handshake_frame("PLAIN"))
        await let_in(stage)

        told = await client.read()

        assert told is not None
        assert struct.unpack_from(">hi", told, 4) == (34, 0)
        assert await stage.broker.hears_nothing()


async def test_the_login_is_renewed_between_the_client_s_requests(plain: dict[str, Any]) -> None:
    async with proxied(upstream_settings={"sasl": plain}) as stage:
        client = await stage.connect()
        await client.send(plain_frame(LIST_GROUPS, 2))
        await let_in(stage, lifetime_ms=400)
        first = await stage.broker.asked()

        handshake = await stage.broker.asked()
        await client.send(plain_frame(LIST_GROUPS, 2))
        is_held = await stage.broker.hears_nothing()
        await stage.broker.answer(first, b"first")
        told = [await client.read()]
        await stage.broker.answer(handshake, handshake_answer())
        token = await stage.broker.asked()
        await stage.broker.answer(token, make_authenticate_response(1, lifetime_ms=60_000))
        second = await stage.broker.asked()
        await stage.broker.answer(second, b"second")
        told.append(await client.read())

        assert handshake.header.api.key == apis.SASL_HANDSHAKE
        assert is_held
        assert second.header.api.key == LIST_GROUPS
        assert [frame is not None and frame[4:] for frame in told] == [b"first", b"second"]


async def test_a_login_that_cannot_be_renewed_ends_the_connection(plain: dict[str, Any]) -> None:
    with capture_logs() as logs:
        async with proxied(upstream_settings={"sasl": plain}) as stage:
            client = await stage.connect()
            await let_in(stage, lifetime_ms=200)
            await stage.broker.answer(await stage.broker.asked(), handshake_answer())

            await stage.broker.answer(await stage.broker.asked(), token_answer(error_code=58))

            assert await client.read() is None
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["login not renewed"]


async def test_a_client_that_leaves_during_a_renewal_leaves_nothing_behind(plain: dict[str, Any]) -> None:
    async with proxied(upstream_settings={"sasl": plain}) as stage:
        client = await stage.connect()
        await let_in(stage, lifetime_ms=200)
        await stage.broker.asked()

        for connection in list(stage.shared.open):
            connection.cut("test")

        assert await client.read() is None
        async with asyncio.timeout(5):
            await asyncio.gather(*list(stage.shared.tasks._running), return_exceptions=True)


async def test_a_token_in_a_file_is_read_at_each_login(tmp_path: Path) -> None:
    file = tmp_path / "token"
    source = TokenSource(token=SecretConfig(file=file), credentials=None)

    file.write_text("first\n")
    tokens = [await source.token()]
    file.write_text("second\n")
    tokens.append(await source.token())

    assert tokens == ["first", "second"]


async def test_oauthbearer_carries_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("an-access-token\n")
    sasl = {"mechanism": "OAUTHBEARER", "token": {"file": str(tmp_path / "token")}}
    async with proxied(upstream_settings={"sasl": sasl}) as stage:
        await stage.connect()

        token = await let_in(stage)

        assert token == b"n,,\1auth=Bearer an-access-token\1\1"


async def test_client_credentials_are_exchanged_for_a_token_that_is_kept(tmp_path: Path) -> None:
    authority, endpoint, now = Authority(tmp_path), Endpoint(), [100.0]
    issued = authority.issue("server")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(issued.certificate, issued.key)
    (tmp_path / "secret").write_text("a secret")
    async with endpoint.serve(tls) as url:
        config = ClientCredentialsConfig.model_validate(
            {
                "tokenUrl": url,
                "clientId": "proxy",
                "clientSecret": {"file": str(tmp_path / "secret")},
                "scope": "kafka",
                "ca": str(authority.ca),
            }
        )
        source = TokenSource(token=None, credentials=config, clock=lambda: now[0])
        endpoint.answer = '{"access_token": "first", "expires_in": 100}'

        tokens = list(await asyncio.gather(*(source.token() for _ in range(5))))
        endpoint.answer = '{"access_token": "second", "expires_in": 100}'
        now[0] += 81
        tokens.append(await source.token())
        endpoint.answer = '{"error": "invalid_client"}'
        now[0] += 81
        with pytest.raises(TokenUnavailable) as raised:
            await source.token()

    assert tokens == ["first"] * 5 + ["second"]
    assert b"grant_type=client_credentials&scope=kafka" in endpoint.requests[0]
    assert b"Authorization: Basic" in endpoint.requests[0]
    assert "invalid_client" not in str(raised.value)


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ({"mechanism": "PLAIN"}, "needs username and password"),
        ({"mechanism": "PLAIN", "username": "a", "password": "written here"}, "mapping|valid"),
        ({"mechanism": "PLAIN", "username": "a", "password": {"env": "A"}, "token": {"env": "A"}}, "takes no token"),
        ({"mechanism": "OAUTHBEARER"}, "either token or clientCredentials"),
        ({"mechanism": "OAUTHBEARER", "username": "a", "token": {"env": "A"}}, "takes no username"),
        ({"mechanism": "AWS_MSK_IAM"}, "botocore"),
        ({"mechanism": "GSSAPI"}, "PLAIN"),
    ],
)
def test_settings_that_cannot_work_are_refused(section: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        InitiationConfig.model_validate(section)


async def test_the_proxy_asks_where_the_brokers_are_with_credentials_for_that(plain: dict[str, Any]) -> None:
    async with proxied(upstream_settings={"lookup": {"sasl": plain}}) as stage:
        upstream = stage.shared.upstream
        asking = asyncio.ensure_future(Probe(upstream, Health()).look_up())

        token = await let_in(stage)
        await stage.broker.answer(await stage.broker.asked(), struct.pack(">hi", 0, 0))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, metadata(1, brokers={7: ("broker-7", 9092)}))
        await asking
        client = await stage.connect()
        await client.send(handshake_frame("PLAIN"))
        passed = await stage.broker.asked()

        assert token.startswith(b"proxy\0")
        assert asked.header.api.key == apis.METADATA
        assert upstream.addresses(7) == (("broker-7", 9092),)
        assert passed.frame == handshake_frame("PLAIN")[4:], "the client's own login passes as it is"


async def test_aws_signs_for_the_broker_s_host(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        """What botocore gives."""

        def get_credentials(self) -> Any:
            return SimpleNamespace(
                get_frozen_credentials=lambda: SimpleNamespace(
                    access_key="an-access-key", secret_key="a-secret-key", token="a-session-token"
                )
            )

        def get_config_variable(self, name: str) -> str:
            return {"region": "eu-central-1"}[name]

    for name in ("botocore", "botocore.session"):
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        module.Session = Session  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    sent: list[tuple[int, bytes]] = []

    async def ask(key: int, _version: int, body: bytes) -> memoryview:
        sent.append((key, body))
        if key == apis.SASL_HANDSHAKE:
            return memoryview(handshake_answer())
        return memoryview(make_authenticate_response(1, token=b'{"version":"2020_10_22"}', lifetime_ms=900_000))

    login = Initiation(InitiationConfig.model_validate({"mechanism": "AWS_MSK_IAM"}))
    lasts_s = await login.log_in(ask, "b-1.kafka.example")

    (_, handshake), (_, body) = sent
    message = json.loads(bytes(SaslAuthenticateRequest.read(body, 1).token or b""))
    assert handshake == struct.pack(">h", 11) + b"AWS_MSK_IAM"
    assert (message["host"], message["action"]) == ("b-1.kafka.example", "kafka-cluster:Connect")
    assert b"a-secret-key" not in body
    assert lasts_s == 900
