"""Tells that something changed in some directories, from the operating system's own notice of it.

The notice only makes a reload quick. It is no proof (network file systems give none, and queues overflow), so whoever
watches also looks for itself from time to time.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from wiremask.proxy.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logger()

_STEP_MS = 200
"""How often the watching thread wakes; a change is told when one step brought no further one."""
_DEBOUNCE_MS = 1_000
"""A change is told after this time, even if further ones keep coming."""


class DirectoryWatch:
    """Calls `changed` on the event loop after something changed in the directories that it follows."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._identity: frozenset[tuple[Path, int, int]] = frozenset()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    async def follow(self, directories: frozenset[Path]) -> bool:
        """Follows these directories from now on, instead of those before.

        Returns:
            Whether the watch began anew: what changed before it began is not told.
        """
        identity = frozenset(filter(None, map(_identify, directories)))
        if identity == self._identity:
            return False
        await self.close()
        self._identity = identity
        if identity:
            self._stop = threading.Event()
            arguments = ([str(path) for path, _, _ in identity], self._stop)
            self._thread = threading.Thread(target=self._watch, args=arguments, name="watch rules", daemon=False)
            self._thread.start()
        return True

    async def close(self) -> None:
        """Ends the thread, within one step."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def _watch(self, directories: list[str], stop: threading.Event) -> None:
        # Imported by the thread: it takes 50 ms that a proxy which starts has better uses for.
        from watchfiles import watch  # noqa: PLC0415

        try:
            for _ in watch(
                *directories,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                step=_STEP_MS,
                stop_event=stop,
                rust_timeout=0,
                debug=False,  # it would print the names of files
                raise_interrupt=False,
                recursive=False,
                ignore_permission_denied=True,
            ):
                self._loop.call_soon_threadsafe(self._changed)
        except Exception as error:
            # Whatever it is (no inotify left, an overflow): the caller's own look at the files goes on.
            if not stop.is_set():
                _log.warning("file watch failed", error=error, reason="changes are found at the next rescan instead")


def _identify(directory: Path) -> tuple[Path, int, int] | None:
    """A directory and the inode that it stands for now: a new one under the old name must be watched anew."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return directory, found.st_dev, found.st_ino
