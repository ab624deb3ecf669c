"""Kafka on plain sockets: a raw client, and a relay that records what a real client and a broker say to each other."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable
    from types import TracebackType

TIMEOUT_S = 60.0


class RawClient:
    """One connection that sends any bytes and reads frames.

    Args:
        address: `host:port`.
        tls: speaks TLS, with this context.
    """

    def __init__(self, address: str, *, timeout_s: float = TIMEOUT_S, tls: ssl.SSLContext | None = None) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Sends bytes as they are (a frame of `support.requests` has its size in front)."""
        self._socket.sendall(data)

    def read(self) -> bytes | None:
        """The next frame without its size; None when the other side closed before a frame began.

        Raises:
            ConnectionError: it closed inside a frame.
            TimeoutError: nothing came in time.
        """
        prefix = self._read_exactly(4)
        if prefix is None:
            return None
        (size,) = struct.unpack(">i", prefix)
        body = self._read_exactly(size)
        if body is None and size:
            raise ConnectionError("closed inside a frame")
        return body or b""

    def ask(self, frame: bytes) -> bytes:
        """Sends one request and reads its answer.

        Raises:
            ConnectionError: the connection was closed instead.
        """
        self.send(frame)
        answer = self.read()
        if answer is None:
            raise ConnectionError("closed instead of an answer")
        return answer

    def is_closed(self, *, timeout_s: float = TIMEOUT_S) -> bool:
        """Whether the other side closes within the time without sending anything more."""
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def cut(self) -> None:
        """Ends the connection, also for a thread that is sending."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _read_exactly(self, count: int) -> bytes | None:
        data = bytearray(count)
        view, filled = memoryview(data), 0
        while filled < count:
            try:
                size = self._socket.recv_into(view[filled:])
            except ConnectionResetError:
                size = 0
            if not size:
                if filled:
                    raise ConnectionError("closed inside a frame")
                return None
            filled += size
        return bytes(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One frame that passed the relay.

    Attributes:
        connection: counts the connections from 0.
        data: the frame with its size in front, as `RawClient.send` takes it.
        api_key, version: of the request; -1 in an answer.
        seen_ns: when it passed, by a clock that all relays share.
    """

    connection: int
    direction: Literal["request", "response"]
    data: bytes
    api_key: int = -1
    version: int = -1
    seen_ns: int = 0


class Relay:
    """Passes connections on to a broker and keeps every frame, in the order of arrival.

    A broker's RECORDED listener advertises the relay's port, so all connections of a client come by here.
    """

    def __init__(self, *, listen: int, target: int) -> None:
        self._target = target
        self._frames: list[Recorded] = []
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", listen))
        self.bootstrap = f"127.0.0.1:{listen}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # close() alone does not wake a thread that is inside accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join(5)
        for sock in self._sockets:
            sock.close()

    @property
    def frames(self) -> tuple[Recorded, ...]:
        """What has passed so far."""
        with self._lock:
            return tuple(self._frames)

    def requests(self, *api_keys: int) -> list[Recorded]:
        """The requests that passed, of these apis or of all."""
        return [f for f in self.frames if f.direction == "request" and (not api_keys or f.api_key in api_keys)]

    def answers(self, api_key: int) -> list[Recorded]:
        """The responses to requests of that api, with its key and the version. No request may have gone without an answer."""
        asked: dict[int, deque[Recorded]] = defaultdict(deque)
        found = []
        for frame in self.frames:
            if frame.direction == "request":
                asked[frame.connection].append(frame)
            else:
                request = asked[frame.connection].popleft()
                if request.api_key == api_key:
                    found.append(replace(frame, api_key=api_key, version=request.version))
        return found

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            with self._lock:
                number = len(self._sockets) // 2
                self._sockets += [client, broker]
            self._start(self._pump, client, broker, number, "request")
            self._start(self._pump, broker, client, number, "response")

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _pump(
        self, source: socket.socket, sink: socket.socket, number: int, direction: Literal["request", "response"]
    ) -> None:
        pending = bytearray()
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 18):
                pending += piece
                for frame in _take_frames(pending):
                    self._keep(frame, number, direction)
                    sink.sendall(frame)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _keep(self, frame: bytes, number: int, direction: Literal["request", "response"]) -> None:
        api_key, version = struct.unpack_from(">hh", frame, 4) if direction == "request" else (-1, -1)
        with self._lock:
            self._frames.append(
                Recorded(
                    connection=number,
                    direction=direction,
                    data=frame,
                    api_key=api_key,
                    version=version,
                    seen_ns=time.monotonic_ns(),
                )
            )


def _take_frames(pending: bytearray) -> Iterable[bytes]:
    """Removes the whole frames at the front of `pending` and gives them."""
    while len(pending) >= 4:
        size = 4 + int.from_bytes(pending[:4], "big")
        if len(pending) < size:
            return
        yield bytes(pending[:size])
        del pending[:size]


def for_topic(frame: bytes, old: bytes, new: bytes) -> bytes:
    """A recorded request for another topic: `old` is its name or its 16-byte id, `new` one of the same length.

    Raises:
        ValueError: the lengths differ, or the old one does not stand there exactly once.
    """
    if len(old) != len(new) or frame.count(old) != 1:
        raise ValueError("cannot exchange the topic")
    return frame.replace(old, new)
