"""A SASL login as it passes by: when it is complete, and what name the client gave.

    handshake accepted -> client token -> server token -> ... -> complete

After SaslHandshake 1 the tokens travel in SaslAuthenticate requests and responses (KIP-152). After version 0 they are
*bare*: frames without any header, until the broker's SASL server is complete; the next frame is a request again. When
that is must be known to the token, or a client could have requests taken for tokens and walk past the rules:

    PLAIN            one token each way
    SCRAM-SHA-*      two each way
    OAUTHBEARER      one each way; on a failure a second one from the client, which ends the connection
    anything else    as many as the mechanism likes: opaque, refused after version 0, of no known name after version 1

The name counts for nothing before the broker has accepted it, and is then what brokers make their principal of, with
`User:` before it. Where there is doubt about how a broker reads a token, there is no name. Passwords, proofs and access
tokens are never kept.

Source: SaslServerAuthenticator, PlainSaslServer, ScramMessages, OAuthBearerClientInitialResponse,
OAuthBearerUnsecuredJws, ClaimValidationUtils (Kafka 4.3); RFC 4616, RFC 5802, RFC 7628, RFC 7519; KIP-48, KIP-368.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from wiremask.protocol.errors import MalformedFrame, RefusedLogin

if TYPE_CHECKING:
    from typing_extensions import Buffer

TOKEN_BYTES: Final = 65_536
"""Names are not looked for in longer tokens: nobody has logged in yet, and real ones are far below."""

_SASL_NAME: Final = r"(?:[\x01-\x2b\x2d-\x3c\x3e-\x7f]|=2C|=3D)++"
_SCRAM_FIRST: Final = re.compile(
    rf"(?P<header>n,(?:a=(?P<authzid>{_SASL_NAME}))?,)(?P<bare>(?:m=[\x01-\x2b\x2d-\x7f]+,)?n=(?P<name>{_SASL_NAME}),"
    r"r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)(?P<extensions>(?:,[A-Za-z]++=[\x01-\x2b\x2d-\x7f]++)*+))"
)
_OAUTH_FIRST: Final = re.compile(
    rf"n,(?:a=(?P<authzid>{_SASL_NAME}))?,\x01(?P<pairs>(?:[A-Za-z]++=[\x20-\x7e\t\r\n]++\x01)*+)\x01"
)
_BEARER: Final = re.compile(r"auth=bearer +(?P<token>[\w.+/=-]+)", re.IGNORECASE | re.ASCII)
_JWT: Final = re.compile(r"[\w-]+\.(?P<claims>[\w-]+)\.[\w-]*", re.ASCII)


class _Turn(Enum):
    CLIENT = "client"
    SERVER = "server"
    COMPLETE = "complete"
    FAILED = "failed"


class Login:
    """One login, from the handshake on that the broker accepted.

    Call `client_token` before a token is forwarded, and `server_token` when the broker's answer to it has come. A
    SaslAuthenticate response with an error code has no token: drop the login then.

    Of bare tokens, one is forwarded at a time: while `awaits_server`, whatever the client has sent stays unread.

    Attributes:
        mechanism: as the client named it.
        is_bare: tokens have no header (SaslHandshake 0).
    """

    def __init__(self, mechanism: str, handshake_version: int, *, principal_claim: str = "sub") -> None:
        """A login that begins.

        Args:
            mechanism: from the SaslHandshake request.
            handshake_version: its version.
            principal_claim: the claim of an OAUTHBEARER token that brokers take for the name.

        Raises:
            RefusedLogin: bare tokens of a mechanism whose end cannot be seen.
        """
        self.mechanism = mechanism
        self.is_bare = handshake_version == 0
        self._is_scram = mechanism in {"SCRAM-SHA-256", "SCRAM-SHA-512"}
        self._is_oauth = mechanism == "OAUTHBEARER"
        self._is_opaque = not (self._is_scram or self._is_oauth or mechanism == "PLAIN")
        self._claim = principal_claim
        self._turn = _Turn.CLIENT
        self._tokens = 0  # from the client
        self._name: str | None = None
        if self.is_bare and self._is_opaque:
            raise RefusedLogin(
                "a login by SaslHandshake 0 with a mechanism whose number of tokens is not known (PLAIN, SCRAM and "
                "OAUTHBEARER are): use a client that sends SaslHandshake 1, as all do since Kafka 1.0"
            )

    @property
    def expects_bare_token(self) -> bool:
        """Whether the next frame of the client is a bare token; if not, it is a request."""
        return self.is_bare and self._turn is _Turn.CLIENT

    @property
    def awaits_server(self) -> bool:
        """Whether the client's last token is not answered yet."""
        return self._turn is _Turn.SERVER

    @property
    def is_complete(self) -> bool:
        """Whether the broker has let the client in.

        Of an opaque mechanism that cannot be seen: true after each answer, and right when the client goes on to other
        requests, since a broker refuses those before its end.
        """
        return self._turn is _Turn.COMPLETE

    @property
    def principal(self) -> str | None:
        """The client's name, without Kafka's `User:`; None before the login is complete, and where it is not known."""
        return self._name if self.is_complete else None

    def client_token(self, token: Buffer) -> None:
        """Reads a token on its way to the broker; nothing but the name is kept of it.

        Raises:
            MalformedFrame: a bare token out of turn.
        """
        if self._turn is not _Turn.CLIENT:
            if self.is_bare:
                raise MalformedFrame("a login token where none is due")
            if self._turn is _Turn.SERVER:
                # Sent ahead of the answer: which of the tokens the broker accepts is not ours to guess.
                self._is_opaque, self._name = True, None
                return
            if not self._is_opaque:
                return  # the broker refuses it; who was let in is still that one
        self._tokens += 1
        self._turn = _Turn.SERVER
        if self._tokens == 1 and not self._is_opaque:
            self._name = self._read_name(memoryview(token))

    def server_token(self, token: Buffer) -> None:
        """Reads a token on its way to the client.

        Raises:
            MalformedFrame: the broker speaks out of turn.
        """
        if self._is_opaque:
            self._turn = _Turn.COMPLETE
            return
        if self._turn is not _Turn.SERVER:
            if self.is_bare:
                raise MalformedFrame("the broker sent a login token out of turn")
            return
        self._turn = self._turn_after(bytes(memoryview(token)[:2]))

    def _turn_after(self, answer: bytes) -> _Turn:
        if self._is_scram:
            if self._tokens == 1:
                return _Turn.CLIENT if answer == b"r=" else _Turn.FAILED
            return _Turn.COMPLETE if answer == b"v=" else _Turn.FAILED
        if self._is_oauth and (answer or self._tokens > 1):
            # An error as JSON, which the client answers with one byte, and then the broker closes.
            return _Turn.CLIENT if self._tokens == 1 else _Turn.FAILED
        return _Turn.COMPLETE

    def _read_name(self, token: memoryview) -> str | None:
        text = _text(token)
        if text is None:
            return None
        if self._is_scram:
            first = _scram_first(text)
            return None if first is None else first.name
        if self._is_oauth:
            return _oauth_name(text, self._claim)
        return _plain_name(text)

    def __repr__(self) -> str:
        return f"Login(handshake {'0' if self.is_bare else '1'}, {self._turn.value})"


