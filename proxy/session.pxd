# cython: language_level=3
"""Types of what every frame asks for: see session.py."""


cdef class Exchange:
    cdef public object api
    cdef public int version
    cdef public int correlation_id
    cdef public object client_id
    cdef public bint is_bare
    cdef public bint is_lookup
    cdef public object refusals
    cdef public Py_ssize_t grown_bytes
    cdef public object max_bytes
    cdef public object reply
    cdef public object own_answer
    cdef public object claim
    cdef public object when_answered


cdef class Session:
    cdef public object number
    cdef public object listener
    cdef public object identity
    cdef public object login
    cdef public object client_id
    cdef public dict broker_versions
    cdef public object on_full
    cdef Py_ssize_t _most_in_flight
    cdef object _planned
    cdef readonly object _awaiting
    cdef object _owed

    cpdef Py_ssize_t in_flight(self) except -1
    cpdef int hold_if_full(self) except -1
    cpdef bint is_half_empty(self) except -1
    cpdef int sent(self, Exchange exchange) except -1
    cpdef Exchange next_to_leave(self)
    cpdef int left(self, Exchange exchange) except -1
    cpdef bint is_due(self) except -1
