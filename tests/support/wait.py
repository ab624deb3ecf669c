"""Waiting with a deadline, so that no test sleeps for a fixed time and none hangs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

STEP_S = 0.05
PATIENCE_S = 60.0
"""What comes true comes soon, but a loaded machine may take its time; only a test that fails waits so long."""


class Expired(AssertionError):
    """What a test waited for did not come true in time."""


def eventually(probe: Callable[[], T], *, timeout_s: float = PATIENCE_S, step_s: float = STEP_S, what: str = "") -> T:
    """Calls `probe` until it gives something true, and returns that.

    An `AssertionError` or `OSError` of the probe counts as not yet; the last one is the cause of `Expired`.

    Raises:
        Expired: the deadline passed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        fault: BaseException | None = None
        try:
            found = probe()
        except (AssertionError, OSError) as error:
            fault = error
        else:
            if found:
                return found
        if time.monotonic() >= deadline:
            raise Expired(f"not within {timeout_s:g} s: {what or probe}") from fault
        time.sleep(step_s)


async def eventually_async(
    probe: Callable[[], Awaitable[T]], *, timeout_s: float = PATIENCE_S, step_s: float = STEP_S, what: str = ""
) -> T:
    """`eventually` for a coroutine function; the event loop runs on meanwhile.

    Raises:
        Expired: the deadline passed.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        fault: BaseException | None = None
        try:
            found = await probe()
        except (AssertionError, OSError) as error:
            fault = error
        else:
            if found:
                return found
        if time.monotonic() >= deadline:
            raise Expired(f"not within {timeout_s:g} s: {what or probe}") from fault
        await asyncio.sleep(step_s)


async def until(condition: Callable[[], object], *, timeout_s: float = 15.0, what: str = "") -> None:
    """`eventually_async` for a plain function, for what happens within some turns of the event loop.

    Raises:
        Expired: the deadline passed.
    """

    async def probe() -> object:
        return condition()

    await eventually_async(probe, timeout_s=timeout_s, step_s=0.002, what=what or str(condition))
