"""Clients without a library: requests that are ready as bytes, sent again and again, each when the one before is answered.

What such a client costs is little and the same for all lanes, so that latency is that of the lane and the broker.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.traffic import BadRun, CpuClock
from support.requests import produce_frame, read_produced

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

VERSION = 9
TIMEOUT_S = 60.0
READ_BYTES = 1 << 16


def request(topic: str, records: Mapping[int, bytes]) -> bytes:
    """A Produce with acks=all, size and all."""
    return produce_frame(topic, dict(records), version=VERSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What a closed loop took: seconds of each request, in the order of their answers."""

    latencies_s: list[float]
    wall_s: float
    cpu_s: float

    def percentile_s(self, percent: float) -> float:
        """Of the latencies."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass(slots=True)
class _Client:
    """One connection, with one request under way, or several that are pipelined."""

    sock: socket.socket
    frame: bytes
    pipelined: int = 1
    left: int = 0
    sent: int = 0
    begun_s: float = 0.0
    answer: bytearray = field(default_factory=bytearray)

    def begin(self) -> bool:
        """Sends the request from its beginning; whether all of it left."""
        self.sent, self.begun_s, self.left = 0, time.perf_counter(), self.pipelined
        self.answer.clear()
        return self.go_on()

    def go_on(self) -> bool:
        """Sends what the socket takes; whether all of it left."""
        with contextlib.suppress(BlockingIOError):
            while self.sent < len(self.frame):
                self.sent += self.sock.send(memoryview(self.frame)[self.sent :])
        return self.sent == len(self.frame)

    def is_answered(self) -> bool:
        """Reads; whether the last answer is whole, which is then all that is kept."""
        piece = self.sock.recv(READ_BYTES)
        if not piece:
            raise BadRun("a connection was closed in the middle of a run")
        self.answer += piece
        while len(self.answer) >= 4 and len(self.answer) >= (end := 4 + struct.unpack_from(">i", self.answer)[0]):
            self.left -= 1
            if not self.left:
                return True
            del self.answer[:end]
        return False

    def check(self) -> None:
        """Raises `BadRun` if the last answer says that records were refused."""
        codes = {one.error_code for one in read_produced(bytes(self.answer[4:]), VERSION).values()}
        if codes != {0}:
            raise BadRun(f"the broker answered with error codes {sorted(codes)}")


@contextlib.contextmanager
def connected(port: int, count: int) -> Iterator[list[socket.socket]]:
    """So many connections to a port of this machine."""
    with contextlib.ExitStack() as stack:
        socks = []
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            socks.append(sock)
        yield socks


def closed_loop(
    port: int, frames: Sequence[bytes], *, requests: int, clock: CpuClock, warm_up: int = 1, pipelined: int = 1
) -> Loop:
    """One connection for each of `frames`; all of them together make so many requests.

    With `pipelined`, each request is so many of them, sent at once.

    Raises:
        BadRun: a request was refused, or took too long.
    """
    with connected(port, len(frames)) as socks, selectors.DefaultSelector() as selector:
        clients = [
            _Client(sock=sock, frame=frame * pipelined, pipelined=pipelined)
            for sock, frame in zip(socks, frames, strict=True)
        ]
        for client in clients:
            client.sock.setblocking(False)
            selector.register(client.sock, selectors.EVENT_READ, client)
        _turn(selector, clients, warm_up * len(clients))
        cpu, begin = clock.read(), time.perf_counter()
        latencies = _turn(selector, clients, requests)
        loop = Loop(latencies_s=latencies, wall_s=time.perf_counter() - begin, cpu_s=clock.read() - cpu)
        for client in clients:
            client.check()
    return loop


def _turn(selector: selectors.BaseSelector, clients: Sequence[_Client], requests: int) -> list[float]:
    """Has each client send its share of the requests, the next when the one before is answered."""
    latencies: list[float] = []
    left = requests
    busy = 0
    for client in clients[:requests]:
        _begin(selector, client)
        left -= 1
        busy += 1
    until = time.perf_counter() + TIMEOUT_S
    while busy:
        if time.perf_counter() > until:
            raise BadRun(f"{busy} requests were not answered within {TIMEOUT_S:g} s")
        for key, events in selector.select(timeout=1):
            client = key.data
            if events & selectors.EVENT_WRITE and client.go_on():
                selector.modify(client.sock, selectors.EVENT_READ, client)
            if not events & selectors.EVENT_READ or not client.is_answered():
                continue
            latencies.append(time.perf_counter() - client.begun_s)
            busy -= 1
            if left:
                _begin(selector, client)
                left -= 1
                busy += 1
    return latencies


def _begin(selector: selectors.BaseSelector, client: _Client) -> None:
    if not client.begin():
        selector.modify(client.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
