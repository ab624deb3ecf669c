"""Certificates, keys, trust stores and credentials: read again when their files change, without a connection dropped.

A file is looked at when the operating system tells of a change beside it (a Kubernetes secret is swapped by its
`..data` link), at SIGHUP, and every RESCAN_S. New files that cannot be used change nothing: what was read before stays,
and log and metric say so. They are tried again until they can be.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Protocol

from wiremask.proxy import metrics
from wiremask.proxy.log import logger
from wiremask.proxy.rulefiles import Signature, signature, watched_directories
from wiremask.proxy.watch import DirectoryWatch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

_log = logger()

RESCAN_S = 10.0


class Reloaded(Protocol):
    """What is made of files, and made anew when they change."""

    @property
    def use(self) -> str:
        """Whose files they are, in logs and metrics."""

    @property
    def files(self) -> Sequence[Path]:
        """The files."""

    @property
    def seen(self) -> Signature:
        """The state of the files before they were read last."""

    @property
    def expires(self) -> datetime | None:
        """When what is in use ends, if it is a certificate."""

    def reload(self) -> None:
        """Reads the files, on a thread.

        Raises:
            Exception: they cannot be used, and nothing has changed. The text of a class of ours is shown.
        """


class _Item:
    def __init__(self, made: Reloaded) -> None:
        self.made = made
        self.fault: str | None = None


class ReloadedFiles:
    """All that is made of files, save the rules, which `reload` keeps."""

    def __init__(self, made: Sequence[Reloaded]) -> None:
        """Takes what was read a moment ago."""
        self._items = [_Item(one) for one in made if one.files]
        self._wake = asyncio.Event()
        for item in self._items:
            metrics.file_reloads.labels(item.made.use, "refused").inc(0)
            _tell_expiry(item.made)

    def __len__(self) -> int:
        return len(self._items)

    def request_reload(self) -> None:
        """Asks for a look at the files now."""
        self._wake.set()

    async def watch(self) -> None:
        """Reloads until it is cancelled."""
        changes = DirectoryWatch(self._wake.set)
        try:
            while True:
                await changes.follow(watched_directories([file for item in self._items for file in item.made.files]))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESCAN_S):
                        await self._wake.wait()
                self._wake.clear()
                await self.reload()
        finally:
            await changes.close()

    async def reload(self) -> None:
        """Looks at every file, and reads again what changed or could not be used."""
        for item in self._items:
            if signature(list(item.made.files)) != item.made.seen or item.fault is not None:
                await self._read(item)

    async def _read(self, item: _Item) -> None:
        made = item.made
        try:
            await asyncio.to_thread(made.reload)
        except Exception as error:
            # Of other classes than ours the text may quote what was read.
            fault = str(error) if type(error).__module__.startswith("wiremask.") else type(error).__name__
            if fault != item.fault:
                metrics.file_reloads.labels(made.use, "refused").inc()
                _log.error("files refused", listener=made.use, error=fault, reason="what was read before stays in use")
            item.fault = fault
        else:
            item.fault = None
            metrics.file_reloads.labels(made.use, "applied").inc()
            _tell_expiry(made)
            _log.info("files applied", listener=made.use, path=str(made.files[0]))


def _tell_expiry(made: Reloaded) -> None:
    if made.expires is not None:
        metrics.certificate_expires.labels(made.use).set(made.expires.timestamp())
