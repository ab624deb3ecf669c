# cython: language_level=3
"""The assembler of frames, for those who call it for every frame."""

from libc.stdint cimport int32_t


cdef class ReadBuffers:
    cdef list _free
    cdef int _kept

    cdef bytearray take(self)
    cdef int give(self, bytearray buffer) except -1


cdef class FrameAssembler:
    cdef int32_t _limit
    cdef ReadBuffers _buffers
    cdef bytearray _buffer
    cdef Py_ssize_t _passed    # of what was passed on and not taken yet, in the buffer: start; it ends at `_start`
    cdef Py_ssize_t _start     # of what is unread in the buffer, the size of its first frame included
    cdef Py_ssize_t _end
    cdef Py_ssize_t _expected  # the size of the frame that is arriving; -1 if it is not known
    cdef bytearray _frame      # a large frame, of which `_filled` bytes are there
    cdef Py_ssize_t _filled
    cdef Py_ssize_t _to_pass   # of a large frame that goes on while it arrives: what has not gone on, its size included
    cdef Py_ssize_t _held_back # the end of it, which goes on last

    cpdef bint received(self, Py_ssize_t count)
    cpdef bint find(self) except -1
    cpdef object pass_on(self)
    cpdef object pass_received(self, Py_ssize_t count)
    cpdef object take_passed(self)
    cpdef object part(self)
    cpdef object rest(self)
    cpdef object next_frame(self)
    cdef char* at(self, Py_ssize_t position) noexcept
    cdef bint read_size(self) except -1
    cdef int _begin_large(self) except -1
