"""A broker with a thread for each connection: it answers where the test itself is busy, and reads only while it is let."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

from support import ports
from support.scripted import fetched, produced

MIB = 1 << 20
PRODUCE, FETCH, LIST_GROUPS = 0, 1, 16


class ThreadedBroker:
    """Answers ListGroups with as many bytes as it is told to, Fetch 11 with the records that it has and Produce 8
    with success, a thread a connection; reads for as long as `reads` is set."""

    def __init__(self) -> None:
        self.answer_bytes = 100
        self._bodies = {PRODUCE: produced(8, {"payments": {0: 0}})}
        self.reads = threading.Event()
        self.reads.set()
        self._block = ports.reserve()
        self._listening = socket.create_server(("127.0.0.1", self._block.take()), backlog=512)
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listening]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def hold(self, records: bytes) -> None:
        """Has these records for who fetches `payments`; the answer is made once for all connections."""
        self._bodies[FETCH] = fetched(11, {"payments": {0: records}})

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
                body = self._body(key)
                peer.sendall(struct.pack(">ii", 4 + len(body), correlation_id))
                peer.sendall(body)

    def _body(self, key: int) -> bytes:
        if key == LIST_GROUPS:
            return bytes(self.answer_bytes)
        return self._bodies.get(key, bytes(6))
