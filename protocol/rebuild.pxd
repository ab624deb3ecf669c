# cython: language_level=3
"""A section with some of its keys, values and headers replaced, or records left out: first its size, then its bytes.

What no replacement touches is copied as it is, in as few pieces as there are replacements; a record of which something
is replaced gets a new length. Nothing is made from fields that were parsed, so nothing can be lost on the way.
"""

from libc.stdint cimport INT32_MAX, int8_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from wiremask.protocol.record cimport (
    BAD_HEADERS,
    BAD_REPLACEMENT,
    BAD_VARINT,
    OUTGROWN,
    SOUND,
    Fault,
    Record,
    read_record,
    read_varint,
    varint_size,
)


cdef enum:
    KEEP = -1
    LEAVE_OUT = -3  # a header that goes, name and all


cdef struct Replacement:
    const uint8_t *arena
    Py_ssize_t arena_size
    # Two ints a record, or a header: start, size; start KEEP keeps, size -1 is null. NULL keeps all.
    const int32_t *spans


cdef struct Splice:
    const uint8_t *section
    int32_t size
    int32_t count
    Replacement keys
    Replacement values
    Replacement headers
    int64_t header_count  # of all records
    const int8_t *omitted  # one a record, not 0 for one that is left out. NULL keeps all
    uint8_t *out
    int64_t out_size
    int64_t needed  # out: the size of the new section
    int32_t kept  # out: how many records it has


cdef struct Change:
    bint key
    bint value
    bint headers
    int64_t headers_size  # of the new headers with their count, if they change
    int32_t body  # the new length of the record


cdef struct Writer:
    uint8_t *at
    uint8_t *end


cdef inline bint is_replaced(const Replacement *replacement, int64_t index) noexcept nogil:
    return replacement.spans != NULL and replacement.spans[2 * index] != KEEP


cdef inline bint is_sound(const Replacement *replacement, int64_t index) noexcept nogil:
    cdef int64_t start = replacement.spans[2 * index]
    cdef int64_t size = replacement.spans[2 * index + 1]
    return start >= 0 and size >= -1 and start + size <= replacement.arena_size


cdef inline int64_t field_size(const Replacement *replacement, int64_t index) noexcept nogil:
    cdef int32_t size = replacement.spans[2 * index + 1]
    return varint_size(size) + <int64_t>(size if size > 0 else 0)


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


cdef inline bint put_field(Writer *writer, const Replacement *replacement, int64_t index) noexcept nogil:
    cdef int32_t size = replacement.spans[2 * index + 1]
    return put_varint(writer, size) and put(writer, replacement.arena + replacement.spans[2 * index], size)


cdef inline Fault count_headers(
    const Splice *splice, const Record *record, int64_t first, int32_t *count, int32_t *left
) noexcept nogil:
    """Gives how many headers a record has, and how many will be left; `first` is the place of its first one."""
    cdef int32_t index
    if read_varint(record.headers_field, record.end, count) == NULL:
        return BAD_VARINT
    if count[0] < 0 or count[0] > splice.header_count - first:
        return BAD_HEADERS
    left[0] = count[0]
    for index in range(count[0]):
        if splice.headers.spans[2 * (first + index)] == LEAVE_OUT:
            left[0] -= 1
    return SOUND


cdef inline Fault pass_headers(
    const Splice *splice, const Record *record, int64_t *first, Change *change, Writer *writer
) noexcept nogil:
    """Measures the new headers of a record, or writes them if there is a writer; moves `first` on to the next record's.

    They are read and checked again, as everything is: see write_section.
    """
    cdef const uint8_t *at
    cdef const uint8_t *header
    cdef const uint8_t *value_field
    cdef int32_t count, left, size, index
    cdef int64_t place
    cdef Fault fault = count_headers(splice, record, first[0], &count, &left)
    if fault != SOUND:
        return fault
    at = read_varint(record.headers_field, record.end, &count)
    change.headers = left != count
    change.headers_size = varint_size(left)
    if writer != NULL and not put_varint(writer, left):
        return OUTGROWN
    for index in range(count):
        place = first[0] + index
        header = at
        at = read_varint(at, record.end, &size)
        if at == NULL:
            return BAD_VARINT
        if size < 0 or size > record.end - at:
            return BAD_HEADERS
        value_field = at + size
        at = read_varint(value_field, record.end, &size)
        if at == NULL:
            return BAD_VARINT
        if size < -1 or size > record.end - at:
            return BAD_HEADERS
        if size > 0:
            at += size
        if splice.headers.spans[2 * place] == LEAVE_OUT:
            continue
        if not is_replaced(&splice.headers, place):
            change.headers_size += at - header
            if writer != NULL and not put(writer, header, at - header):
                return OUTGROWN
            continue
        if not is_sound(&splice.headers, place):
            return BAD_REPLACEMENT
        change.headers = True
        change.headers_size += (value_field - header) + field_size(&splice.headers, place)
        if writer != NULL:
            if not put(writer, header, value_field - header) or not put_field(writer, &splice.headers, place):
                return OUTGROWN
    first[0] += count
    return SOUND


