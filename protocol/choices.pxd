# cython: language_level=3
"""How the rows of a walk are read by those that make no object of a message (skim.pyx, refill.pyx)."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, uint32_t

cdef enum:
    # Of a slot, as walk.pyx describes them.
    VALUE = 1
    CONTENT = 1
    END = 2
    COUNT = 4
    FIRST = 5
    UUID_BYTES = 16
    # Of a request's header: api key and version come before the correlation id.
    KIND = 4
    # Of one message: with more topics it takes the long way, which may use another thread.
    TOPICS = 1024


cdef inline int32_t read_int32(const unsigned char* p) noexcept nogil:
    return <int32_t>((<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3])


cdef inline object topic_key(const unsigned char* data, const int32_t* topic, int topic_id, int name):
    """The id (bytes) or name (str) of a topic's row; None if it has neither."""
    if topic[topic_id] >= 0:
        return PyBytes_FromStringAndSize(<const char*>data + topic[topic_id], UUID_BYTES)
    if topic[name + CONTENT] >= 0:
        return PyUnicode_DecodeUTF8(
            <const char*>data + topic[name + CONTENT], topic[name + END] - topic[name + CONTENT], NULL
        )
    return None


cdef class Choices:
    cdef object _choose
    cdef dict _made

    cdef object of(self, object key)
