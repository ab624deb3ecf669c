"""An issuer of access tokens: keys of its own, signed tokens, and its key set as a file or on an https port."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

ISSUER, AUDIENCE = "https://issuer.example", "kafka"


class Issuer:
    """Signs with its newest key."""

    def __init__(self) -> None:
        self._keys: dict[str, Any] = {}
        self.rotate("first")

    def rotate(self, key_id: str, *, kind: str = "EC") -> None:
        """Signs with a new key from now on."""
        made = (
            ec.generate_private_key(ec.SECP256R1())
            if kind == "EC"
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        self._keys = {key_id: made}

    def key_set(self) -> str:
        """The public keys."""
        keys = []
        for key_id, key in self._keys.items():
            algorithm: Any = ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm
            written = json.loads(algorithm.to_jwk(key.public_key()))
            keys.append({**written, "kid": key_id, "use": "sig"})
        return json.dumps({"keys": keys})

    def write(self, file: Path) -> Path:
        """Writes the public keys."""
        file.write_text(self.key_set())
        return file

    def token(self, subject: str, *, headers: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """An access token; a claim of None is left out."""
        ((key_id, key),) = self._keys.items()
        usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "exp": int(time.time()) + 600}
        held = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        return jwt.encode(held, key, algorithm, headers={"kid": key_id, **(headers or {})})


def first_message(token: str) -> bytes:
    """The token as OAUTHBEARER carries it."""
    return f"n,,\1auth=Bearer {token}\1\1".encode()


class Endpoint:
    """Answers every request with `answer`, over TLS."""

    def __init__(self) -> None:
        self.answer = "{}"
        self.status = "200 OK"
        self.requests: list[bytes] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def serve(self, tls: ssl.SSLContext) -> AsyncIterator[str]:
        """Listens; gives its address."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, rest = head.lower().partition(b"content-length: ")
            body = await reader.readexactly(int(rest.split(b"\r\n")[0])) if rest else b""
            self.requests.append(head + body)
            content = self.answer.encode()
            writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        try:
            yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
        finally:
            server.close()
