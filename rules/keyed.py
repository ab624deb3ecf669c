"""Keyed masks: the walker collects the inputs of a whole batch, each mask is called once, the walker fills in.

A keyed mask has outputs of one fixed length, so the walker can leave room for them and go on.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from array import array

    from wiremask.rules.masks import Hash

_BLOCK_BYTES = 64
_LENGTH_LIMIT = {"hex": 64, "base64url": 43}


class KeyedMask(Protocol):
    """One mask with its key set up; shared by threads, so it holds no state that a call changes."""

    @property
    def length(self) -> int:
        """Characters of each output."""

    def mask(self, texts: memoryview, spans: array[int]) -> bytes:
        """Masks a batch of texts.

        Args:
            texts: the decoded inputs in UTF-8. A view that is valid only during the call.
            spans: two ints an input, (start, length) into `texts`.

        Returns:
            The outputs one after another, `length` bytes each; ASCII that needs no escape in JSON.
        """


class HashTexts:
    """HMAC-SHA-256 with the states after the two key blocks computed once.

    Source: RFC 2104 section 4 (the states may be kept); RFC 4648 section 5 (base64url).
    """

    __slots__ = ("_hex", "_inner", "_outer", "length")

    def __init__(self, mask: Hash) -> None:
        if len(mask.subkey) != 32:
            raise ValueError("the subkey of a hash has 32 bytes")
        if not 1 <= mask.length <= _LENGTH_LIMIT[mask.encoding]:
            raise ValueError(f"a {mask.encoding} hash keeps 1 to {_LENGTH_LIMIT[mask.encoding]} characters")
        block = mask.subkey.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))
        self._hex = mask.encoding == "hex"
        self.length = mask.length

    def mask(self, texts: memoryview, spans: array[int]) -> bytes:
        """Hashes each text: see KeyedMask.mask."""
        outputs = []
        for start, length in zip(spans[::2], spans[1::2], strict=True):
            inner = self._inner.copy()
            inner.update(texts[start : start + length])
            outer = self._outer.copy()
            outer.update(inner.digest())
            digest = outer.digest()
            text = digest.hex().encode() if self._hex else urlsafe_b64encode(digest)
            outputs.append(text[: self.length])
        return b"".join(outputs)
