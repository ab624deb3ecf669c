"""Collected masks made of other masks: a list of them in order, and the two sides of an e-mail address.

A mask that the kernel knows by itself is collected here too: each leaf goes through the kernel as a value of its own.
"""

from __future__ import annotations

import json
from array import array
from json.encoder import encode_basestring as quote
from typing import TYPE_CHECKING

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.collected import NUMBER, STRING
from wiremask.rules.model.masks import Redact
from wiremask.rules.outcome import UNCHANGED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.kernel.collected import Collected
    from wiremask.rules.model.masks import Hash, Partial, Pattern, Truncate


class KernelMask:
    """A mask of the kernel that keeps the type or makes text, over a batch."""

    def __init__(self, mask: Redact | Partial | Truncate | Pattern | Hash) -> None:
        from wiremask.rules.kernel.jsonmask import JsonMasker  # noqa: PLC0415 - it imports this module

        self.takes_numbers = isinstance(mask, Redact) or mask.as_string
        self.makes_text = not isinstance(mask, Redact)
        self._masker = JsonMasker([Selection(path=(), mask=mask, rule=0)], rules=1)

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> list[str | None]:
        """Masks each leaf: see Collected.mask."""
        values = [
            (text if kind == NUMBER else quote(text)).encode("utf-8") for text, kind in zip(texts, kinds, strict=True)
        ]
        spans, at = array("i"), 0
        for value in values:
            spans.append(at)
            spans.append(len(value))
            at += len(value)
        outcome = self._masker.mask(b"".join(values), spans)
        ends = outcome.spans.tolist()
        masked: list[str | None] = []
        for text, kind, start, length in zip(texts, kinds, ends[::2], ends[1::2], strict=True):
            if start < 0:
                masked.append(text if start == UNCHANGED else None)
                continue
            written = outcome.values[start : start + length].decode("utf-8")
            stays_number = kind == NUMBER and not self.makes_text
            masked.append(written if stays_number else _unquote(written))
        return masked


def _unquote(written: str) -> str:
    """The text of a JSON string; most have no escapes, and are read at once."""
    return str(json.loads(written)) if "\\" in written else written[1:-1]


class ChainMask:
    """A list of masks, each over the outputs of the one before it."""

    def __init__(self, masks: Sequence[Collected]) -> None:
        self._masks = tuple(masks)
        self.takes_numbers = self._masks[0].takes_numbers
        self.makes_text = any(one.makes_text for one in self._masks)

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> list[str | None]:
        """Masks each leaf: see Collected.mask."""
        masked: list[str | None] = list(texts)
        forms = bytearray(kinds)
        for one in self._masks:
            # A leaf that one of them does not take is out: None stays.
            places = [
                i for i, text in enumerate(masked) if text is not None and (one.takes_numbers or forms[i] == STRING)
            ]
            given = [text for i in places if (text := masked[i]) is not None]
            outputs = one.mask(given, bytes(forms[i] for i in places))
            masked = [None] * len(texts)
            for place, output in zip(places, outputs, strict=True):
                masked[place] = output
                if one.makes_text:
                    forms[place] = STRING
        return masked


class EmailMask:
    """`email`: the part before the last `@` and the part behind it, each by its mask."""

    takes_numbers = makes_text = False

    def __init__(self, local: Collected, domain: Collected) -> None:
        self._local = local
        self._domain = domain

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each address: see Collected.mask."""
        parts = [text.rpartition("@") for text in texts]
        places = [i for i, (local, _, domain) in enumerate(parts) if local and domain]
        strings = bytes([STRING]) * len(places)
        locals_ = self._local.mask([parts[i][0] for i in places], strings)
        domains = self._domain.mask([parts[i][2] for i in places], strings)
        masked: list[str | None] = [None] * len(texts)
        for place, local, domain in zip(places, locals_, domains, strict=True):
            if local is not None and domain is not None:
                masked[place] = f"{local}@{domain}"
        return masked


class KeepMask:
    """`keep`, for a side of an address."""

    takes_numbers = True
    makes_text = False

    def mask(self, texts: Sequence[str], _: bytes, /) -> Sequence[str | None]:
        """Gives the texts back."""
        return texts
