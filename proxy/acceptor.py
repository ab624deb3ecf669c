"""Takes clients from the bound ports, while there are file descriptors for them.

When descriptors run out, no port is accepted from for a while: clients wait in the kernel's queue of connections, and
those that are in go on. The event loop's own servers do not serve here: they take a client that they have no descriptor
for and close it at once, and cannot be told to wait.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from wiremask.proxy import metrics
from wiremask.proxy.log import logger

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from wiremask.proxy.tasks import Tasks

    MakeProtocol = Callable[[], asyncio.BaseProtocol]

_BURST: Final = 64
"""Clients that are taken from one port before others have their turn."""

_PAUSE_S: Final = 0.2
_TELL_AGAIN_S: Final = 60.0

_log = logger()


class Acceptor:
    """All bound ports of the process, from `listen` to `close`."""

    def __init__(self, tasks: Tasks, *, has_room: Callable[[int], bool]) -> None:
        """Makes one without ports.

        Args:
            tasks: hold the clients that are being handed over.
            has_room: whether one more client can be taken, beside so many that are being handed over.
        """
        self._tasks = tasks
        self._has_room = has_room
        self._loop = asyncio.get_running_loop()
        self._ports: dict[socket.socket, MakeProtocol] = {}
        self._arriving: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._told_at_s: float | None = None

    def listen(self, port: socket.socket, make_protocol: MakeProtocol) -> None:
        """Takes clients from a port that is bound and listens; the port belongs to the acceptor from now on."""
        port.setblocking(False)
        self._ports[port] = make_protocol
        if self._pause is None:
            self._loop.add_reader(port, self._accept, port)

    async def close(self) -> None:
        """Takes no more clients and cuts those that wait; returns when those that were taken are in."""
        if self._pause is not None:
            self._pause.cancel()
        for port in self._ports:
            self._loop.remove_reader(port)
            port.close()
        self._ports.clear()
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _accept(self, port: socket.socket) -> None:
        for taken in range(_BURST):
            if not self._has_room(len(self._arriving)):
                if not taken:  # else it is not known whether anybody waits
                    self._wait("too few file descriptors are left")
                return
            try:
                client, _ = port.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return  # nobody is there, or nobody any more
            except OSError as error:  # descriptors of the whole system, memory
                self._wait(error.strerror or type(error).__name__)
                return
            client.setblocking(False)
            task = self._tasks.spawn(self._hand_over(client, self._ports[port]), name="take a client")
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _hand_over(self, client: socket.socket, make_protocol: MakeProtocol) -> None:
        try:
            await self._loop.connect_accepted_socket(make_protocol, client)
        except OSError:
            client.close()  # it left in between

    def _wait(self, reason: str) -> None:
        metrics.accept_pauses.inc()
        now_s = self._loop.time()
        if self._told_at_s is None or now_s >= self._told_at_s + _TELL_AGAIN_S:
            self._told_at_s = now_s
            _log.error("clients wait to be taken", reason=reason)
        for port in self._ports:
            self._loop.remove_reader(port)
        self._pause = self._loop.call_later(_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        self._pause = None
        for port in self._ports:
            self._loop.add_reader(port, self._accept, port)
