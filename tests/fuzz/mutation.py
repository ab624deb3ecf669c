"""Inputs made from other inputs: a bit, a byte, a length that lies, a piece of another one."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MOST_BYTES = 1 << 14
_LIES = [
    *(bytes([byte]) for byte in (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)),
    *(struct.pack(">h", number) for number in (-(2**15), -2, -1, 0, 1, 2**15 - 1)),
    *(struct.pack(">i", number) for number in (-(2**31), -2, -1, 0, 1, 2**16, 2**31 - 1)),
    *(struct.pack("<I", number) for number in (0, 1, 2**31, 2**32 - 1)),
    b"\x81\x00",
    b"\x80\x80\x80\x80\x08",
    b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\x0f",
    b"\xff" * 9 + b"\x01",
    b"\x80" * 10 + b"\x01",
]


def mutate(data: bytes, others: Sequence[bytes], words: Sequence[bytes], source: random.Random) -> bytes:
    """One to five changes; `words` are worth putting in as they are."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 3, 5))):
        source.choice(_CHANGES)(changed, others, words, source)
    return bytes(changed[:MOST_BYTES])


def _place(data: bytearray, source: random.Random) -> int:
    return source.randrange(len(data) + 1)


def _flip(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], source: random.Random) -> None:
    if data:
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def _set(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], source: random.Random) -> None:
    if data:
        data[source.randrange(len(data))] = source.randrange(256)


def _lie(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], source: random.Random) -> None:
    lie, at = source.choice(_LIES), _place(data, source)
    data[at : at + source.choice((len(lie), len(lie), 1, 0))] = lie


def _cut(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], source: random.Random) -> None:
    at = _place(data, source)
    del data[at : at + source.choice((1, 2, 4, 16, len(data)))]


def _double(data: bytearray, _: Sequence[bytes], __: Sequence[bytes], source: random.Random) -> None:
    start, at = _place(data, source), _place(data, source)
    data[at:at] = data[start : start + source.choice((1, 2, 8, 64, 512))]


def _splice(data: bytearray, others: Sequence[bytes], __: Sequence[bytes], source: random.Random) -> None:
    other = source.choice(others)
    start, at = source.randrange(len(other) + 1), _place(data, source)
    data[at : at + source.choice((0, 8, len(data)))] = other[start : start + source.choice((4, 32, len(other)))]


def _say(data: bytearray, _: Sequence[bytes], words: Sequence[bytes], source: random.Random) -> None:
    if words:
        at = _place(data, source)
        data[at : at + source.choice((0, 0, 1, 4))] = source.choice(words)


_CHANGES: Sequence[Callable[[bytearray, Sequence[bytes], Sequence[bytes], random.Random], None]] = (
    _flip,
    _set,
    _lie,
    _lie,
    _cut,
    _double,
    _splice,
    _say,
)
