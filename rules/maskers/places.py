"""Collected masks of places, in the country and on the network: zip3, ip (prefix kept, or keyed).

The keyed form preserves prefixes: bit i of the output is bit i of the address, flipped by one bit of AES of all bits
before it. Two addresses that share their first n bits share them masked, and nobody without the key learns more.

Source: 45 CFR 164.514(b)(2)(i)(B); Xu, Fan, Ammar, Moon, "Prefix-Preserving IP Address Anonymization" (ICNP 2002).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wiremask.rules.kernel.collected import NUMBER
from wiremask.rules.maskers.addresses import keep_prefixes, scramble_prefixes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import Ip, IpScramble, Zip3

# Those with 20,000 people or fewer in the census of 2000.
# fmt: off
RESTRICTED_ZIP3 = frozenset((
    "036", "059", "063", "102", "203", "556", "692", "790", "821",
    "823", "830", "831", "878", "879", "884", "890", "893",
))
# fmt: on

_ZIP = re.compile(r"[0-9]{3}|[0-9]{5}(?:-?[0-9]{4})?", re.ASCII)


class ZipMask:
    """`zip3` over a batch."""

    def __init__(self, mask: Zip3) -> None:
        self.takes_numbers = self.makes_text = mask.as_string
        self._restricted = mask.restricted

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> list[str | None]:
        """Masks each code: see Collected.mask."""
        return [self._mask(text, kind) for text, kind in zip(texts, kinds, strict=True)]

    def _mask(self, text: str, kind: int) -> str | None:
        if kind == NUMBER:  # a number has lost its leading zeros
            text = text.zfill(9 if len(text) > 5 else 5)
        if _ZIP.fullmatch(text) is None:
            return None
        return "000" if text[:3] in self._restricted else text[:3]


class IpMask:
    """`ip` without a key, over a batch."""

    takes_numbers = makes_text = False

    def __init__(self, mask: Ip) -> None:
        self._ip = mask

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each address: see Collected.mask."""
        return keep_prefixes(texts, self._ip.v4, self._ip.v6)


class IpScrambleMask:
    """`ip` with a key, over a batch."""

    takes_numbers = makes_text = False

    def __init__(self, mask: IpScramble) -> None:
        self._subkey = mask.subkey

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each address: see Collected.mask."""
        # Loaded here: only this needs it.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

        cipher = Cipher(algorithms.AES(self._subkey), modes.ECB())  # noqa: S305 - a PRF on distinct blocks
        return scramble_prefixes(cipher.encryptor(), texts)
