"""Background tasks that cannot be lost: each is held until it ends, and its failure is logged."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from wiremask.proxy.log import logger

if TYPE_CHECKING:
    from collections.abc import Coroutine

_log = logger()


class Tasks:
    """The tasks of one owner, ended together with it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> asyncio.Task[Any]:
        """Starts `work` and keeps it referenced until it ends."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # The type alone: an exception's text may quote what it was working on.
            _log.error("background task failed", task=task.get_name(), error=type(error).__name__)

    async def end(self) -> None:
        """Cancels what still runs and waits for it."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
