"""Frames out of a stream of bytes: each is a size (int32, big endian) and that many bytes.

The assembler gives the transport memory to read into, in the manner of `asyncio.BufferedProtocol`. Small frames arrive
in a read buffer that connections lend one another, and are copied out of it once. A frame that is larger than the
buffer gets memory of exactly its size, is read straight into it, and is parsed there.

    get_buffer()  ->  the transport reads  ->  received(count)  ->  next_frame() until it gives None

Memory for a large frame is taken in `get_buffer`, that is, when more of it is about to be read. Who wants to reserve
memory first looks at `expected_bytes` after the last `next_frame`, and pauses reading meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wiremask.protocol.encode import INT32
from wiremask.protocol.errors import FrameTooLarge, MalformedFrame
from wiremask.protocol.splice import size_of
from wiremask.protocol.walk import allocate

if TYPE_CHECKING:
    from typing_extensions import Buffer

READ_BYTES: Final = 65536
_SIZE_BYTES: Final = 4

# What speaks another protocol to a Kafka port, by its first bytes. Read as a size, they are hundreds of megabytes.
_STRANGERS: Final = (
    (b"\x16\x03", "this looks like TLS on a plaintext port"),
    (b"GET ", "this looks like HTTP"),
    (b"POST", "this looks like HTTP"),
    (b"HTTP", "this looks like HTTP"),
    (b"PROX", "this looks like the PROXY protocol"),
    (b"\r\n\r\n", "this looks like the PROXY protocol"),
)


class ReadBuffers:
    """Read buffers that the connections of one event loop share: an idle connection holds none."""

    def __init__(self, *, kept: int = 16) -> None:
        self._free: list[bytearray] = []
        self._kept = kept

    def take(self) -> bytearray:
        """A buffer of READ_BYTES, with old bytes in it."""
        return self._free.pop() if self._free else allocate(READ_BYTES)

    def give(self, buffer: bytearray) -> None:
        """Take a buffer back; no view of it may be left."""
        if len(self._free) < self._kept:
            self._free.append(buffer)


class FrameAssembler:
    """The frames of one direction of one connection; see the module for the order of calls."""

    def __init__(self, *, limit_bytes: int, buffers: ReadBuffers | None = None) -> None:
        self._limit_bytes = limit_bytes
        self._buffers = buffers or ReadBuffers()
        self._buffer: bytearray | None = None
        self._start = 0  # of what is unread in the buffer
        self._end = 0
        self._expected: int | None = None  # the size of the frame whose size prefix was taken off
        self._frame: bytearray | None = None  # a large frame, of which `_filled` bytes are there
        self._filled = 0

    @property
    def expected_bytes(self) -> int | None:
        """The size of the frame that is arriving; None between frames, or while its size has not arrived."""
        return self._expected

    @property
    def is_between_frames(self) -> bool:
        """Whether nothing of a next frame is here: where a stream may end."""
        return self._expected is None and self._start == self._end

    def get_buffer(self, hint: int = -1) -> memoryview:  # noqa: ARG002  # asyncio's signature; the hint is always -1
        """Memory for the transport to read into; valid until `received`.

        Raises:
            BufferError: whole frames are waiting; `next_frame` comes first.
        """
        if self._expected is not None and self._expected > READ_BYTES:
            frame = self._large_frame(self._expected)
            if self._filled == len(frame):
                raise BufferError("a whole frame is waiting")
            return memoryview(frame)[self._filled :]
        buffer = self._buffer
        if buffer is None:
            buffer = self._buffer = self._buffers.take()
        if self._start > 0 and self._end == READ_BYTES:
            kept = self._end - self._start
            buffer[:kept] = buffer[self._start : self._end]
            self._start, self._end = 0, kept
        if self._end == READ_BYTES:
            raise BufferError("the read buffer is full of frames")
        return memoryview(buffer)[self._end :]

    def received(self, count: int) -> None:
        """Take note that the transport wrote this many bytes into the memory that it got last."""
        if self._frame is not None:
            self._filled += count
        else:
            self._end += count

    def next_frame(self) -> bytes | bytearray | None:
        """The next frame without its size, or None if it has not arrived whole; it belongs to the caller.

        Raises:
            FrameTooLarge: the size is beyond the limit. The stream cannot go on, and nothing is allocated for it.
            MalformedFrame: the size is negative.
        """
        if self._expected is None:
            if self._end - self._start < _SIZE_BYTES:
                self._release()
                return None
            self._expected = self._read_size(self._buffer or bytearray())
        size = self._expected
        if size > READ_BYTES:
            return self._take_large(size)
        if self._end - self._start < size:
            self._release()
            return None
        stop = self._start + size
        frame = bytes(memoryview(self._buffer or b"")[self._start : stop])
        self._start, self._expected = stop, None
        self._release()
        return frame

    def _read_size(self, buffer: bytearray) -> int:
        head = bytes(buffer[self._start : self._start + _SIZE_BYTES])
        (size,) = INT32.unpack(head)
        if size < 0:
            raise MalformedFrame(f"a frame of {size} bytes")
        if size > self._limit_bytes:
            stranger = next((f"; {what}" for start, what in _STRANGERS if head.startswith(start)), "")
            raise FrameTooLarge(f"a frame of {size} bytes is beyond the limit of {self._limit_bytes}{stranger}")
        self._start += _SIZE_BYTES
        return int(size)

    def _large_frame(self, size: int) -> bytearray:
        """The memory of the large frame; what arrived of it in the read buffer moves there first."""
        if self._frame is None:
            self._frame = allocate(size)
            self._filled = self._end - self._start
            if self._buffer is not None:
                memoryview(self._frame)[: self._filled] = memoryview(self._buffer)[self._start : self._end]
            self._start = self._end
            self._release()
        return self._frame

    def _take_large(self, size: int) -> bytearray | None:
        if self._frame is None or self._filled < size:
            return None
        frame = self._frame
        self._frame, self._filled, self._expected = None, 0, None
        return frame

    def drop(self) -> None:
        """Let go of all memory; the stream has ended."""
        if self._buffer is not None:
            self._buffers.give(self._buffer)
        self._buffer, self._frame, self._expected = None, None, None
        self._start = self._end = self._filled = 0

    def _release(self) -> None:
        """Give an empty read buffer back."""
        if self._buffer is not None and self._start == self._end:
            self._buffers.give(self._buffer)
            self._buffer, self._start, self._end = None, 0, 0


def frame_pieces(*pieces: Buffer) -> list[Buffer]:
    """A frame to be written: its size, then the pieces, which are not copied."""
    return [INT32.pack(size_of(pieces)), *pieces]
