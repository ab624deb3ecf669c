"""The server's side of SCRAM: two tokens each way, and the password never travels.

    client  n,,n=alice,r=nonce              server  r=nonce+ours,s=salt,i=iterations
    client  c=biws,r=nonce+ours,p=proof     server  v=signature

Source: RFC 5802, RFC 7677; ScramSaslServer (Kafka 4.3).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import TYPE_CHECKING, Final

from wiremask.protocol.sasl import read_scram_first
from wiremask.proxy.sasl.credentials import HASHES
from wiremask.proxy.sasl.verdict import LoginRefused, Verified

if TYPE_CHECKING:
    from wiremask.protocol.sasl import ScramFirst
    from wiremask.proxy.sasl.credentials import Credentials

_FINAL: Final = re.compile(
    r"(?P<bare>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[\x21-\x2b\x2d-\x7e]+)),p=(?P<proof>[A-Za-z0-9+/=]+)"
)


class ScramServer:
    """One login."""

    def __init__(self, credentials: Credentials, mechanism: str) -> None:
        self._credentials = credentials
        self._mechanism = mechanism
        self._first: ScramFirst | None = None

    async def step(self, token: bytes) -> tuple[bytes, Verified | None]:
        """Takes a token of the client and gives the answer, with the last one who the client is.

        Raises:
            LoginRefused: it is not who it says.
        """
        if self._first is None:
            return self._begin(token), None
        return self._end(self._first, token)

    def _begin(self, token: bytes) -> bytes:
        first = read_scram_first(token)
        if first is None or first.name is None:
            raise LoginRefused("the client's first SCRAM message is none")
        known = self._credentials.find(first.name, self._mechanism)
        self._verifier = known or self._credentials.decoy(first.name, self._mechanism)
        self._first, self._nonce = first, first.nonce + secrets.token_urlsafe(18)
        salt = b64encode(self._verifier.salt).decode()
        self._answer = f"r={self._nonce},s={salt},i={self._verifier.iterations}"
        return self._answer.encode()

    def _end(self, first: ScramFirst, token: bytes) -> tuple[bytes, Verified]:
        final = _FINAL.fullmatch(token.decode("ascii", "replace"))
        if final is None:
            raise LoginRefused("the client's last SCRAM message is none")
        try:
            binding, proof = b64decode(final["binding"]), b64decode(final["proof"])
        except NotBase64:
            raise LoginRefused("the client's last SCRAM message is none") from None
        name = HASHES[self._mechanism]
        message = f"{first.bare},{self._answer},{final['bare']}".encode()
        signature = hmac.digest(self._verifier.stored_key, message, name)
        client_key = bytes(one ^ other for one, other in zip(proof, signature, strict=False))
        is_right = hmac.compare_digest(hashlib.new(name, client_key).digest(), self._verifier.stored_key)
        if not is_right or binding != first.header.encode() or final["nonce"] != self._nonce:
            raise LoginRefused("the name is not known, or the password is another")
        assert first.name is not None
        answer = b"v=" + b64encode(hmac.digest(self._verifier.server_key, message, name))
        return answer, Verified(name=first.name)
