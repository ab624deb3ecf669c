"""No core dumps: what a process leaves behind when it dies would hold records and keys."""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def forbid_core_dumps() -> None:
    """Has the system write no core of this process, and let no other process of the same user look into its memory.

    The limit alone does not hold where cores are handed to a program (`core_pattern` with a pipe, as systemd and
    container hosts have it); not being dumpable does, and keeps debuggers of the same user out as well. Elsewhere than
    on Linux there is the limit alone.

    Source: setrlimit(2), RLIMIT_CORE; prctl(2), PR_SET_DUMPABLE; core(5).
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
