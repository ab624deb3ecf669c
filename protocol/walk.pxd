# cython: language_level=3
"""What other compiled files may use of walk.pyx, where all of it is described."""

from cpython cimport array
from libc.stdint cimport int32_t

cdef enum:
    SMALL = 192  # words of rows that a walk first has, on the stack


cdef struct Walk:
    const unsigned char* data
    Py_ssize_t pos
    Py_ssize_t end
    const int32_t* code
    int32_t* rows
    int32_t* heap          # `rows` when it is not the caller's stack
    Py_ssize_t used
    Py_ssize_t capacity
    Py_ssize_t elements
    int fault              # 0: none
    int fault_at           # the instruction that found it


cdef class Program:
    cdef readonly str name
    cdef readonly int version
    cdef readonly bint flexible
    cdef array.array _code
    cdef const int32_t* _words
    cdef dict _fields
    cdef int _start, _template, _width

    cdef void run(self, Walk* w, const unsigned char* data, Py_ssize_t size, int32_t* small) noexcept nogil
    cdef str _explain(self, int fault, int at, Py_ssize_t pos)
