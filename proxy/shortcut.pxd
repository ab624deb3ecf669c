# cython: language_level=3
"""Types of what every frame asks for: see shortcut.py."""

cimport cython
from libc.stdint cimport int32_t

from wiremask.protocol.choices cimport Choices
from wiremask.protocol.skim cimport Skim
from wiremask.proxy.session cimport Exchange, Session
from wiremask.proxy.standing cimport Standing


cdef class _Way:
    cdef object api
    cdef int version
    cdef object client_id
    cdef Skim skim
    cdef Choices choices
    cdef bint is_fetch


cdef class Shortcut:
    cdef public bint is_over
    cdef Standing _standing
    cdef Session _session
    cdef object _fetch_bytes
    cdef dict _streamed_by
    cdef Choices _named
    cdef readonly dict _requests
    cdef dict _responses

    @cython.locals(kind=int32_t, way=_Way, skim=Skim)
    cpdef bint request(self, bytearray buffer, Py_ssize_t start, Py_ssize_t stop) except -1
    @cython.locals(kind=int32_t, way=_Way)
    cpdef object request_streams(self, bytearray buffer, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t size)
    @cython.locals(exchange=Exchange, skim=Skim)
    cpdef bint response(self, bytearray buffer, Py_ssize_t start, Py_ssize_t stop) except -1
    @cython.locals(exchange=Exchange, kind=int32_t)
    cdef object _leaving(self)
    @cython.locals(exchange=Exchange, skim=Skim)
    cdef object _begin(self, _Way way)
    @cython.locals(way=_Way)
    cdef _Way _learn(self, int32_t kind, bytearray buffer, Py_ssize_t start, Py_ssize_t stop, object plan)
