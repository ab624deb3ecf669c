# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Frames out of a stream of bytes: each is a size (int32, big endian) and that many bytes.

The assembler gives the transport memory to read into, in the manner of `asyncio.BufferedProtocol`. Small frames arrive
in a read buffer that connections lend one another. One that lies there whole may be looked at where it lies (`find`), and
then either be passed on from there, size and all, without a copy (`pass_on`, and `take_passed` for all that were passed in
a row), or be copied out (`next_frame`). A frame that is larger than the buffer gets memory of exactly its size, is read
straight into it, and is parsed there.

    get_buffer()  ->  the transport reads  ->  received(count)  ->  find() or next_frame() until there is none

A large frame may also go on while it arrives (`begin_passing`, then `pass_arrived` and `rest_is_here` after each read): what
is held back of its end stays in the read buffer until it is there as a whole.

Memory for a large frame is taken in `get_buffer`, that is, when more of it is about to be read. Who wants to reserve
memory first looks at `expected_bytes` after the last `next_frame`, and pauses reading meanwhile.
"""

cimport cython
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromObject
from libc.stdint cimport int32_t, uint32_t
from libc.string cimport memcpy, memmove

from wiremask.protocol.encode import INT32
from wiremask.protocol.errors import FrameTooLarge, MalformedFrame
from wiremask.protocol.splice import size_of

cdef enum:
    BUFFER = 131072
    PREFIX = 4
    ROOM = 4096  # what is left of a read buffer before what is unread in it moves to its front

READ_BYTES = BUFFER
SMALL_BYTES = BUFFER - PREFIX

# What speaks another protocol to a Kafka port, by its first bytes. Read as a size, they are hundreds of megabytes.
cdef tuple STRANGERS = (
    (b"\x16\x03", "this looks like TLS on a plaintext port"),
    (b"GET ", "this looks like HTTP"),
    (b"POST", "this looks like HTTP"),
    (b"HTTP", "this looks like HTTP"),
    (b"PROX", "this looks like the PROXY protocol"),
    (b"\r\n\r\n", "this looks like the PROXY protocol"),
)


cdef inline int32_t read_int32(const unsigned char* p) noexcept nogil:
    return <int32_t>((<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3])


@cython.final
cdef class ReadBuffers:
    """Read buffers that the connections of one event loop share: an idle connection holds none."""

    def __init__(self, *, int kept=16):
        self._free = []
        self._kept = kept

    cdef bytearray take(self):
        """A buffer of READ_BYTES, with old bytes in it."""
        return self._free.pop() if self._free else PyByteArray_FromStringAndSize(NULL, BUFFER)

    cdef int give(self, bytearray buffer) except -1:
        """Take a buffer back; nobody may read it any more."""
        if len(self._free) < self._kept:
            self._free.append(buffer)
        return 0


@cython.final
cdef class FrameAssembler:
    """The frames of one direction of one connection; see the module for the order of calls."""

    def __init__(self, *, int32_t limit_bytes, ReadBuffers buffers=None):
        self._limit = limit_bytes
        self._buffers = buffers or ReadBuffers()
        self._expected = -1

    @property
    def expected_bytes(self):
        """The size of the frame that is arriving; None between frames, or while its size has not arrived."""
        return None if self._expected < 0 else self._expected

    @property
    def is_between_frames(self):
        """Whether nothing of a next frame is here: where a stream may end."""
        return self._expected < 0 and self._start == self._end

    def get_buffer(self, Py_ssize_t hint=-1):
        """Memory for the transport to read into; valid until `received`.

        Raises:
            BufferError: whole frames are waiting; `next_frame` comes first.
        """
        cdef Py_ssize_t wanted
        if self._expected > BUFFER - PREFIX and not self._to_pass:
            self._begin_large()
            if self._filled == self._expected:
                raise BufferError("a whole frame is waiting")
            return PyMemoryView_FromObject(self._frame)[self._filled :]
        if self._buffer is None:
            self._buffer = self._buffers.take()
        wanted = ROOM if self._expected < 0 else PREFIX + self._expected
        if self._to_pass:
            wanted = BUFFER
        if self._start > 0 and BUFFER - self._start < wanted and self._passed == self._start:
            memmove(self.at(0), self.at(self._start), self._end - self._start)
            self._end -= self._start
            self._passed = self._start = 0
        if self._end == BUFFER:
            raise BufferError("the read buffer is full of frames")
        return PyMemoryView_FromObject(self._buffer)[self._end :]

    cpdef bint received(self, Py_ssize_t count):
        """Take note that the transport wrote this many bytes into the memory that it got last.

        False means that the frame that is arriving is a small one, and not whole yet: there is nothing to look at.
        """
        cdef const unsigned char* p
        cdef int32_t size
        cdef Py_ssize_t here
        if self._frame is not None:
            self._filled += count
            return True
        self._end += count
        here = self._end - self._start
        if self._to_pass or self._buffer is None:
            return True
        if here < PREFIX:
            return False
        p = <const unsigned char*>self.at(self._start)
        size = read_int32(p)
        return not (0 <= size <= BUFFER - PREFIX and size <= self._limit and here < PREFIX + size)

    @property
    def buffer(self):
        """What the frame that was found lies in; only until the next call that takes it."""
        return self._buffer

    @property
    def frame_start(self):
        """Where the frame that was found starts, behind its size."""
        return self._start + PREFIX

    @property
    def frame_stop(self):
        """Where the frame that was found ends."""
        return self._start + PREFIX + self._expected

    cpdef bint find(self) except -1:
        """Whether the next frame lies whole in the read buffer; a large frame never does.

        Raises:
            FrameTooLarge: the size is beyond the limit. The stream cannot go on, and nothing is allocated for it.
            MalformedFrame: the size is negative.
        """
        return self.read_size() and self._expected <= self._end - self._start - PREFIX

    cpdef object pass_on(self):
        """Step over the frame that was found; it leaves with `take_passed`."""
        self._start += PREFIX + self._expected
        self._expected = -1

    @property
    def arrived_stop(self):
        """Where what has arrived ends in the buffer."""
        return self._end

    @property
    def is_large_ahead(self):
        """Whether a large frame has begun to arrive of which all that is here lies in the read buffer."""
        return self._expected > BUFFER - PREFIX and self._frame is None and not self._to_pass

    def begin_passing(self, Py_ssize_t held_back):
        """Let the large frame go on while it arrives, save its last `held_back` bytes."""
        if not self.is_large_ahead or not 0 < held_back <= BUFFER // 2:
            raise ValueError("no large frame begins, or too much of it is held back")
        self._to_pass = PREFIX + self._expected
        self._held_back = held_back

    def pass_arrived(self):
        """Step over what has arrived of the frame that goes on, save what is held back."""
        cdef Py_ssize_t count = min(self._end - self._start, self._to_pass - self._held_back)
        self._start += count
        self._to_pass -= count

    cpdef object pass_received(self, Py_ssize_t count):
        """`received`, `pass_arrived` and `take_passed` in one; None, and only the first of them, if the rest is near."""
        cdef Py_ssize_t end = self._end + count
        self._end = end
        if self._to_pass - self._held_back < end - self._start or self._passed != self._start:
            return None
        self._to_pass -= end - self._start
        taken = PyMemoryView_FromObject(self._buffer)[self._start : end]
        self._passed = self._start = end
        return taken

    @property
    def rest_is_here(self):
        """Whether all that was held back has arrived, up to `rest_stop`."""
        return self._to_pass == self._held_back and self._end - self._start >= self._held_back

    @property
    def rest_stop(self):
        """Where the frame that goes on ends in the buffer, once its rest is here."""
        return self._start + self._to_pass

    def pass_rest(self):
        """Step over what was held back; with that the frame is over."""
        self._start += self._to_pass
        self._to_pass = self._held_back = 0
        self._expected = -1

    cpdef object take_passed(self):
        """All frames that were passed on since the last time, each with its size; None if none was.

        It is a view of the read buffer: call `part` once it is written if somebody still holds it, else `rest`.
        """
        if self._passed == self._start:
            return None
        taken = PyMemoryView_FromObject(self._buffer)[self._passed : self._start]
        self._passed = self._start
        return taken

    cpdef object part(self):
        """Leave the read buffer to those who hold views of it; what is unread moves to another."""
        cdef bytearray held = self._buffer
        cdef Py_ssize_t left = self._end - self._start
        self._buffer = None
        if left:
            self._buffer = self._buffers.take()
            memcpy(self.at(0), PyByteArray_AS_STRING(held) + self._start, left)
        self._passed = self._start = 0
        self._end = left

    cpdef object rest(self):
        """Give an empty read buffer back."""
        if self._buffer is not None and self._start == self._end and self._passed == self._start:
            self._buffers.give(self._buffer)
            self._buffer = None
            self._passed = self._start = self._end = 0

    cpdef object next_frame(self):
        """The next frame without its size, or None if it has not arrived whole; it belongs to the caller.

        Raises:
            BufferError: frames were passed on; `take_passed` comes first.
            FrameTooLarge, MalformedFrame: see `find`.
        """
        if self._passed != self._start:
            raise BufferError("frames that were passed on are not taken")
        if not self.read_size():
            self.rest()
            return None
        if self._expected > BUFFER - PREFIX:
            if self._to_pass or self._frame is None or self._filled < self._expected:
                return None
            taken, self._frame = self._frame, None
            self._filled = 0
            self._expected = -1
            return taken
        if self._end - self._start - PREFIX < self._expected:
            return None
        frame = PyBytes_FromStringAndSize(self.at(self._start + PREFIX), self._expected)
        self._start += PREFIX + self._expected
        self._passed = self._start
        self._expected = -1
        self.rest()
        return frame

    def drop(self):
        """Let go of all memory; the stream has ended."""
        if self._buffer is not None:
            self._buffers.give(self._buffer)
        self._buffer = self._frame = None
        self._expected = -1
        self._passed = self._start = self._end = self._filled = self._to_pass = self._held_back = 0

    cdef char* at(self, Py_ssize_t position) noexcept:
        return PyByteArray_AS_STRING(self._buffer) + position

    cdef bint read_size(self) except -1:
        """Whether the size of the next frame is known; raises if it is none."""
        cdef const unsigned char* p
        cdef int32_t size
        if self._expected >= 0:
            return True
        if self._end - self._start < PREFIX:
            return False
        p = <const unsigned char*>self.at(self._start)
        size = read_int32(p)
        if size < 0:
            raise MalformedFrame(f"a frame of {size} bytes")
        if size > self._limit:
            head = self._buffer[self._start : self._start + PREFIX]
            stranger = "".join(f"; {what}" for start, what in STRANGERS if head.startswith(start))
            raise FrameTooLarge(f"a frame of {size} bytes is beyond the limit of {self._limit}{stranger}")
        self._expected = size
        return True

    cdef int _begin_large(self) except -1:
        """Take the memory of the large frame; what arrived of it in the read buffer moves there first."""
        if self._frame is not None:
            return 0
        if self._passed != self._start:
            raise BufferError("frames that were passed on are not taken")
        self._frame = PyByteArray_FromStringAndSize(NULL, self._expected)
        self._filled = self._end - self._start - PREFIX
        memcpy(PyByteArray_AS_STRING(self._frame), self.at(self._start + PREFIX), self._filled)
        self._passed = self._start = self._end
        self.rest()
        return 0


def frame_pieces(*pieces):
    """A frame to be written: its size, then the pieces, which are not copied."""
    return [INT32.pack(size_of(pieces)), *pieces]
