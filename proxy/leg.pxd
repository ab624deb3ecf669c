# cython: language_level=3
"""Types of one socket of a connection: see leg.py."""

from wiremask.protocol.frame cimport FrameAssembler


cdef class Leg:
    cdef public object transport
    cdef public Leg other
    cdef public object on_connected
    cdef public object on_frame
    cdef public object may_pass
    cdef public object may_stream
    cdef public object may_close
    cdef public object on_passed
    cdef public object on_streamed
    cdef public object on_error
    cdef public object on_fault
    cdef public object on_end
    cdef readonly object get_buffer
    cdef FrameAssembler _assembler
    cdef object _peer
    cdef object _received
    cdef object _owner
    cdef object _budget
    cdef object _claim
    cdef list _gathered
    cdef Py_ssize_t _gathered_bytes
    cdef list _unwritten
    cdef readonly set _holds
    cdef public bint is_pumping
    cdef object _passage
    cdef list _queued
    cdef Py_ssize_t _moved
    cdef public bint is_open
    cdef public bint has_ended

    cdef object _pump(self)
    cdef bint _begin_stream(self) except -1
    cdef bint _stream(self, object passage) except -1
    cdef object _write_passed(self)
    cdef object _write_at_once(self, object passed)
    cdef object _make_room(self)
    cdef object _write(self, object pieces, object claim)
    cdef object _all_written(self)
    cpdef object hold(self, str reason)
    cpdef object release(self, str reason)
    cpdef object write(self, object pieces, object claim)
    cpdef object write_gathered(self)
    cpdef object write_queued(self)
    cpdef object charge_unwritten(self, object pieces)
