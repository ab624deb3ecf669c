"""The memory of a real proxy process under peers that do not move."""

from __future__ import annotations

import socket
import struct
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from support import ports
from support.capture import RawClient
from support.requests import plain_frame
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.proxy import ProxyProcess

MIB = 1 << 20
LIST_GROUPS = 16
LIMITS = {"frameBytes": 60 * MIB, "bufferedBytes": 128 * MIB, "stalledSeconds": 0.4}


class ThreadedBroker:
    """Answers ListGroups with as many bytes as it is told to, a thread a connection; reads for as long as `reads` is set."""

    def __init__(self) -> None:
        self.answer_bytes = 100
        self.reads = threading.Event()
        self.reads.set()
        self._block = ports.reserve()
        self._listening = socket.create_server(("127.0.0.1", self._block.take()), backlog=512)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listening]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        self.reads.set()
        for peer in self._open:
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            peer.close()
        for thread in self._threads:
            thread.join(5)
        self._block.release()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listening.accept()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                self._open.append(peer)
                thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError), peer.makefile("rb") as stream:
            while self.reads.wait() and len(prefix := stream.read(4)) == 4:
                (left,) = struct.unpack(">i", prefix)
                head = stream.read(min(left, 8))
                left -= len(head)
                while left:
                    left -= len(stream.read(min(left, MIB)))
                key, _version, correlation_id = struct.unpack(">hhi", head)
                peer.sendall(self._answer(key, correlation_id))

    def _answer(self, key: int, correlation_id: int) -> bytes:
        if key == LIST_GROUPS:
            return struct.pack(">ii", 4 + self.answer_bytes, correlation_id) + bytes(self.answer_bytes)
        body = struct.pack(">hi", 0, 0)
        return struct.pack(">ii", 4 + len(body), correlation_id) + body


@pytest.fixture
def broker() -> Iterator[ThreadedBroker]:
    broker = ThreadedBroker()
    yield broker
    broker.stop()


def test_a_hundred_readers_that_do_not_read(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    proxy = start_proxy_of(upstream=broker.address, settings={"limits": {**LIMITS, "stalledSeconds": 60}})
    before = proxy.resident_bytes()
    broker.answer_bytes = 20 * MIB

    with ExitStack() as stack:
        readers = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(100)]
        for reader in readers:
            reader.send(plain_frame(LIST_GROUPS, 2))
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 80, what="frames that wait")
        taken = proxy.metric("wiremask_buffered_bytes")
        held = proxy.peak_bytes() - before
        with ThreadPoolExecutor(100) as threads:
            sizes = list(threads.map(lambda reader: len(reader.read() or b""), readers))

    assert 0 < taken <= 128 * MIB
    assert held < 128 * MIB + 40 * MIB
    assert sizes == [20 * MIB + 4] * 100
    eventually(lambda: proxy.metric("wiremask_buffered_bytes") == 0)


def test_a_hundred_frames_of_fifty_megabytes_that_never_arrive_whole(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    proxy = start_proxy_of(upstream=broker.address, settings={"limits": LIMITS})
    before = proxy.resident_bytes()
    half = plain_frame(LIST_GROUPS, 2, bytes(50 * MIB))[: 25 * MIB]

    with ExitStack() as stack:
        senders = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(100)]
        feeding = [threading.Thread(target=_feed, args=(sender, half), daemon=True) for sender in senders]
        for thread in feeding:
            thread.start()
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 90, what="frames that wait")
        with RawClient(proxy.bootstrap) as small:
            answered = len(small.ask(plain_frame(LIST_GROUPS, 2)))
        with RawClient(proxy.bootstrap, timeout_s=100) as whole:
            whole.send(plain_frame(LIST_GROUPS, 2, bytes(50 * MIB)))
            arrived = whole.read()
        held = proxy.peak_bytes() - before
        for thread in feeding:
            thread.join(60)

    assert answered == 104
    assert arrived is not None, "a whole frame must find room in the end"
    assert held < 128 * MIB + 40 * MIB
    assert proxy.metric("wiremask_connections_closed_total", reason="stalled") >= 90
    eventually(lambda: proxy.metric("wiremask_frames_waiting") == 0, what="no frame that waits for ever")


def test_a_broker_that_does_not_read(broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]) -> None:
    proxy = start_proxy_of(upstream=broker.address, settings={"limits": {**LIMITS, "stalledSeconds": 60}})
    before = proxy.resident_bytes()
    broker.reads.clear()
    frame = plain_frame(LIST_GROUPS, 2, bytes(20 * MIB))

    with ExitStack() as stack, ThreadPoolExecutor(30) as threads:
        senders = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(30)]
        answers = [threads.submit(sender.ask, frame) for sender in senders]
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 20, what="frames that wait")
        held = proxy.peak_bytes() - before
        broker.reads.set()
        sizes = [len(answer.result()) for answer in answers]

    assert held < 128 * MIB + 40 * MIB
    assert sizes == [104] * 30


def test_two_hundred_idle_connections(broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]) -> None:
    proxy = start_proxy_of(upstream=broker.address)
    before = proxy.resident_bytes()

    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(RawClient(proxy.bootstrap)).ask(plain_frame(LIST_GROUPS, 2))
        held = proxy.resident_bytes() - before

    assert held < 20 * MIB


def _feed(client: RawClient, data: bytes) -> None:
    with suppress(OSError):
        client.send(data)
