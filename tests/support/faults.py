"""A TCP proxy that breaks connections where a test says, as networks, load balancers and kernels do. It knows no Kafka.

    async with FaultProxy(target_port) as faults:
        faults.plan(Fault(act=Act.CUT, way=Way.REQUESTS, at=17))
        client = connect(faults.port)
        ...
        assert faults.struck[Act.CUT] == 1

Faults strike in their order, each so many bytes after the one before, and hit the connection that carries the byte. No
clock decides, and a connection on which nothing moves uses up no fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections import Counter, deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

LOOPBACK = "127.0.0.1"
PIECE_BYTES = 1 << 16
NARROW_BYTES = 600
"""What a throttled way passes at once: no frame that matters is as small."""
PAUSE_S = 0.03
"""How long bytes are late. Nothing is decided by it: a test with any other pause comes to the same."""
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: the socket closes with RST


class Way(Enum):
    """A direction."""

    REQUESTS = "requests"
    ANSWERS = "answers"


class Act(Enum):
    """What happens to a connection."""

    CUT = "cut"  # both ends are told of an end
    RESET = "reset"  # both ends are told of a failure
    HALF_CLOSE = "half-close"  # the receiver is told of an end; what comes the other way goes on
    DELAY = "delay"  # what comes afterwards comes late
    THROTTLE = "throttle"  # what comes afterwards comes bit by bit
    DOUBLE = "double"  # what comes afterwards comes by a second connection too, whose answers nobody reads


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault: `at` bytes of one way pass on the port, and it strikes. The next connection to begin is the one to be doubled."""

    act: Act
    way: Way = Way.REQUESTS
    at: int = 0


class FaultProxy:
    """Stands on a port before another, in the event loop of the test.

    Args:
        target: the port that it passes connections on to.
        port: its own; any that is free when not given.
    """

    def __init__(self, target: int, *, port: int = 0) -> None:
        self.target = target
        self._planned: deque[Fault] = deque()
        self._ahead = 0  # bytes until the first of them strikes
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = port
        self.accepted = 0
        self.struck: Counter[Act] = Counter()
        """Faults that happened."""
        self.passed: Counter[Way] = Counter()
        """Bytes that passed, over all connections."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._serving):
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    @property
    def open(self) -> int:
        """Connections that are not over yet."""
        return len(self._serving)

    def plan(self, *faults: Fault) -> None:
        """Has these faults strike, one after the other."""
        if not self._planned and faults:
            self._ahead = faults[0].at
        self._planned.extend(faults)

    def spend(self, way: Way, count: int) -> tuple[int, Fault | None]:
        """How many of so many bytes pass, and the fault that strikes the connection behind them."""
        fault = self._planned[0] if self._planned else None
        if fault is None or fault.way is not way or fault.act is Act.DOUBLE:
            return count, None
        if count < self._ahead:
            self._ahead -= count
            return count, None
        passed = self._ahead
        self._done(fault)
        return passed, fault

    def doubles_next(self) -> bool:
        """Whether the connection that begins now is to be doubled."""
        is_doubled = bool(self._planned) and self._planned[0].act is Act.DOUBLE
        if is_doubled:
            self._done(self._planned[0])
        return is_doubled

    def _done(self, fault: Fault) -> None:
        self.struck[fault.act] += 1
        self._planned.popleft()
        self._ahead = self._planned[0].at if self._planned else 0

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.accepted += 1
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await _Link(self).run((reader, writer))


Side = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Over(Exception):
    """The connection ends now."""


class _Link:
    """One connection and its way on."""

    def __init__(self, proxy: FaultProxy) -> None:
        self._proxy = proxy
        self._sides: list[Side] = []
        self._second: Side | None = None

    async def run(self, client: Side) -> None:
        """Passes both ways until both have ended, or a fault ends them."""
        self._sides.append(client)
        try:
            target = await self._connect()
            if self._proxy.doubles_next():
                self._second = await self._connect()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pass(client[0], target[1], Way.REQUESTS))
                both.create_task(self._pass(target[0], client[1], Way.ANSWERS))
                if self._second is not None:
                    both.create_task(_swallow(self._second[0]))
        except* (_Over, OSError):
            pass
        finally:
            for _, writer in self._sides:
                writer.close()

    async def _connect(self) -> Side:
        side = await asyncio.open_connection(LOOPBACK, self._proxy.target)
        self._sides.append(side)
        return side

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, way: Way) -> None:
        size, piece = PIECE_BYTES, b""
        while True:
            count, fault = self._proxy.spend(way, len(piece))
            await self._send(piece[:count], sink, way)
            piece = piece[count:]
            if fault is not None:
                size = await self._strike(fault.act, source, sink)
                if not size:
                    return
            elif not piece:
                if size < PIECE_BYTES:
                    await asyncio.sleep(0)  # a piece a turn of the loop
                piece = await source.read(size)
                if not piece:
                    break
        for writer in self._receivers(sink, way):
            writer.write_eof()

    async def _send(self, piece: bytes, sink: asyncio.StreamWriter, way: Way) -> None:
        self._proxy.passed[way] += len(piece)
        for writer in self._receivers(sink, way):
            writer.write(piece)
            await writer.drain()

    def _receivers(self, sink: asyncio.StreamWriter, way: Way) -> list[asyncio.StreamWriter]:
        return [sink, self._second[1]] if self._second is not None and way is Way.REQUESTS else [sink]

    async def _strike(self, act: Act, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> int:
        """Does it; gives how many bytes pass at once from now on."""
        match act:
            case Act.CUT:
                raise _Over
            case Act.RESET:
                for _, writer in self._sides:
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    writer.transport.abort()
                raise _Over
            case Act.HALF_CLOSE:
                sink.write_eof()
                await _swallow(source)
                return 0
            case Act.DELAY:
                await asyncio.sleep(PAUSE_S)
            case Act.THROTTLE:
                return NARROW_BYTES
            case Act.DOUBLE:
                raise ValueError("a connection is doubled when it begins")
        return PIECE_BYTES


async def _swallow(source: asyncio.StreamReader) -> None:
    while await source.read(PIECE_BYTES):
        pass