def _text(token: Buffer) -> str | None:
    view = memoryview(token)
    if len(view) > TOKEN_BYTES:
        return None
    try:
        return str(view, "utf-8")
    except UnicodeDecodeError:
        return None


def _plain_name(text: str) -> str | None:
    """The authcid of `authzid NUL authcid NUL password`; Kafka refuses an authzid that is another."""
    parts = text.split("\0", 3)
    if len(parts) != 3 or parts[0] not in {"", parts[1]}:
        return None
    return parts[1] or None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScramFirst:
    """A client-first-message.

    Attributes:
        header: what the channel binding of the last message repeats.
        bare: what both sides sign.
        name: the client's; None for a delegation token, whose owner only the broker knows (KIP-48), and where the
            client would be somebody else.
    """

    header: str
    bare: str
    nonce: str
    name: str | None


def read_scram_first(token: Buffer) -> ScramFirst | None:
    """The client's first token of SCRAM; None if it is none."""
    text = _text(token)
    return None if text is None else _scram_first(text)


def _scram_first(text: str) -> ScramFirst | None:
    match = _SCRAM_FIRST.fullmatch(text)
    if match is None:
        return None
    name: str | None = _unescape(match["name"])
    is_delegated = any(pair.lower().startswith("tokenauth=") for pair in match["extensions"].split(","))
    if is_delegated or (match["authzid"] is not None and _unescape(match["authzid"]) != name):
        name = None
    return ScramFirst(header=match["header"], bare=match["bare"], nonce=match["nonce"], name=name)


def read_bearer(token: Buffer) -> tuple[str | None, str] | None:
    """Whom the client wants to be (None: whom the token says), and its access token; None if there are not both."""
    text = _text(token)
    return None if text is None else _bearer(text)


def _bearer(text: str) -> tuple[str | None, str] | None:
    match = _OAUTH_FIRST.fullmatch(text)
    if match is None:
        return None
    bearers = [pair for pair in match["pairs"].split("\x01") if pair.lower().startswith("auth=")]
    bearer = _BEARER.fullmatch(bearers[0]) if len(bearers) == 1 else None
    if bearer is None:
        return None
    return None if match["authzid"] is None else _unescape(match["authzid"]), bearer["token"]


def _oauth_name(text: str, claim: str) -> str | None:
    """The claim of the one bearer token, if it is a JWT whose claims everybody reads alike."""
    bearer = _bearer(text)
    jwt = _JWT.fullmatch(bearer[1]) if bearer is not None else None
    if bearer is None or jwt is None:
        return None
    name = _read_claims(jwt["claims"]).get(claim)
    if not isinstance(name, str) or not name or name != name.strip() or not _is_text(name):
        return None  # blanks at the ends too: some brokers take them off
    return name if bearer[0] in {None, name} else None


def _read_claims(encoded: str) -> dict[str, Any]:
    """The claims of a JWT; none if they cannot be read, or if a name stands there twice."""
    try:
        text = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
        claims = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    claims = dict(pairs)
    if len(claims) != len(pairs):
        raise ValueError("a claim stands twice")
    return claims


def _is_text(name: str) -> bool:
    """Whether a name can be written: JSON has escapes for halves of a character."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def _unescape(name: str) -> str:
    """A SASL name as it is meant; `=2C` first, so that `=3D2C` stays what it is."""
    return name.replace("=2C", ",").replace("=3D", "=")
