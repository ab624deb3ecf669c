# cython: language_level=3
"""One record in a section, read with every step inside its bounds.

    Record
      length           varint, of what follows
      attributes       int8, unused, below 128
      timestampDelta   varlong
      offsetDelta      varint
      key              varint length, -1 is null; bytes
      value            likewise
      headers          varint count, then for each
         key           varint length; bytes
         value         as a record's value

Varints are zigzag, at most 5 bytes (varlongs 10). All functions are inline C without Python objects: they run with the
GIL released, and each is given the end that it must not pass.

Source: org.apache.kafka.common.record.internal.DefaultRecord, org.apache.kafka.common.utils.ByteUtils (Kafka 4.3).
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef enum Fault:
    SOUND
    BAD_VARINT
    BAD_RECORD_LENGTH
    BAD_ATTRIBUTES
    BAD_KEY
    BAD_VALUE
    BAD_HEADERS
    BAD_OFFSET
    TRAILING_IN_RECORD
    TRAILING_IN_SECTION
    BAD_REPLACEMENT
    OUTGROWN


cdef inline uint32_t load32(const uint8_t *at) noexcept nogil:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef inline uint64_t load64(const uint8_t *at) noexcept nogil:
    return <uint64_t>load32(at) << 32 | load32(at + 4)


cdef inline void store32(uint8_t *at, uint32_t value) noexcept nogil:
    at[0] = value >> 24
    at[1] = value >> 16 & 0xff
    at[2] = value >> 8 & 0xff
    at[3] = value & 0xff


cdef inline const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, int32_t *value) noexcept nogil:
    """Reads a zigzag varint of at most 5 bytes and 32 bits; returns what follows it, or NULL.

    Longer forms of a number than it needs are read, as everywhere in Kafka. Bits beyond 32 are refused: Java drops
    them and others keep them.
    """
    cdef uint32_t raw, byte
    cdef int shift = 0
    if at >= end:
        return NULL
    raw = at[0]
    at += 1
    if raw >= 0x80:
        raw &= 0x7f
        while True:
            shift += 7
            if shift > 28 or at >= end:
                return NULL
            byte = at[0]
            at += 1
            raw |= (byte & 0x7f) << shift
            if byte < 0x80:
                break
        if shift == 28 and byte > 0x0f:
            return NULL
    value[0] = <int32_t>(raw >> 1 ^ (0 - (raw & 1)))
    return at


cdef inline const uint8_t *skip_varlong(const uint8_t *at, const uint8_t *end) noexcept nogil:
    """Passes a varint of at most 10 bytes and 64 bits; returns what follows it, or NULL."""
    cdef int size = 0
    cdef uint8_t byte = 0x80
    while byte >= 0x80:
        if at >= end or size == 10:
            return NULL
        byte = at[0]
        size += 1
        at += 1
    if size == 10 and byte > 1:
        return NULL
    return at


cdef inline int varint_size(int32_t value) noexcept nogil:
    cdef uint32_t raw = <uint32_t>value << 1 ^ (0 - (<uint32_t>value >> 31))
    cdef int size = 1
    while raw >= 0x80:
        raw >>= 7
        size += 1
    return size


cdef struct Record:
    const uint8_t *start  # the length
    const uint8_t *body  # what the length counts
    const uint8_t *key_field  # the key's length, then the key
    const uint8_t *key
    const uint8_t *value_field  # the value's length, then the value
    const uint8_t *value
    const uint8_t *headers_field  # the count, then the headers
    const uint8_t *end
    int32_t key_size  # -1: null
    int32_t value_size
    int32_t offset_delta


cdef inline Fault read_record(const uint8_t *at, const uint8_t *section_end, Record *record) noexcept nogil:
    """Reads one record up to its headers, every step within the record and the record within the section."""
    cdef int32_t size
    record.start = at
    at = read_varint(at, section_end, &size)
    if at == NULL:
        return BAD_VARINT
    if size < 0 or size > section_end - at:
        return BAD_RECORD_LENGTH
    record.body = at
    cdef const uint8_t *end = at + size
    record.end = end

    if at >= end:
        return BAD_RECORD_LENGTH
    if at[0] & 0x80:  # Java reads a byte here; kafka-python and aiokafka a varint, which would go on
        return BAD_ATTRIBUTES
    at = skip_varlong(at + 1, end)
    if at == NULL:
        return BAD_VARINT
    at = read_varint(at, end, &record.offset_delta)
    if at == NULL:
        return BAD_VARINT

    record.key_field = at
    at = read_varint(at, end, &record.key_size)
    if at == NULL:
        return BAD_VARINT
    if record.key_size < -1 or record.key_size > end - at:
        return BAD_KEY
    record.key = at
    if record.key_size > 0:
        at += record.key_size

    record.value_field = at
    at = read_varint(at, end, &record.value_size)
    if at == NULL:
        return BAD_VARINT
    if record.value_size < -1 or record.value_size > end - at:
        return BAD_VALUE
    record.value = at
    if record.value_size > 0:
        at += record.value_size
    record.headers_field = at
    return SOUND


cdef struct Headers:
    int64_t count  # headers read so far
    int64_t room  # headers that there is room for in `spans`
    int32_t *spans  # five ints each: record, start and size of the key, start and size of the value. NULL: only count


cdef inline Fault read_headers(
    const Record *record, const uint8_t *section, int32_t index, Headers *headers
) noexcept nogil:
    """Reads a record's headers to the record's last byte, and adds them to `headers`."""
    cdef const uint8_t *at = record.headers_field
    cdef const uint8_t *end = record.end
    cdef const uint8_t *key
    cdef int32_t *span
    cdef int32_t count, key_size, value_size
    at = read_varint(at, end, &count)
    if at == NULL:
        return BAD_VARINT
    if count < 0:
        return BAD_HEADERS
    while count > 0:
        count -= 1
        at = read_varint(at, end, &key_size)
        if at == NULL:
            return BAD_VARINT
        if key_size < 0 or key_size > end - at:
            return BAD_HEADERS
        key = at
        at += key_size
        at = read_varint(at, end, &value_size)
        if at == NULL:
            return BAD_VARINT
        if value_size < -1 or value_size > end - at:
            return BAD_HEADERS
        if headers.spans != NULL:
            if headers.count == headers.room:
                return BAD_HEADERS
            span = headers.spans + 5 * headers.count
            span[0] = index
            span[1] = <int32_t>(key - section)
            span[2] = key_size
            span[3] = <int32_t>(at - section)
            span[4] = value_size
        headers.count += 1
        if value_size > 0:
            at += value_size
    return SOUND if at == end else TRAILING_IN_RECORD
