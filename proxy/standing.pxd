# cython: language_level=3
"""Types of what every frame asks for: see standing.py."""

from wiremask.proxy.session cimport Session


cdef class Standing:
    cdef readonly Session session
    cdef readonly object client_id
    cdef readonly bint is_open
    cdef object _rules
    cdef object _topics
    cdef object _plan
    cdef object _login_steps
    cdef dict _choices
    cdef list _remembered

    cpdef object renew(self)
    cpdef object notice_client(self)
    cpdef bint is_of(self, object client_id, object plan) except -1
    cpdef object choices(self, object at, object plan)
    cdef object _begin(self, object plan)
