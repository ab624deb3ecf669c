"""Collected masks of places, in the country and on the network: zip3, ip (prefix kept, or keyed).

The keyed form preserves prefixes: bit i of the output is bit i of the address, flipped by one bit of AES of all bits
before it. Two addresses that share their first n bits share them masked, and nobody without the key learns more.

Source: 45 CFR 164.514(b)(2)(i)(B); Xu, Fan, Ammar, Moon, "Prefix-Preserving IP Address Anonymization" (ICNP 2002).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING

from wiremask.rules.kernel.collected import NUMBER
from wiremask.rules.maskers.prf import scramble_prefixes

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
_V6_IN_FULL = re.compile(r"(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}", re.ASCII)
_OCTETS = {str(octet): octet for octet in range(256)}


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
        self._kept4 = (1 << 32) - (1 << 32 - mask.v4)
        self._kept6 = (1 << 128) - (1 << 128 - mask.v6)

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each address: see Collected.mask."""
        return [self._mask(text) for text in texts]

    def _mask(self, text: str) -> str | None:
        bits, number = read_address(text) or (0, 0)
        if bits == 32:
            return write_v4(number & self._kept4)
        return str(IPv6Address(number & self._kept6)) if bits else None


class IpScrambleMask:
    """`ip` with a key, over a batch: one AES call for all bits of all addresses of a family."""

    takes_numbers = makes_text = False

    def __init__(self, mask: IpScramble) -> None:
        self._subkey = mask.subkey

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each address: see Collected.mask."""
        addresses = [read_address(text) or (0, 0) for text in texts]
        v4 = iter(self._scramble([number for bits, number in addresses if bits == 32], 4))
        v6 = iter(self._scramble([number for bits, number in addresses if bits == 128], 16))
        return [write_v4(next(v4)) if bits == 32 else write_v6(next(v6)) if bits else None for bits, _ in addresses]

    def _scramble(self, numbers: list[int], size: int) -> list[int]:
        # Loaded here: only this needs it.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

        encryptor = Cipher(algorithms.AES(self._subkey), modes.ECB()).encryptor()  # noqa: S305 - a PRF on distinct blocks
        scrambled = scramble_prefixes(encryptor, b"".join([number.to_bytes(size) for number in numbers]), size)
        return [int.from_bytes(scrambled[at : at + size]) for at in range(0, len(scrambled), size)]


def read_address(text: str) -> tuple[int, int] | None:
    """An address as it is usually written: 32 or 128 bits, and their number. None for a zone, a port, anything else."""
    if ":" in text:
        if _V6_IN_FULL.fullmatch(text) is not None:
            return 128, int("".join([group.zfill(4) for group in text.split(":")]), 16)
        try:
            return None if "%" in text else (128, int(IPv6Address(text)))
        except AddressValueError:
            return None
    octets = [_OCTETS.get(part) for part in text.split(".", 4)]
    number = 0
    for octet in octets:
        if octet is None:
            return None
        number = number << 8 | octet
    return (32, number) if len(octets) == 4 else None


def write_v4(number: int) -> str:
    """An address of 32 bits."""
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def write_v6(number: int) -> str:
    """An address of 128 bits, in the form of RFC 5952."""
    digits = f"{number:032x}"
    groups = [digits[at : at + 4].lstrip("0") for at in range(0, 32, 4)]
    return ":".join(groups) if all(groups) else str(IPv6Address(number))