cdef inline Fault measure_record(
    const Splice *splice, const Record *record, int32_t index, int64_t *header, Change *change
) noexcept nogil:
    """Gives what of a record changes, and its new length; `header` is the place of its first header, and moves on."""
    cdef int64_t size = record.end - record.body
    cdef Fault fault
    change.key = is_replaced(&splice.keys, index)
    change.value = is_replaced(&splice.values, index)
    change.headers = False
    if splice.headers.spans != NULL:
        fault = pass_headers(splice, record, header, change, NULL)
        if fault != SOUND:
            return fault
    if change.key:
        if not is_sound(&splice.keys, index):
            return BAD_REPLACEMENT
        size += field_size(&splice.keys, index) - (record.value_field - record.key_field)
    if change.value:
        if not is_sound(&splice.values, index):
            return BAD_REPLACEMENT
        size += field_size(&splice.values, index) - (record.headers_field - record.value_field)
    if change.headers:
        size += change.headers_size - (record.end - record.headers_field)
    if size > INT32_MAX:
        return OUTGROWN
    change.body = <int32_t>size
    return SOUND


cdef inline Fault skip_record(const Splice *splice, const Record *record, int64_t *header) noexcept nogil:
    """Moves `header` past the headers of a record that is left out."""
    cdef int32_t count, left
    cdef Fault fault
    if splice.headers.spans == NULL:
        return SOUND
    fault = count_headers(splice, record, header[0], &count, &left)
    header[0] += count
    return fault


cdef inline Fault measure_section(Splice *splice) noexcept nogil:
    """Computes `needed` and `kept`."""
    cdef const uint8_t *at = splice.section
    cdef const uint8_t *end = splice.section + splice.size
    cdef int64_t total = splice.size, header = 0
    cdef int32_t index
    cdef Change change
    cdef Record record
    cdef Fault fault
    splice.kept = splice.count
    for index in range(splice.count):
        fault = read_record(at, end, &record)
        if fault != SOUND:
            return fault
        at = record.end
        if splice.omitted != NULL and splice.omitted[index]:
            splice.kept -= 1
            total -= record.end - record.start
            fault = skip_record(splice, &record, &header)
        else:
            fault = measure_record(splice, &record, index, &header, &change)
            if fault == SOUND and (change.key or change.value or change.headers):
                total += varint_size(change.body) + <int64_t>change.body - (record.end - record.start)
        if fault != SOUND:
            return fault
    splice.needed = total
    return SOUND if total <= INT32_MAX else OUTGROWN


cdef inline Fault write_section(Splice *splice) noexcept nogil:
    """Writes the new section into `out`. What stays between two replacements is copied in one piece.

    Reads and checks everything again: the section may lie in memory that another thread writes to, and must not
    lead out of `out` even then.
    """
    cdef const uint8_t *at = splice.section
    cdef const uint8_t *end = splice.section + splice.size
    cdef const uint8_t *kept = at  # from here on nothing is written yet
    cdef Writer writer = Writer(splice.out, splice.out + splice.out_size)
    cdef int64_t header = 0, first
    cdef int32_t index
    cdef Change change
    cdef Record record
    cdef Fault fault
    for index in range(splice.count):
        fault = read_record(at, end, &record)
        if fault != SOUND:
            return fault
        at = record.end
        if splice.omitted != NULL and splice.omitted[index]:
            if not put(&writer, kept, record.start - kept):
                return OUTGROWN
            kept = record.end
            fault = skip_record(splice, &record, &header)
            if fault != SOUND:
                return fault
            continue
        first = header
        fault = measure_record(splice, &record, index, &header, &change)
        if fault != SOUND:
            return fault
        if not (change.key or change.value or change.headers):
            continue
        if not put(&writer, kept, record.start - kept) or not put_varint(&writer, change.body):
            return OUTGROWN
        kept = record.body
        if change.key:
            if not put(&writer, kept, record.key_field - kept) or not put_field(&writer, &splice.keys, index):
                return OUTGROWN
            kept = record.value_field
        if change.value:
            if not put(&writer, kept, record.value_field - kept) or not put_field(&writer, &splice.values, index):
                return OUTGROWN
            kept = record.headers_field
        if change.headers:
            if not put(&writer, kept, record.headers_field - kept):
                return OUTGROWN
            fault = pass_headers(splice, &record, &first, &change, &writer)
            if fault != SOUND:
                return fault
            kept = record.end
    if not put(&writer, kept, end - kept) or writer.at != writer.end:
        return OUTGROWN
    return SOUND
