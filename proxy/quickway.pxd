# cython: language_level=3
"""Types of what every frame asks for: see quickway.py."""

cimport cython

from wiremask.protocol.refill cimport Refill
from wiremask.proxy.session cimport Exchange, Session
from wiremask.proxy.standing cimport Standing


cdef class QuickWay:
    cdef Standing _standing
    cdef Session _session
    cdef object _may
    cdef Py_ssize_t _limit_bytes
    cdef public Py_ssize_t _light_bytes
    cdef dict _requests
    cdef dict _responses

    @cython.locals(refill=Refill, exchange=Exchange)
    cpdef object request(self, object frame)
    @cython.locals(session=Session, refill=Refill, exchange=Exchange)
    cpdef object response(self, object frame)
    cdef bint _is_heavy(self, object frame, list fields) except -1
