"""SASL: enough to know when a login that passes is complete, and what a login of the proxy's own sends and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.encode import encode
from wiremask.protocol.fields import Bytes, Int16, Text
from wiremask.protocol.view import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


class SaslHandshakeRequest(Message):
    """The client's choice of a mechanism.

    After version 0, bare tokens follow in frames that have no header; after version 1, SaslAuthenticate requests
    (KIP-152).
    """

    mechanism = Text("Mechanism")


class SaslHandshakeResponse(Message):
    """Whether the broker takes the mechanism."""

    error_code = Int16("ErrorCode")


class SaslAuthenticateRequest(Message):
    """A token of the client: secret, so it is looked at where it stands (protocol/sasl.py) and never copied."""

    token = Bytes("AuthBytes")


class SaslAuthenticateResponse(Message):
    """The broker's answer to a token; on an error there is none."""

    error_code = Int16("ErrorCode")
    token = Bytes("AuthBytes")


def session_lifetime_ms(body: Buffer) -> int:
    """How long a login lasts, of a SaslAuthenticate response 1 that was read: its last field. 0 is no end."""
    return int.from_bytes(memoryview(body)[-8:], "big", signed=True)


def make_handshake_request(mechanism: str) -> bytes:
    """The body of a SaslHandshake 1."""
    return encode("SaslHandshakeRequest", 1, {"Mechanism": mechanism})


def make_handshake_response(version: int, error_code: int, mechanisms: Sequence[str]) -> bytes:
    """The body that answers a SaslHandshake: all mechanisms, whichever was asked for."""
    return encode("SaslHandshakeResponse", version, {"ErrorCode": error_code, "Mechanisms": mechanisms})


def make_authenticate_request(token: bytes) -> bytes:
    """The body of a SaslAuthenticate 1, the first that tells how long a login lasts (KIP-368)."""
    return encode("SaslAuthenticateRequest", 1, {"AuthBytes": token})


def make_authenticate_response(
    version: int, *, error_code: int = 0, error_message: str | None = None, token: bytes = b"", lifetime_ms: int = 0
) -> bytes:
    """The body that answers a SaslAuthenticate; a lifetime of 0 is no end."""
    values = {
        "ErrorCode": error_code,
        "ErrorMessage": error_message,
        "AuthBytes": token,
        "SessionLifetimeMs": lifetime_ms,
    }
    return encode("SaslAuthenticateResponse", version, values)
