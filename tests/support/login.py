"""SASL logins frame by frame: what clients send, and what brokers answer, for scripted brokers and raw clients."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import time
from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from aiokafka.abc import AbstractTokenProvider

from support.requests import plain_frame

if TYPE_CHECKING:
    from support.scripted import Peer, Stage

HANDSHAKE, AUTHENTICATE = 17, 36
UNSUPPORTED_MECHANISM, ILLEGAL_STATE, FAILED = 33, 34, 58


def handshake_frame(mechanism: str, version: int = 1) -> bytes:
    """A SaslHandshake request."""
    name = mechanism.encode()
    return plain_frame(HANDSHAKE, version, struct.pack(">h", len(name)) + name)


def handshake_answer(error_code: int = 0) -> bytes:
    """The body of a SaslHandshake response."""
    return struct.pack(">hih", error_code, 1, 5) + b"PLAIN"


def token_frame(token: bytes, version: int = 1) -> bytes:
    """A SaslAuthenticate request."""
    if version < 2:
        return plain_frame(AUTHENTICATE, version, struct.pack(">i", len(token)) + token)
    assert len(token) < 127
    return plain_frame(AUTHENTICATE, version, bytes((len(token) + 1,)) + token + b"\0", flexible=True)


def token_answer(token: bytes = b"", error_code: int = 0, version: int = 1) -> bytes:
    """The body of a SaslAuthenticate response."""
    lifetime = struct.pack(">q", 0) if version >= 1 else b""
    if version < 2:
        return struct.pack(">hhi", error_code, -1, len(token)) + token + lifetime
    assert len(token) < 127
    return struct.pack(">hB", error_code, 0) + bytes((len(token) + 1,)) + token + lifetime + b"\0"


def bare(token: bytes) -> bytes:
    """A token as it travels after SaslHandshake 0."""
    return struct.pack(">i", len(token)) + token


def plain(user: str, password: str = "a-password") -> bytes:
    """The one token of PLAIN."""
    return f"\0{user}\0{password}".encode()


def scram_first(user: str, extensions: str = "") -> bytes:
    """The client's first token of SCRAM."""
    return f"n,,n={user},r=fyko{extensions}".encode()


def scram_last(first: str, challenge: str, password: str) -> bytes:
    """The client's second token of SCRAM-SHA-256 (RFC 5802): `first` is its first without `n,,`."""
    told = dict(part.split("=", 1) for part in challenge.split(","))
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), b64decode(told["s"]), int(told["i"]))
    key = hmac.digest(salted, b"Client Key", "sha256")
    without_proof = f"c=biws,r={told['r']}"
    signed = f"{first},{challenge},{without_proof}".encode()
    signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
    return f"{without_proof},p={b64encode(proof).decode()}".encode()


SCRAM_CHALLENGE = b"r=fyko3rfc,s=QSXCR+Q6sek8bf92,i=4096"
SCRAM_FINAL = b"c=biws,r=fyko3rfc,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
SCRAM_VERIFIED = b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ="


def unsigned_jwt(**claims: Any) -> str:
    """An access token as brokers without a validator take it."""
    parts = ({"alg": "none"}, claims)
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def access_token(user: str) -> str:
    """An unsigned token of a user, for ten minutes."""
    now = int(time.time())
    return unsigned_jwt(sub=user, iat=now, exp=now + 600)


class AioTokens(AbstractTokenProvider):  # type: ignore[misc]
    """Gives aiokafka one access token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        """The token."""
        return self._token


def oauth(**claims: Any) -> bytes:
    """The one token of OAUTHBEARER."""
    return f"n,,\1auth=Bearer {unsigned_jwt(**claims)}\1\1".encode()


async def log_in(
    stage: Stage, client: Peer, mechanism: str, steps: list[tuple[bytes, bytes]], *, version: int = 1
) -> None:
    """Logs a client in through the proxy, with the broker's consent; each step is a token and its answer."""
    await client.send(handshake_frame(mechanism, version))
    await stage.broker.answer(await stage.broker.asked(), handshake_answer())
    assert await client.read() is not None
    for token, answer in steps:
        if version == 0:
            stage.broker.bare_tokens = 1
            await client.send(bare(token))
            asked = await stage.broker.asked()
            assert asked.frame == token
            await asked.peer.send(bare(answer))
        else:
            await client.send(token_frame(token))
            await stage.broker.answer(await stage.broker.asked(), token_answer(answer))
        told = await client.read()
        assert told is not None
        assert answer in told
