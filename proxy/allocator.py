"""How the C library keeps the memory of frames that have left: for the next frames, and no longer than there are any.

Only glibc has these switches. Others give memory back by themselves, and need nothing.

Source: mallopt(3), malloc_trim(3).
"""

from __future__ import annotations

import ctypes

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
