"""Who the client of a connection is, as the broker sees it.

    no login                       User:ANONYMOUS, as on every listener of a broker that asks for none, or by the
                                   certificate that the client showed (TLS)
    handshake, token, ..., token   a login under way: no request but those of the login may come
    the broker accepted the last   User:name, or not known where the mechanism does not show the name

Where clients must log in, at the proxy (`sasl.termination`) or by `sasl.required`, nothing is known before, and nothing
but the login may come.

What a client says of itself counts for nothing before the broker has accepted it. A login that begins on a connection
with a principal (KIP-368) leaves that in place until the new one is accepted: answers to earlier requests may still
arrive, and a broker that refuses the handshake has forgotten nothing either.

`protocol.sasl` reads the tokens and keeps none of them.

Source: SaslServerAuthenticator, KafkaPrincipal (Kafka 4.3); KIP-152, KIP-368.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.errors import ErrorCode
from wiremask.protocol.sasl import Login

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wiremask.rules import Claims

ANONYMOUS = "User:ANONYMOUS"


class Identity:
    """The login of one connection.

    Attributes:
        principal: `User:name`, since the last login that was accepted; None where it is not known.
        claims: of the access token that the proxy accepted.
        awaits_broker: a request of a login is not answered. What follows on it, request or bare token, hangs on the
            answer, so nothing more is read from the client.
        steps: counts what has happened in logins; nothing here changes without it.
    """

    __slots__ = ("_claim", "_failed", "_is_owed", "_login", "_offered", "awaits_broker", "claims", "principal", "steps")

    def __init__(self, *, principal_claim: str = "sub", must_log_in: bool = False) -> None:
        self.principal: str | None = None if must_log_in else ANONYMOUS
        self.claims: Claims | None = None
        self._is_owed = must_log_in
        self.awaits_broker = False
        self.steps = 0
        self._claim = principal_claim
        self._offered: Login | None = None
        self._login: Login | None = None
        self._failed = False

    @property
    def is_pending(self) -> bool:
        """Whether a login has begun, or must come first, and was not accepted yet."""
        if self._is_owed or self._failed or self._offered is not None:
            return True
        return self._login is not None and not self._login.is_complete

    @property
    def expects_bare_token(self) -> bool:
        """Whether the client's next frame is a token without a header (after SaslHandshake 0)."""
        return self._login is not None and self._login.expects_bare_token

    @property
    def mechanism(self) -> str | None:
        """The mechanism of the last login that the broker took up."""
        return None if self._login is None else self._login.mechanism

    def show(self, principal: str) -> None:
        """The client has proved who it is before its first request, by the certificate of its TLS connection."""
        self.steps += 1
        if not self._is_owed:
            self.principal = principal

    def begin(self) -> None:
        """A login at the proxy begins, the first or a new one."""
        self.steps += 1
        self._is_owed = True

    def accept(self, name: str, claims: Claims | None) -> None:
        """It has succeeded."""
        self.steps += 1
        self._is_owed = False
        self.principal = f"User:{name}"
        self.claims = claims

    def offer(self, mechanism: str, version: int) -> None:
        """The client asks for a mechanism.

        Raises:
            RefusedLogin: after this handshake nobody could tell tokens from requests.
        """
        self.steps += 1
        self._offered = Login(mechanism, version, principal_claim=self._claim)
        self.awaits_broker = True

    def offered(self, error_code: int) -> None:
        """The broker takes the mechanism, or does not."""
        self.steps += 1
        if error_code == ErrorCode.NONE:
            self._login, self._failed = self._offered, False
        self._offered = None
        self.awaits_broker = False

    def client_token(self, token: Buffer) -> None:
        """The client sends a token.

        Raises:
            MalformedFrame: none was due.
        """
        self.steps += 1
        if self._login is not None:
            self._login.client_token(token)
        self.awaits_broker = True

    def server_token(self, error_code: int, token: Buffer) -> bool:
        """The broker answers a token; True if with that the client is who it said.

        Raises:
            MalformedFrame: none was due.
        """
        self.steps += 1
        self.awaits_broker = False
        login = self._login
        if login is None or (login.is_complete and not login.awaits_server):
            return False  # asked for out of turn: the broker refuses it, and knows the client as before
        if error_code != ErrorCode.NONE:
            self._login, self._failed = None, True
            return False
        login.server_token(token)
        if not login.is_complete:
            return False
        self._is_owed = False
        self.principal = None if login.principal is None else f"User:{login.principal}"
        return True

    def __repr__(self) -> str:
        return f"Identity(principal={self.principal!r}, is_pending={self.is_pending})"
