"""The memory of a running proxy is left to nobody."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from support.proxy import ProxyProcess

NOTHING = "127.0.0.1:1"

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be asked")


@linux
def test_a_running_proxy_writes_no_core(start_proxy_of: Callable[..., ProxyProcess]) -> None:
    proxy = start_proxy_of(upstream=NOTHING, start=False)

    proxy.start(wait=False)
    proxy.wait_listening()

    assert resource.prlimit(proxy.pid, resource.RLIMIT_CORE) == (0, 0)


@linux
def test_a_process_that_forbids_core_dumps_is_not_dumpable() -> None:
    code = (
        "import ctypes; from wiremask.proxy.coredump import forbid_core_dumps; prctl = ctypes.CDLL(None).prctl;"
        "before = prctl(3, 0, 0, 0, 0); forbid_core_dumps(); print(before, prctl(3, 0, 0, 0, 0))"
    )

    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert told == ["1", "0"]
