"""Initiation: the proxy logs in at the brokers with credentials of its own, for clients that do not log in.

kafka-python's mechanisms make and read the tokens; here they are carried in SaslHandshake 1 and SaslAuthenticate 1, on
a connection that is new (`Conversation`) or on one that a client is using and whose login is about to end (KIP-368).

Source: KIP-152, KIP-368; SaslClientAuthenticator (Kafka 4.3).
"""

from __future__ import annotations

import asyncio
import importlib.util
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from wiremask.protocol import api as apis
from wiremask.protocol.errors import ErrorCode, ProtocolError
from wiremask.protocol.messages.sasl import (
    SaslAuthenticateResponse,
    SaslHandshakeResponse,
    make_authenticate_request,
    make_handshake_request,
    session_lifetime_ms,
)
from wiremask.proxy.conversation import BrokerLeft
from wiremask.proxy.model import Section
from wiremask.proxy.sasl.tokens import ClientCredentialsConfig, TokenSource, TokenUnavailable
from wiremask.proxy.secret import SecretConfig, SecretUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]

_TOKENS_MOST = 8
"""No mechanism here takes more than three; a broker that goes on is no broker."""


class LoginFailed(Exception):
    """The broker did not let the proxy in; the text says why, and holds no credential."""


class InitiationConfig(Section):
    """Section `upstream.sasl`: the proxy logs in at the brokers; clients do not, or do at the proxy."""

    mechanism: Mechanism
    """How. AWS_MSK_IAM takes its credentials from where AWS programs look for them, and needs the package botocore."""

    username: str | None = None
    """For PLAIN and SCRAM."""

    password: SecretConfig | None = None
    """For PLAIN and SCRAM; read at each login."""

    token: SecretConfig | None = None
    """For OAUTHBEARER: where an access token is, for example a projected service account token; read at each login."""

    client_credentials: ClientCredentialsConfig | None = None
    """For OAUTHBEARER: how an access token is asked for, instead of `token`."""

    @model_validator(mode="after")
    def _suits_the_mechanism(self) -> InitiationConfig:
        has_password = self.username is not None or self.password is not None
        if self.mechanism in {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}:
            if not self.username or self.password is None:
                raise ValueError(f"{self.mechanism} needs username and password")
        elif has_password:
            raise ValueError(f"{self.mechanism} takes no username and password; delete them")
        if self.mechanism == "OAUTHBEARER":
            if (self.token is None) == (self.client_credentials is None):
                raise ValueError("OAUTHBEARER needs either token or clientCredentials")
        elif self.token is not None or self.client_credentials is not None:
            raise ValueError(f"{self.mechanism} takes no token; delete token and clientCredentials")
        if self.mechanism == "AWS_MSK_IAM" and importlib.util.find_spec("botocore") is None:
            raise ValueError("AWS_MSK_IAM needs the package botocore: install wiremask[aws]")
        return self


class Initiation:
    """The proxy's own credentials, used for one connection after the other."""

    def __init__(self, config: InitiationConfig) -> None:
        self._config = config
        self._tokens = TokenSource(token=config.token, credentials=config.client_credentials)

    def __repr__(self) -> str:
        return f"Initiation(mechanism={self._config.mechanism!r})"

    async def log_in(self, ask: Callable[[int, int, bytes], Awaitable[memoryview]], host: str) -> float | None:
        """Logs in, and says for how many seconds; None is for as long as the connection lasts.

        Args:
            ask: sends a request (api key, version, body) and gives the body of the answer.
            host: the broker's name, which AWS_MSK_IAM signs.

        Raises:
            LoginFailed: it did not work.
        """
        try:
            return await self._log_in(ask, host)
        except LoginFailed:
            raise
        except (BrokerLeft, SecretUnavailable, TokenUnavailable, ProtocolError, TimeoutError) as error:
            raise LoginFailed(str(error) or "the broker does not answer") from None
        except Exception as error:
            # The mechanism's own: its text may quote tokens.
            raise LoginFailed(f"the {self._config.mechanism} login failed: {type(error).__name__}") from None

    async def _log_in(self, ask: Callable[[int, int, bytes], Awaitable[memoryview]], host: str) -> float | None:
        name = self._config.mechanism
        body = await ask(apis.SASL_HANDSHAKE, 1, make_handshake_request(name))
        if SaslHandshakeResponse.read(body, 1).error_code != ErrorCode.NONE:
            raise LoginFailed(f"the broker does not take {name} on this port")
        mechanism = await self._mechanism(host)
        for _ in range(_TOKENS_MOST):
            # On a thread: SCRAM derives a key, AWS credentials may come from a server.
            token = await asyncio.to_thread(mechanism.auth_bytes)
            body = await ask(apis.SASL_AUTHENTICATE, 1, make_authenticate_request(token))
            answer = SaslAuthenticateResponse.read(body, 1)
            if answer.error_code != ErrorCode.NONE:
                raise LoginFailed(f"the broker refused the {name} login")
            await asyncio.to_thread(mechanism.receive, bytes(answer.token or b""))
            if mechanism.is_done():
                break
        if not (mechanism.is_done() and mechanism.is_authenticated()):
            raise LoginFailed(f"the {name} login came to no end")
        lifetime_ms = session_lifetime_ms(body)
        return lifetime_ms / 1000 if lifetime_ms > 0 else None

    async def _mechanism(self, host: str) -> Any:
        from kafka.net.sasl import get_sasl_mechanism  # noqa: PLC0415 - only at a login

        config = self._config
        made = get_sasl_mechanism(config.mechanism)
        if config.mechanism == "OAUTHBEARER":
            return made(sasl_oauth_token_provider=_given(await self._tokens.token()))
        if config.mechanism == "AWS_MSK_IAM":
            return made(security_protocol="SASL_SSL", host=host)
        assert config.username is not None
        assert config.password is not None
        name = config.username
        if config.mechanism != "PLAIN":
            name = name.replace("=", "=3D").replace(",", "=2C")  # RFC 5802's saslname, which kafka-python leaves out
        return made(
            sasl_mechanism=config.mechanism, sasl_plain_username=name, sasl_plain_password=config.password.read()
        )


def _given(token: str) -> Any:
    """kafka-python's interface to an access token that is here already."""
    from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: PLC0415

    class Given(AbstractTokenProvider):  # type: ignore[misc]
        def token(self) -> str:
            return token

    return Given()
