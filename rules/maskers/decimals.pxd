# cython: language_level=3
"""Decimals of up to 18 digits, written without an exponent: read, brought to one scale, and written, all inline.

A decimal is a coefficient of 128 bits and a scale, the digits behind its point (below 0 for zeros before it). What does not
fit is for the caller to leave to numeric.py, which has no such bound.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t


cdef extern from *:
    """
    typedef __int128 wide_t;
    static inline int add_fits(wide_t a, wide_t b, wide_t *to) { return !__builtin_add_overflow(a, b, to); }
    static inline int times_fits(wide_t a, wide_t b, wide_t *to) { return !__builtin_mul_overflow(a, b, to); }
    """
    ctypedef int64_t wide_t
    bint add_fits(wide_t a, wide_t b, wide_t* to) noexcept nogil
    bint times_fits(wide_t a, wide_t b, wide_t* to) noexcept nogil


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)


cdef enum:
    DIGITS = 18
    TEXT_LIMIT = 2 * DIGITS + 2
    WRITTEN_LIMIT = 128


cdef struct decimal_t:
    wide_t coefficient
    int scale


cdef inline int read_number(str text, decimal_t* number, uint8_t* form):
    """Reads a JSON number without an exponent, and writes its one form; gives the length of that, 0 for anything else."""
    cdef const uint8_t* given
    cdef Py_ssize_t length = len(text), at = 0, point = -1
    cdef int digits = 0, written = 0
    cdef int64_t coefficient = 0
    number.coefficient, number.scale = 0, 0
    if not 0 < length < TEXT_LIMIT or not PyUnicode_IS_ASCII(text):
        return 0
    given = <const uint8_t*>PyUnicode_DATA(text)
    if given[0] == c"-":
        at = 1
    if length - at > 1 and given[at] == c"0" and given[at + 1] != c".":
        return 0
    while at < length:
        if given[at] == c"." and point < 0 and digits:
            point = at
        elif c"0" <= given[at] <= c"9" and digits < DIGITS:
            coefficient = 10 * coefficient + given[at] - c"0"
            digits += 1
        else:
            return 0
        at += 1
    if digits == 0 or point == length - 1:
        return 0
    number.scale = <int>(length - 1 - point) if point >= 0 else 0
    number.coefficient = -coefficient if given[0] == c"-" else coefficient
    if coefficient == 0:
        form[0] = c"0"
        return 1
    if point >= 0:
        while given[length - 1] == c"0":
            length -= 1
        if given[length - 1] == c".":
            length -= 1
    for written in range(<int>length):
        form[written] = given[written]
    return <int>length


cdef inline bint rescale(decimal_t* decimal, int scale) noexcept:
    """Gives it a scale of at least `scale`; whether that fits."""
    while decimal.scale < scale:
        if not times_fits(decimal.coefficient, 10, &decimal.coefficient):
            return False
        decimal.scale += 1
    return True


cdef inline str write_number(const decimal_t* number):
    """A number whose scale is 0 or more."""
    cdef char text[WRITTEN_LIMIT]
    cdef int at = WRITTEN_LIMIT, digits = 0
    cdef wide_t rest = -number.coefficient if number.coefficient < 0 else number.coefficient
    if number.scale > WRITTEN_LIMIT // 2:
        raise RuntimeError("more digits than a number of this size can have")
    while rest != 0 or digits <= number.scale:
        if digits == number.scale and digits:
            at -= 1
            text[at] = c"."
        at -= 1
        text[at] = c"0" + <int>(rest % 10)
        rest //= 10
        digits += 1
    if number.coefficient < 0:
        at -= 1
        text[at] = c"-"
    return PyUnicode_FromStringAndSize(text + at, WRITTEN_LIMIT - at)
