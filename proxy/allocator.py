"""How the C library keeps the memory of frames that have left: for the next frames, and no longer than there are any.

Only glibc has these switches. Others give memory back by themselves, and need nothing.

Source: mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

KEPT_BYTES = 32 * 1024 * 1024
"""Blocks up to this size are kept for the next, and so much at the end of the heap; glibc allows no more for blocks."""


def settle() -> None:
    """Keeps freed batches for the next; to be called before there are threads.

    By default glibc gives a large block back and faults it in again, page by page, which costs as much as masking it.
    And it gives each thread a heap of its own, where what other threads have freed is of no use to it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Gives all free pages back to the system: some 0.2 ms for a megabyte of them, while which nobody gets memory."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Kept:
    """What is kept of the memory that frames took and do not take any more, and when it is given back.

    It is at most what was taken at any time since memory was given back last, less what is taken. What was taken a
    moment ago is likely to be wanted again.

    Not safe for threads by itself: whoever counts what is taken calls this under the lock that guards the count, so
    that nothing is taken unseen, also while memory is given back. A thread that wants some would wait then anyway.

    Args:
        block_bytes: freed blocks up to this size are kept for the next; larger ones are given back at once.
        give_back: gives back all that is kept.
    """

    def __init__(self, *, block_bytes: int = KEPT_BYTES, give_back: Callable[[], None] = give_back) -> None:
        self._block_bytes = block_bytes
        self._give_back = give_back
        self._highest = 0  # of what was taken since memory was given back last
        self._recent = self._lately = 0  # the same since the last look, and between the two before

    def took(self, taken_bytes: int) -> None:
        """So much is taken in all, from now on."""
        self._highest = max(self._highest, taken_bytes)
        self._recent = max(self._recent, taken_bytes)

    def make_way(self, count: int, taken_bytes: int, limit_bytes: int) -> None:
        """A block that is too large for what is kept will be taken beside it: both together stay within the limit."""
        if count > self._block_bytes and self._highest + count > limit_bytes:
            self._give_back()
            self._highest = taken_bytes

    def look_back(self, taken_bytes: int) -> None:
        """Gives back what was not wanted lately, if it is much. To be called regularly."""
        wanted = max(self._recent, self._lately)
        self._lately, self._recent = self._recent, taken_bytes
        if self._highest - wanted > self._block_bytes:
            self._give_back()
            self._highest = wanted
