"""Termination: clients log in at the proxy, and the brokers know nothing of it.

    handshake -> a mechanism of the listener's -> tokens, by `scram`, `bearer` or here (PLAIN) -> Verified

Until then a client may ask for nothing but ApiVersions and this (`proxy.identity`). A refused login is answered with
SASL_AUTHENTICATION_FAILED, in the same words whatever was wrong, and the connection is closed; the log knows more.

Source: KIP-152, KIP-368; SaslServerAuthenticator, PlainSaslServer (Kafka 4.3).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from wiremask.protocol.errors import ErrorCode, RefusedLogin
from wiremask.protocol.messages.sasl import make_authenticate_response, make_handshake_response
from wiremask.proxy.sasl.bearer import BearerServer, IssuerKeys
from wiremask.proxy.sasl.credentials import HASHES, Credentials
from wiremask.proxy.sasl.scram import ScramServer
from wiremask.proxy.sasl.verdict import LoginRefused, Verified

if TYPE_CHECKING:
    from wiremask.proxy.identity import Identity
    from wiremask.proxy.listener import ListenerSaslConfig
    from wiremask.proxy.reloadedfiles import Reloaded

_SAID: Final = "Authentication failed"
_LIFETIME_MOST_MS: Final = 2**53


class Server(Protocol):
    """The server's side of one login."""

    async def step(self, token: bytes) -> tuple[bytes, Verified | None]:
        """A token of the client; the answer, and with the last one who the client is."""


class PlainServer:
    """One login by PLAIN: name and password in one token."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def step(self, token: bytes) -> tuple[bytes, Verified | None]:
        """Checks the password, on a thread.

        Raises:
            LoginRefused: it is another.
        """
        try:
            authzid, name, password = token.decode().split("\0")
        except ValueError:
            raise LoginRefused("the client's PLAIN message is none") from None
        known = [found for one in HASHES if (found := self._credentials.find(name, one)) is not None]
        verifier = known[0] if known else self._credentials.decoy(name, "SCRAM-SHA-256")
        is_right = await asyncio.to_thread(verifier.is_of, password)
        if not is_right or authzid not in {"", name}:
            raise LoginRefused("the name is not known, or the password is another")
        return b"", Verified(name=name)


class ClientLogins:
    """The logins that one listener takes."""

    def __init__(self, config: ListenerSaslConfig, *, use: str) -> None:
        """Reads the files.

        Raises:
            CredentialsUnusable, KeysUnusable: one of them cannot be used.
        """
        self.mechanisms = config.mechanisms
        self.session_s = config.session_seconds
        self._claim = config.principal_claim
        self._bearer = config.bearer
        self._credentials = None if config.credentials is None else Credentials(config.credentials, use=use)
        self._keys = None if config.bearer is None else IssuerKeys(config.bearer, use=use)

    @property
    def reloaded(self) -> list[Reloaded]:
        """What is made of files."""
        return [one for one in (self._credentials, self._keys) if one is not None]

    def begin(self, mechanism: str) -> Server:
        """The server's side of a login by a mechanism of `mechanisms`."""
        if mechanism == "OAUTHBEARER":
            assert self._bearer is not None
            assert self._keys is not None
            return BearerServer(self._bearer, self._keys, principal_claim=self._claim)
        assert self._credentials is not None
        return PlainServer(self._credentials) if mechanism == "PLAIN" else ScramServer(self._credentials, mechanism)


class ClientLogin:
    """The logins of one connection.

    Attributes:
        lasts_s: for how long the last one is good; None is without end.
        fault: why the last one was refused.
    """

    def __init__(self, logins: ClientLogins, identity: Identity) -> None:
        self._logins = logins
        self._identity = identity
        self._server: Server | None = None
        self.lasts_s: float | None = None
        self.fault: str | None = None

    def offer(self, mechanism: str, version: int) -> bytes:
        """The answer to a SaslHandshake.

        Raises:
            RefusedLogin: what follows would have no header.
        """
        if version == 0:
            raise RefusedLogin("a login at the proxy by SaslHandshake 0: clients send SaslHandshake 1 since Kafka 1.0")
        code = ErrorCode.UNSUPPORTED_SASL_MECHANISM
        if mechanism in self._logins.mechanisms:
            code = ErrorCode.NONE
            self._server = self._logins.begin(mechanism)
            self._identity.begin()
        return make_handshake_response(version, code, self._logins.mechanisms)

    async def verify(self, token: bytes, version: int) -> bytes:
        """The answer to a SaslAuthenticate; `fault` says if the connection ends with it."""
        server = self._server
        if server is None:
            self.fault = "a login token without a handshake"
            return make_authenticate_response(version, error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=_SAID)
        try:
            answer, verified = await server.step(token)
            if verified is None:
                return make_authenticate_response(version, token=answer)
            self._accept(verified)
        except LoginRefused as refused:
            self.fault = str(refused)
            return make_authenticate_response(
                version, error_code=ErrorCode.SASL_AUTHENTICATION_FAILED, error_message=_SAID
            )
        self._server = None
        limits = [limit for limit in (verified.lasts_s, self._logins.session_s) if limit is not None]
        self.lasts_s = min(limits) if limits else None
        lifetime_ms = 0 if self.lasts_s is None else max(1, min(int(self.lasts_s * 1000), _LIFETIME_MOST_MS))
        return make_authenticate_response(version, token=answer, lifetime_ms=lifetime_ms)

    def _accept(self, verified: Verified) -> None:
        if self._identity.principal not in {None, f"User:{verified.name}"}:
            raise LoginRefused("a client that logs in again is somebody else now; brokers refuse that too (KIP-368)")
        self._identity.accept(verified.name, verified.claims)


class NoLogin:
    """A listener on which nobody logs in, because the proxy does so at the brokers: what a broker's open port says."""

    lasts_s: float | None = None
    fault: str | None = None

    def offer(self, _mechanism: str, version: int) -> bytes:
        """The answer to a SaslHandshake."""
        return make_handshake_response(version, ErrorCode.ILLEGAL_SASL_STATE, ())

    async def verify(self, _token: bytes, version: int) -> bytes:
        """The answer to a SaslAuthenticate; the connection ends with it."""
        self.fault = "clients do not log in on this listener: set listeners[].sasl.mechanisms"
        return make_authenticate_response(version, error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=_SAID)
