# cython: language_level=3
"""The refill of a frame, for those who call it for every frame."""

from libc.stdint cimport int32_t

from wiremask.protocol.choices cimport Choices
from wiremask.protocol.walk cimport Program, Walk


cdef class RecordsField:
    cdef readonly object choice
    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t stop
    cdef Py_ssize_t _length_at


cdef class Refill:
    cdef Program _program
    cdef bytes _head
    cdef bint _is_request
    cdef int _topics, _name, _topic_id, _width, _partitions, _partition_width, _records, _number, _endpoints
    cdef readonly int32_t correlation_id
    cdef readonly int32_t number
    cdef readonly Py_ssize_t grown_bytes

    cpdef list find(self, object frame, Choices choices)
    cdef list _list(self, Walk* w, Py_ssize_t body, Choices choices)
    cpdef list fill(self, object frame, list fields, object filled)
