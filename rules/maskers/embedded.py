"""JSON that is carried as a string in JSON, plain or in base64: masked as values of their own, once for the batch.

A string that holds no JSON is not taken, like any leaf of another type. One in which nothing changes keeps its bytes.
"""

from __future__ import annotations

import binascii
from array import array
from typing import TYPE_CHECKING

from wiremask.rules.kernel.automaton import Selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import Embedded, OnUnmaskable

_URL_SAFE = str.maketrans("-_", "+/")
_STANDARD = str.maketrans("+/", "-_")


class EmbeddedMask:
    """The fields of an embedded document, over a batch of them."""

    takes_numbers = False
    makes_text = True

    def __init__(self, mask: Embedded, *, topic: str, depth_limit: int, on_unmaskable: OnUnmaskable) -> None:
        from wiremask.rules.kernel.jsonmask import JsonMasker  # noqa: PLC0415 - it imports this module

        selections = [
            Selection(path=field.path, mask=field.mask, rule=0, on_unmaskable=on_unmaskable, detect=field.detect)
            for field in mask.fields
        ]
        self._is_base64 = mask.base64
        self._masker = JsonMasker(selections, rules=1, depth_limit=depth_limit, topic=topic)

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each document: see Collected.mask."""
        values = bytearray()
        spans = array("i")
        for text in texts:
            value = decode_base64(text) if self._is_base64 else text.encode("utf-8")
            spans.extend((len(values), -1 if value is None else len(value)))
            values += value or b""
        outcome = self._masker.mask(values, spans)
        masked: list[str | None] = []
        for place, text in enumerate(texts):
            start, length = outcome.spans[2 * place : 2 * place + 2]
            if start == -1 and spans[2 * place + 1] >= 0:
                masked.append(text)
            elif start < 0:
                masked.append(None)
            else:
                written = outcome.values[start : start + length]
                masked.append(encode_base64(written, like=text) if self._is_base64 else written.decode("utf-8"))
        return masked


def decode_base64(text: str) -> bytes | None:
    """The bytes of base64 or base64url, with or without padding; None if it is neither.

    Source: RFC 4648 sections 4 and 5. White space and other strange characters are refused, not passed over: readers
    differ on them.
    """
    if not text.isascii() or (("+" in text or "/" in text) and ("-" in text or "_" in text)):
        return None
    standard = text.translate(_URL_SAFE)
    if "=" not in standard:
        standard += "=" * (-len(standard) % 4)
    try:
        return binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error:
        return None


def encode_base64(value: bytes, *, like: str) -> str:
    """Base64 with the alphabet and the padding of another text; where that shows neither, of RFC 4648 section 4."""
    text = binascii.b2a_base64(value, newline=False).decode("ascii")
    if "-" in like or "_" in like:
        text = text.translate(_STANDARD)
    return text if len(like) % 4 == 0 else text.rstrip("=")
