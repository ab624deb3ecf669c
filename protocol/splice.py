"""Change a message by splicing: new bytes stand in for some spans of the old, all others are passed on as they came.

Tagged fields that nobody knows, throttle times, and whatever else no edit names survive to the last byte, and large
records are never copied: the result is a list of pieces for one vectored write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


COPIED_BYTES = 4096

# start and end of the old span, and what stands there instead
Replacement = tuple[int, int, "tuple[Buffer, ...]"]


class Edits:
    """Replacements of spans of `body`; positions are those of the unedited body.

    An insertion is the replacement of an empty span; several at one place keep their order.
    """

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._replaced: list[Replacement] = []
        self._sized: list[tuple[int, int, int]] = []

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self._replaced)

    def replace(self, start: int, end: int, *pieces: Buffer) -> None:
        """Put `pieces` in the place of the bytes from `start` to `end`; they are kept, not copied.

        Raises:
            ValueError: the span is not one of the body.
        """
        if not 0 <= start <= end <= len(self._body):
            raise ValueError(f"span {start}-{end} is outside a body of {len(self._body)} bytes")
        self._replaced.append((start, end, pieces))

    def resize(self, size_start: int, start: int, end: int) -> None:
        """Say that the bytes from `size_start` to `start` are the unsigned varint size of those from `start` to `end`.

        It is written anew if edits inside the span change its size.
        """
        self._sized.append((size_start, start, end))

    def replacements(self) -> list[Replacement]:
        """All replacements, those of sizes too, in no order."""
        edits = list(self._replaced)
        for size_start, start, end in sorted(set(self._sized), key=lambda sized: sized[2] - sized[1]):
            inside = [(last - first, new) for first, last, new in edits if start <= first and last <= end]
            grown = sum(size_of(new) - old_size for old_size, new in inside)
            if grown:
                edits.append((size_start, start, (uvarint(end - start + grown),)))
        return edits

    def pieces(self) -> list[Buffer]:
        """The edited body, in order; what is unchanged are views of the body, short ones copies.

        Raises:
            ValueError: two edits overlap.
        """
        pieces: list[Buffer] = []
        at = 0
        for start, end, new in sorted(self.replacements(), key=lambda edit: edit[:2]):
            if start < at:
                raise ValueError(f"edits overlap at byte {start}")
            if start > at:
                pieces.append(kept(self._body[at:start]))
            pieces += new
            at = end
        if at < len(self._body):
            pieces.append(kept(self._body[at:]) if at else self._body)
        return pieces


def kept(unchanged: memoryview) -> Buffer:
    """What stays of a body: copied where that is little, so that a large frame need not be held until it has left."""
    return bytes(unchanged) if len(unchanged) <= COPIED_BYTES else unchanged


def size_of(pieces: Sequence[Buffer]) -> int:
    """How many bytes the pieces have together."""
    return sum(memoryview(piece).nbytes for piece in pieces)


def held_by(pieces: Sequence[Buffer]) -> int:
    """How many bytes of memory the pieces keep: a view keeps all of what it looks into."""
    views = [memoryview(piece) for piece in pieces]
    return sum({id(view.obj): memoryview(view.obj).nbytes for view in views}.values())


def uvarint(value: int) -> bytes:
    """An unsigned varint, as Kafka's compact lengths and tags are written.

    Source: KIP-482.
    """
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
