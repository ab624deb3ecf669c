# cython: language_level=3
"""A section with some of its keys and values replaced: first its size, then its bytes.

What no replacement touches is copied as it is, in as few pieces as there are replacements; a record of which something
is replaced gets a new length. Nothing is made from fields that were parsed, so nothing can be lost on the way.
"""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from wiremask.protocol.record cimport (
    BAD_REPLACEMENT,
    OUTGROWN,
    SOUND,
    Fault,
    Record,
    read_record,
    varint_size,
)


cdef struct Replacement:
    const uint8_t *arena
    Py_ssize_t arena_size
    const int32_t *spans  # two ints a record: start, size; start -1 keeps, size -1 is null. NULL keeps all


cdef struct Splice:
    const uint8_t *section
    int32_t size
    int32_t count
    Replacement keys
    Replacement values
    uint8_t *out
    int64_t out_size
    int64_t needed  # out: the size of the new section


cdef inline bint is_replaced(const Replacement *replacement, int32_t index) noexcept nogil:
    return replacement.spans != NULL and replacement.spans[2 * index] != -1


cdef inline bint is_sound(const Replacement *replacement, int32_t index) noexcept nogil:
    cdef int64_t start = replacement.spans[2 * index]
    cdef int64_t size = replacement.spans[2 * index + 1]
    return start >= 0 and size >= -1 and start + size <= replacement.arena_size


cdef inline int64_t field_size(const Replacement *replacement, int32_t index) noexcept nogil:
    cdef int32_t size = replacement.spans[2 * index + 1]
    return varint_size(size) + <int64_t>(size if size > 0 else 0)


cdef inline Fault measure_body(
    const Splice *splice, const Record *record, int32_t index, bint key, bint value, int32_t *body
) noexcept nogil:
    """Gives the new length of a record of which the key, the value or both are replaced."""
    cdef int64_t size = record.end - record.body
    if key:
        if not is_sound(&splice.keys, index):
            return BAD_REPLACEMENT
        size += field_size(&splice.keys, index) - (record.value_field - record.key_field)
    if value:
        if not is_sound(&splice.values, index):
            return BAD_REPLACEMENT
        size += field_size(&splice.values, index) - (record.headers_field - record.value_field)
    if size > INT32_MAX:
        return OUTGROWN
    body[0] = <int32_t>size
    return SOUND


cdef inline Fault measure_section(Splice *splice) noexcept nogil:
    """Computes `needed`."""
    cdef const uint8_t *at = splice.section
    cdef const uint8_t *end = splice.section + splice.size
    cdef int64_t total = splice.size
    cdef int32_t index, body
    cdef bint key, value
    cdef Record record
    cdef Fault fault
    for index in range(splice.count):
        fault = read_record(at, end, &record)
        if fault != SOUND:
            return fault
        at = record.end
        key = is_replaced(&splice.keys, index)
        value = is_replaced(&splice.values, index)
        if not key and not value:
            continue
        fault = measure_body(splice, &record, index, key, value, &body)
        if fault != SOUND:
            return fault
        total += varint_size(body) + <int64_t>body - (record.end - record.start)
    splice.needed = total
    return SOUND if total <= INT32_MAX else OUTGROWN


cdef struct Writer:
    uint8_t *at
    uint8_t *end


cdef inline bint put(Writer *writer, const uint8_t *data, int64_t size) noexcept nogil:
    if size > writer.end - writer.at:
        return False
    if size > 0:
        memcpy(writer.at, data, size)
        writer.at += size
    return True


cdef inline bint put_varint(Writer *writer, int32_t value) noexcept nogil:
    cdef uint32_t raw = <uint32_t>value << 1 ^ (0 - (<uint32_t>value >> 31))
    if writer.end - writer.at < 5 and writer.end - writer.at < varint_size(value):
        return False
    while raw >= 0x80:
        writer.at[0] = raw & 0x7f | 0x80
        writer.at += 1
        raw >>= 7
    writer.at[0] = raw
    writer.at += 1
    return True


cdef inline bint put_field(Writer *writer, const Replacement *replacement, int32_t index) noexcept nogil:
    cdef int32_t size = replacement.spans[2 * index + 1]
    return put_varint(writer, size) and put(writer, replacement.arena + replacement.spans[2 * index], size)


cdef inline Fault write_section(Splice *splice) noexcept nogil:
    """Writes the new section into `out`. What stays between two replacements is copied in one piece.

    Reads and checks everything again: the section may lie in memory that another thread writes to, and must not
    lead out of `out` even then.
    """
    cdef const uint8_t *at = splice.section
    cdef const uint8_t *end = splice.section + splice.size
    cdef const uint8_t *kept = at  # from here on nothing is written yet
    cdef Writer writer = Writer(splice.out, splice.out + splice.out_size)
    cdef int32_t index, body
    cdef bint key, value
    cdef Record record
    cdef Fault fault
    for index in range(splice.count):
        fault = read_record(at, end, &record)
        if fault != SOUND:
            return fault
        at = record.end
        key = is_replaced(&splice.keys, index)
        value = is_replaced(&splice.values, index)
        if not key and not value:
            continue
        fault = measure_body(splice, &record, index, key, value, &body)
        if fault != SOUND:
            return fault
        if not put(&writer, kept, record.start - kept) or not put_varint(&writer, body):
            return OUTGROWN
        kept = record.body
        if key:
            if not put(&writer, kept, record.key_field - kept) or not put_field(&writer, &splice.keys, index):
                return OUTGROWN
            kept = record.value_field
        if value:
            if not put(&writer, kept, record.value_field - kept) or not put_field(&writer, &splice.values, index):
                return OUTGROWN
            kept = record.headers_field
    if not put(&writer, kept, end - kept) or writer.at != writer.end:
        return OUTGROWN
    return SOUND
