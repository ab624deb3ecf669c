# cython: language_level=3
"""Masking by the JSON kernel alone, for those who mask many small batches and know their values' spans already."""

from cpython.array cimport array
from libc.stdint cimport int32_t, int64_t, uint8_t


cdef class MaskRun:
    cdef object _program
    cdef void* _walk
    cdef readonly array masked

    cdef int begin(self) except -1
    cdef bint mask(self, const uint8_t* text, const int32_t* values, Py_ssize_t count, int32_t* spans) noexcept nogil
    cdef int64_t changed(self) noexcept nogil
    cdef int64_t unreadable(self) noexcept nogil
    cdef const uint8_t* output(self) noexcept nogil
    cdef Py_ssize_t output_size(self) noexcept nogil
    cdef void take_output(self) noexcept
    cdef void give_output(self) noexcept
