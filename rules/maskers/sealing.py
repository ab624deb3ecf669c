"""The collected mask `encrypt`, and its reverse.

An output is `wm1:KEY:VERSION:DATA`, where DATA is base64url without padding of

    AES-256-GCM-SIV   r, 12 bytes of nonce, ciphertext and tag
    AES-SIV           d, synthetic IV and ciphertext

and the plaintext is `s` or `n` (a string or, with `as: string`, a number) and the leaf's text in UTF-8. Authenticated
with it, each with its length before it in 4 bytes: `wiremask/v1/encrypt`, topic, path, KEY, VERSION.

Source: RFC 8452 (AES-256-GCM-SIV: a nonce may come twice, and 2^32 values a key are far from its limits), RFC 5297
(AES-SIV with a key of 64 bytes), RFC 4648 section 5.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from typing import TYPE_CHECKING

from wiremask.rules.kernel.collected import NUMBER, STRING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import Encrypt, SealingKey

CONTEXT = b"wiremask/v1/encrypt"
NONCE_BYTES = 12
_TYPES = {STRING: b"s", NUMBER: b"n"}
_URL_SAFE = bytes.maketrans(b"+/", b"-_")

_SEALED = re.compile(r"wm1:([A-Za-z0-9][A-Za-z0-9._-]{0,62}):([A-Za-z0-9][A-Za-z0-9._-]{0,62}):([A-Za-z0-9_-]+)")


class SealMask:
    """`encrypt` over a batch."""

    def __init__(self, mask: Encrypt, topic: str) -> None:
        self.takes_numbers = self.makes_text = mask.as_string
        self._head = f"wm1:{mask.key}:{mask.version}:"
        self._bound = _bind(mask, topic, mask.version)
        self._deterministic = mask.deterministic
        self._key = dict(mask.versions)[mask.version]

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> list[str | None]:
        """Encrypts each leaf: see Collected.mask."""
        # Loaded here: only this needs it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV  # noqa: PLC0415

        plain = [_TYPES[kind] + text.encode("utf-8") for text, kind in zip(texts, kinds, strict=True)]
        if self._deterministic:
            seal, bound = AESSIV(self._key.deterministic).encrypt, [self._bound]
            sealed = [b"d" + seal(text, bound) for text in plain]
        else:
            encrypt, drawn = AESGCMSIV(self._key.random).encrypt, os.urandom(NONCE_BYTES * len(texts))
            nonces = [drawn[at : at + NONCE_BYTES] for at in range(0, len(drawn), NONCE_BYTES)]
            sealed = [
                b"r" + nonce + encrypt(nonce, text, self._bound) for nonce, text in zip(nonces, plain, strict=True)
            ]
        return [self._head + text for text in _encode(sealed)]


class OpenMask:
    """The reverse of `encrypt` over a batch; what was sealed elsewhere, or not at all, is not taken.

    A number comes back as the string that it was masked to: its text.
    """

    takes_numbers = makes_text = False

    def __init__(self, mask: Encrypt, topic: str) -> None:
        self._key = mask.key
        self._versions = {version: (key, _bind(mask, topic, version)) for version, key in mask.versions}

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Decrypts each text: see Collected.mask."""
        return [self._open(text) for text in texts]

    def _open(self, text: str) -> str | None:
        found = _SEALED.fullmatch(text)
        if found is None or found[1] != self._key or found[2] not in self._versions:
            return None
        key, bound = self._versions[found[2]]
        try:
            data = base64.b64decode(found[3] + "=" * (-len(found[3]) % 4), altchars=b"-_", validate=True)
        except binascii.Error:
            return None
        plain = _decrypt(key, data, bound)
        return None if plain is None else plain[1:].decode("utf-8")


def _decrypt(key: SealingKey, data: bytes, bound: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415
    from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV  # noqa: PLC0415

    try:
        if data[:1] == b"d":
            return AESSIV(key.deterministic).decrypt(data[1:], [bound])
        if data[:1] == b"r":
            return AESGCMSIV(key.random).decrypt(data[1 : 1 + NONCE_BYTES], data[1 + NONCE_BYTES :], bound)
    except (InvalidTag, ValueError):
        return None
    return None


def _encode(sealed: Sequence[bytes]) -> list[str]:
    """Each in base64url without padding; all at once where that can be, which takes a third of the time."""
    lines = b"".join([binascii.b2a_base64(data) for data in sealed])
    return lines.translate(_URL_SAFE, b"=").decode("ascii").split("\n")[:-1]


def _bind(mask: Encrypt, topic: str, version: str) -> bytes:
    parts = (CONTEXT, topic.encode(), mask.path.encode(), mask.key.encode("ascii"), version.encode("ascii"))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
