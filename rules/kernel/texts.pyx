# cython: language_level=3, boundscheck=False, wraparound=False
"""Texts as JSON strings and back, for a batch: what masks and finds in JSON strings does so in whole texts too.

A text is put between quotes, with what JSON wants escaped; nothing else is looked at, so that the walk of the JSON
kernel finds what is no UTF-8. Outputs are strings again, or null.
"""

from array import array as new_array
from dataclasses import replace

from wiremask.rules.outcome import MaskedTooLarge

from cpython.array cimport array, clone
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t
from libc.string cimport memcmp, memcpy


cdef extern from "json_text.h" nogil:
    size_t decode_string(const uint8_t* p, const uint8_t* end, uint8_t* out, size_t room)


cdef array INTS = new_array("i")


def quote(const uint8_t[::1] buffer not None, const int32_t[::1] spans not None):
    """The texts of a batch as JSON strings.

    Args:
        buffer: the bytes that hold the texts.
        spans: two ints a text, (start, length) in the buffer; length -1 is null.

    Returns:
        (bytes, spans): the strings one after another, and where each is; null stays null.

    Raises:
        ValueError: a span lies outside the buffer.
        MaskedTooLarge: all strings together are beyond 2 GiB.
    """
    cdef Py_ssize_t count = spans.shape[0] // 2
    cdef array places = clone(INTS, 2 * count, False)
    cdef const uint8_t* text = &buffer[0] if buffer.shape[0] else NULL
    cdef const int32_t* given = &spans[0] if count else NULL
    cdef int64_t total
    cdef bint fits
    cdef bytes quoted
    cdef uint8_t* out
    with nogil:
        total = measure(given, count, text, buffer.shape[0])
    if total == -1:
        raise ValueError("a text lies outside the buffer")
    if total > INT32_MAX:
        raise MaskedTooLarge("the texts of a batch are too large")
    quoted = PyBytes_FromStringAndSize(NULL, total)
    out = <uint8_t*>PyBytes_AS_STRING(quoted)
    with nogil:
        fits = write(given, count, text, out, total, <int32_t*>places.data.as_ints)
    if not fits:
        raise RuntimeError("a batch was written to while it was read")
    return quoted, places


def unquote(outcome, const uint8_t[::1] buffer not None, const int32_t[::1] spans not None):
    """An outcome over strings that `quote` made, as the outcome over the texts.

    Args:
        outcome: of which every changed value is a JSON string or null.
        buffer: what `quote` was given; so is `spans`.

    Returns:
        The outcome with plain texts. A text that is null now has the span (0, -1); one that came out as it was is
        unchanged.
    """
    cdef const uint8_t[::1] strings = outcome.values
    cdef const int32_t[::1] places = outcome.spans
    cdef Py_ssize_t i, count = spans.shape[0] // 2
    cdef array texts = clone(INTS, 2 * count, False)
    cdef int32_t* out = <int32_t*>texts.data.as_ints
    cdef bytes values = PyBytes_FromStringAndSize(NULL, needed(places))
    cdef uint8_t* data = <uint8_t*>PyBytes_AS_STRING(values)
    cdef const uint8_t* string
    cdef size_t at = 0, length
    cdef Py_ssize_t same = 0
    for i in range(count):
        out[2 * i] = places[2 * i]
        out[2 * i + 1] = places[2 * i + 1]
        if places[2 * i] < 0:
            continue
        string = &strings[places[2 * i]]
        if places[2 * i + 1] == 4 and memcmp(string, b"null", 4) == 0:
            out[2 * i] = 0
            out[2 * i + 1] = -1
            continue
        if places[2 * i + 1] < 2 or string[0] != b'"':
            raise RuntimeError("a mask made something else of a text")
        length = decode_string(string + 1, string + places[2 * i + 1] - 1, data + at, <size_t>places[2 * i + 1])
        if length == <size_t>spans[2 * i + 1] and (
            length == 0 or memcmp(data + at, &buffer[spans[2 * i]], length) == 0
        ):
            out[2 * i] = -1
            out[2 * i + 1] = 0
            same += 1
            continue
        out[2 * i] = <int32_t>at
        out[2 * i + 1] = <int32_t>length
        at += length
    return replace(outcome, values=values[:at], spans=texts, changed=outcome.changed - same)


cdef Py_ssize_t needed(const int32_t[::1] places) noexcept:
    """Room for all texts: a text is never longer than its string; strings that values share count once for each."""
    cdef Py_ssize_t i, total = 0
    for i in range(places.shape[0] // 2):
        if places[2 * i] >= 0:
            total += places[2 * i + 1]
    return total


cdef int64_t measure(const int32_t* spans, Py_ssize_t count, const uint8_t* text, Py_ssize_t size) noexcept nogil:
    """Bytes of all strings; -1 for a span outside the text."""
    cdef Py_ssize_t i
    cdef int64_t total = 0
    cdef const uint8_t* p
    cdef const uint8_t* end
    for i in range(count):
        if spans[2 * i + 1] == -1:
            continue
        if spans[2 * i] < 0 or spans[2 * i + 1] < 0 or <int64_t>spans[2 * i] + spans[2 * i + 1] > size:
            return -1
        p = text + spans[2 * i]
        end = p + spans[2 * i + 1]
        total += 2 + spans[2 * i + 1]
        while p < end:
            if p[0] < 0x20:
                total += 5
            elif p[0] == b'"' or p[0] == b"\\":
                total += 1
            p += 1
    return total


cdef bint write(
    const int32_t* spans, Py_ssize_t count, const uint8_t* text, uint8_t* out, int64_t room, int32_t* places
) noexcept nogil:
    """Writes the strings. There is room for all that `measure` counted, and False tells that more came."""
    cdef Py_ssize_t i
    cdef uint8_t* start = out
    cdef uint8_t* last = out + room
    cdef const uint8_t* p
    cdef const uint8_t* end
    cdef int size
    for i in range(count):
        places[2 * i] = <int32_t>(out - start)
        places[2 * i + 1] = -1
        if spans[2 * i + 1] == -1:
            continue
        p = text + spans[2 * i]
        end = p + spans[2 * i + 1]
        if last - out < 2:
            return False
        out[0] = b'"'
        out += 1
        while p < end:
            size = 6 if p[0] < 0x20 else 2 if p[0] == b'"' or p[0] == b"\\" else 1
            if last - out <= size:  # the closing quote needs room too
                return False
            if size == 6:
                memcpy(out, b"\\u00", 4)
                out[4] = b"1" if p[0] & 16 else b"0"
                out[5] = (p[0] & 15) + (48 if (p[0] & 15) < 10 else 87)  # 0 to 9, a to f
            else:
                out[0] = b"\\"
                out[size - 1] = p[0]
            out += size
            p += 1
        out[0] = b'"'
        out += 1
        places[2 * i + 1] = <int32_t>(out - start) - places[2 * i]
    return True
