# cython: language_level=3, boundscheck=False, wraparound=False
"""The headers of one name compared with some texts, for a whole batch and where they lie.

The texts stand one behind another, shorter ones first and in the order of their bytes: a value is looked up among them
by halving, so that a condition with a thousand texts costs ten comparisons a header.
"""

from array import array as new_array
from itertools import accumulate

from cpython.array cimport array
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcmp


cdef extern from "json_found.h" nogil:
    enum:
        FOUND_EQUAL
        FOUND_UNEQUAL
        FOUND_OTHER


cdef enum:
    FIELDS = 5  # ints a header: record; start and length of its name; start and length of its value

EQUAL, UNEQUAL, OTHER = FOUND_EQUAL, FOUND_UNEQUAL, FOUND_OTHER
"""What JsonMasker finds too."""


cdef class HeaderTest:
    """One condition on a header.

    Args:
        name: of the header, in UTF-8; compared byte by byte.
        texts: what its value may be, likewise.
    """

    cdef bytes _name
    cdef bytes _texts
    cdef array _ends  # where the texts end, after a 0

    def __init__(self, bytes name not None, texts):
        found = sorted(set(texts), key=lambda text: (len(text), text))
        self._name = name
        self._texts = b"".join(found)
        self._ends = new_array("q", [0, *accumulate(map(len, found))])

    def find(self, const uint8_t[::1] buffer not None, const int32_t[::1] headers not None, uint8_t[::1] found not None):
        """Adds to what was found in each record: EQUAL for one of the texts, UNEQUAL for another value, OTHER for null.

        Args:
            buffer: the bytes that hold names and values.
            headers: five ints a header: see HeaderMasker.mask.
            found: a byte a record, each 0 at first.

        Raises:
            ValueError: a header lies outside the buffer, or is that of no record.
        """
        cdef Py_ssize_t count = headers.shape[0] // FIELDS
        cdef const uint8_t* data = &buffer[0] if buffer.shape[0] else NULL
        cdef const int32_t* given = &headers[0] if count else NULL
        cdef uint8_t* out = &found[0] if found.shape[0] else NULL
        cdef Sought sought
        cdef bint fits
        sought.name = self._name
        sought.size = len(self._name)
        sought.texts = self._texts
        sought.ends = self._ends.data.as_longlongs
        sought.count = len(self._ends) - 1
        with nogil:
            fits = find_all(&sought, given, count, data, buffer.shape[0], out, found.shape[0])
        if not fits:
            raise ValueError("a header lies outside the buffer, or is that of no record")


cdef struct Sought:
    const uint8_t* name
    Py_ssize_t size
    const uint8_t* texts
    const long long* ends
    Py_ssize_t count


cdef bint find_all(
    const Sought* sought,
    const int32_t* headers,
    Py_ssize_t count,
    const uint8_t* data,
    Py_ssize_t size,
    uint8_t* found,
    Py_ssize_t records,
) noexcept nogil:
    """False for a header that is not within the data; what was found by then is of no use."""
    cdef const int32_t* end = headers + FIELDS * count
    while headers < end:
        if headers[0] < 0 or headers[0] >= records or not lies_within(headers[1], headers[2], size):
            return False
        if headers[4] != -1 and not lies_within(headers[3], headers[4], size):
            return False
        if headers[2] == sought.size and (sought.size == 0 or memcmp(data + headers[1], sought.name, sought.size) == 0):
            if headers[4] == -1:
                found[headers[0]] |= FOUND_OTHER
            else:
                found[headers[0]] |= FOUND_EQUAL if is_one(sought, data + headers[3], headers[4]) else FOUND_UNEQUAL
        headers += FIELDS
    return True


cdef inline bint lies_within(int32_t start, int32_t length, Py_ssize_t size) noexcept nogil:
    return start >= 0 and length >= 0 and <int64_t>start + length <= size


cdef inline bint is_one(const Sought* sought, const uint8_t* value, Py_ssize_t size) noexcept nogil:
    """Whether a value is one of the texts."""
    cdef Py_ssize_t low = 0, high = sought.count, at
    cdef int64_t order
    while low < high:
        at = (low + high) // 2
        order = sought.ends[at + 1] - sought.ends[at] - size
        if order == 0:
            if size == 0:
                return True
            order = memcmp(sought.texts + sought.ends[at], value, size)
        if order == 0:
            return True
        if order < 0:
            low = at + 1
        else:
            high = at
    return False
