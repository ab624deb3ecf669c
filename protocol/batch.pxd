# cython: language_level=3
"""What of a batch is read without an object: for those who mask a whole records field in one call."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from wiremask.protocol.record cimport Fault, Headers

cdef enum:
    LENGTH_AT = 8
    LOG_OVERHEAD = 12  # before what the length counts
    MAGIC_AT = 16
    CRC_AT = 17
    ATTRIBUTES_AT = 21
    LAST_OFFSET_DELTA_AT = 23
    COUNT_AT = 57
    HEADER_SIZE = 61
    LENGTH_MIN = 49  # what the length counts in an empty batch
    MAGIC = 2
    RECORD_SIZE_MIN = 7  # seven fields, a byte each
    CODEC_BITS = 7
    CONTROL_BIT = 0x20


cdef struct Walk:
    const uint8_t *section
    int32_t size
    int32_t count
    int32_t last_offset_delta
    bint dense_offsets
    int32_t *keys  # out: two ints a record
    int32_t *values
    Headers headers  # out: only the count
    int64_t most_headers  # out: of one record
    int32_t index  # out: the record at fault


cdef Walk walk_of(
    const uint8_t *section, Py_ssize_t size, int32_t count, int32_t last_offset_delta, bint dense_offsets, int32_t *keys,
    int32_t *values
) noexcept nogil
cdef Fault walk_records(Walk *walk) noexcept nogil
cdef uint32_t crc_of(const uint8_t *batch, Py_ssize_t size) noexcept nogil
cdef void seal(uint8_t *batch, Py_ssize_t size) noexcept nogil
