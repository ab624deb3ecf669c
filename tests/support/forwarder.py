"""A plain TCP forwarder, as a load balancer or a container's port mapping stands in front of a proxy. It knows no Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

PIECE_BYTES = 1 << 16


class Forwarder:
    """Forwards any number of ports while its `with` block runs, on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._servers: list[asyncio.Server] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self.connections: Counter[str] = Counter()
        """How many clients came to each address."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def forward(self, address: str, *targets: int, header: bytes = b"") -> None:
        """Takes connections at `host:port` and passes them on to the first target port that answers, each in its turn.

        A header (that of the PROXY protocol) goes before what the client sends.
        """
        asyncio.run_coroutine_threadsafe(self._listen(address, targets, header), self._loop).result(10)

    async def _listen(self, address: str, targets: tuple[int, ...], header: bytes) -> None:
        host, _, port = address.rpartition(":")

        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            turn = self.connections[address]
            self.connections[address] += 1
            task = asyncio.current_task()
            assert task is not None
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)
            first = turn % len(targets)
            with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
                for target in targets[first:] + targets[:first]:
                    with contextlib.suppress(OSError):
                        onward = await asyncio.open_connection("127.0.0.1", target)
                        onward[1].write(header)
                        await _pass_both_ways((reader, writer), onward)
                        return

        self._servers.append(await asyncio.start_server(accepted, host, int(port)))

    async def _end(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._pumps):
            task.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)


Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _pass_both_ways(client: Side, target: Side) -> None:
    """Until either side ends; then both do."""
    with contextlib.closing(target[1]):
        ways = [asyncio.ensure_future(_pass(client[0], target[1])), asyncio.ensure_future(_pass(target[0], client[1]))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while piece := await source.read(PIECE_BYTES):
        sink.write(piece)
        await sink.drain()
