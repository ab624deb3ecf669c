# cython: language_level=3
"""The skim of a frame, for those who call it for every frame."""

from libc.stdint cimport int32_t

from wiremask.protocol.choices cimport Choices
from wiremask.protocol.walk cimport Program, Walk


cpdef int32_t kind_at(bytearray buffer, Py_ssize_t start, Py_ssize_t stop)


cdef class Skim:
    cdef Program _program
    cdef bytes _head
    cdef bint _is_request
    cdef int _topics, _name, _topic_id, _width, _partitions, _partition_limit, _partition_width, _number, _endpoints
    cdef int _records
    cdef int32_t _limit
    cdef readonly int32_t correlation_id
    cdef readonly int32_t number

    cpdef bint passes(self, bytearray buffer, Py_ssize_t start, Py_ssize_t stop, Choices choices=*) except -1
    cdef bint _is_within(self, Walk* w) noexcept
    cdef bint _are_clear(self, Walk* w, Choices choices) except -1
