# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Mask a records field of plain batches in one call: what `masking` does step by step, where every step is the kernel's.

Plain is a batch of magic 2 that is not compressed, under rules that the JSON kernel carries out alone. Such a batch is read,
masked and rebuilt by the very functions that the steps use, but no object is made of it, so that a field costs a call
and not some sixty. Nothing is refused here: at the first doubt, whether about the bytes or about a limit, the answer is
None, nothing has been counted, and the steps do it all again and find out.
"""

from cpython.array cimport array
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from wiremask.protocol.batch cimport (
    ATTRIBUTES_AT,
    CODEC_BITS,
    CONTROL_BIT,
    COUNT_AT,
    CRC_AT,
    HEADER_SIZE,
    LAST_OFFSET_DELTA_AT,
    LENGTH_AT,
    LENGTH_MIN,
    LOG_OVERHEAD,
    MAGIC,
    MAGIC_AT,
    RECORD_SIZE_MIN,
    Walk,
    crc_of,
    seal,
    walk_of,
    walk_records,
)
from wiremask.protocol.rebuild cimport Replacement, Splice, measure_section, write_section
from wiremask.protocol.record cimport SOUND, load32
from wiremask.rules.kernel.jsonmask cimport MaskRun

cdef enum:
    FIELD_BYTES = 2 << 20  # more takes the steps, which hold the new bytes of one batch at a time
    BATCHES = 1024  # likewise
    SHORT = 65536  # so little is done before another thread could have begun


cdef struct Piece:
    Py_ssize_t start  # of the batch in the field
    Py_ssize_t end
    int32_t first  # the place of its first record in the arrays
    int32_t count  # of its records
    bint is_changed
    Splice splice


cdef struct Field:
    const uint8_t* data
    Py_ssize_t end  # of its last whole batch
    bint is_produced
    int32_t records_limit
    int32_t batches
    int32_t records
    int32_t most_records  # of one batch
    Piece* pieces
    int32_t* keys  # of one batch
    int32_t* values  # two ints a record, of all batches
    int32_t* spans  # likewise, and into the arena of the run
    int64_t size  # out: of the new field


def mask_plain(records not None, masker not None, *, bint is_produced, int32_t records_limit, Py_ssize_t limit_bytes):
    """Masks the values of a records field, if it is plain.

    Args:
        records: the field; nobody writes to it.
        masker: a JsonMasker that `runs_alone`.
        is_produced: whether a producer sent it; else a broker, whose last batch may be cut off and is left out then.
        records_limit: the most records that a batch may have.
        limit_bytes: the most bytes that a batch may come to.

    Returns:
        None where the steps must do it. Else the new field, None if no byte changes; how many batches it has; how many
        values changed; how many of them were unreadable; and how many fields each rule masked.
    """
    cdef Py_buffer given
    cdef Field field
    cdef MaskRun run = None
    cdef object content = None
    cdef bint is_done
    cdef uint8_t* out
    PyObject_GetBuffer(records, &given, PyBUF_SIMPLE)
    field.pieces = NULL
    field.values = NULL
    try:
        if given.len > FIELD_BYTES:
            return None
        field.data = <const uint8_t*>given.buf
        field.is_produced = is_produced
        field.records_limit = records_limit
        if not _survey(&field, given.len) or not _take_memory(&field):
            return None
        run = masker.take_run()
        run.begin()
        if given.len <= SHORT:
            is_done = _mask(&field, run, limit_bytes)
        else:
            with nogil:
                is_done = _mask(&field, run, limit_bytes)
        if not is_done:
            return None
        if run.changed() or field.end < given.len:
            content = PyBytes_FromStringAndSize(NULL, field.size)
            out = <uint8_t*>PyBytes_AS_STRING(content)
            if given.len <= SHORT:
                is_done = _write(&field, out)
            else:
                with nogil:
                    is_done = _write(&field, out)
            if not is_done:
                raise RuntimeError("a records field was written to after it was read")
        return content, field.batches, run.changed(), run.unreadable(), run.masked
    finally:
        free(field.pieces)
        free(field.values)
        if run is not None:
            masker.give_run(run)
        PyBuffer_Release(&given)


cdef bint _survey(Field* field, Py_ssize_t size) noexcept nogil:
    """Counts batches and records; False if one of the batches is not plain."""
    cdef const uint8_t* batch
    cdef Py_ssize_t at = 0
    cdef int32_t count
    field.batches = field.records = field.most_records = 0
    while at < size and not _is_cut(field, at, size):
        batch = field.data + at
        if size - at < HEADER_SIZE or field.batches == BATCHES:
            return False
        if batch[MAGIC_AT] != MAGIC or <int32_t>load32(batch + LENGTH_AT) < LENGTH_MIN:
            return False
        if <int32_t>load32(batch + LENGTH_AT) > size - at - LOG_OVERHEAD:
            return False
        if not _is_kept(batch) or field.is_produced:
            count = <int32_t>load32(batch + COUNT_AT)
            if batch[ATTRIBUTES_AT + 1] & (CODEC_BITS | CONTROL_BIT) or not 0 < count <= field.records_limit:
                return False
            if count > (<int32_t>load32(batch + LENGTH_AT) - LENGTH_MIN) // RECORD_SIZE_MIN:
                return False
            field.records += count
            field.most_records = max(field.most_records, count)
        field.batches += 1
        at += LOG_OVERHEAD + <int32_t>load32(batch + LENGTH_AT)
    field.end = at
    return field.batches > 0


cdef bint _is_cut(const Field* field, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Whether what is left is the beginning of a batch that a broker cut off."""
    if field.is_produced:
        return False
    return size - at <= MAGIC_AT or <int32_t>load32(field.data + at + LENGTH_AT) > size - at - LOG_OVERHEAD


cdef bint _is_kept(const uint8_t* batch) noexcept nogil:
    """Whether a batch of a broker's has no records to mask: a marker of a transaction, or what compaction left of one."""
    if batch[ATTRIBUTES_AT + 1] & CONTROL_BIT:
        return True
    return load32(batch + COUNT_AT) == 0 and load32(batch + LENGTH_AT) == LENGTH_MIN


cdef bint _take_memory(Field* field) noexcept:
    field.pieces = <Piece*>malloc(field.batches * sizeof(Piece))
    field.values = <int32_t*>malloc((4 * <Py_ssize_t>field.records + 2 * <Py_ssize_t>field.most_records + 1) * sizeof(int32_t))
    if field.pieces == NULL or field.values == NULL:
        return False
    field.spans = field.values + 2 * <Py_ssize_t>field.records
    field.keys = field.spans + 2 * <Py_ssize_t>field.records
    return True


cdef bint _mask(Field* field, MaskRun run, Py_ssize_t limit_bytes) noexcept nogil:
    """Reads and masks every batch, and finds the size of the new field; False in doubt."""
    cdef Piece* piece
    cdef Py_ssize_t at = 0
    cdef int32_t index, first = 0
    cdef int64_t changed
    for index in range(field.batches):
        piece = field.pieces + index
        piece.start = at
        at += LOG_OVERHEAD + <int32_t>load32(field.data + at + LENGTH_AT)
        piece.end = at
        piece.first = first
        piece.is_changed = False
        if not field.is_produced and _is_kept(field.data + piece.start):
            continue
        piece.count = <int32_t>load32(field.data + piece.start + COUNT_AT)
        first += piece.count
        if not _read(field, piece):
            return False
        changed = run.changed()
        if not run.mask(
            field.data + piece.start + HEADER_SIZE, field.values + 2 * piece.first, piece.count, field.spans + 2 * piece.first
        ):
            return False
        piece.is_changed = run.changed() != changed
    field.size = 0
    for index in range(field.batches):
        piece = field.pieces + index
        if not piece.is_changed:
            field.size += piece.end - piece.start
            continue
        piece.splice.values = Replacement(run.output(), run.output_size(), field.spans + 2 * piece.first)
        if measure_section(&piece.splice) != SOUND or piece.splice.needed > min(limit_bytes, INT32_MAX - HEADER_SIZE):
            return False
        field.size += HEADER_SIZE + piece.splice.needed
    return True


cdef bint _read(Field* field, Piece* piece) noexcept nogil:
    """Whether a batch is sound, to the last byte; finds its values."""
    cdef const uint8_t* batch = field.data + piece.start
    cdef Py_ssize_t size = piece.end - piece.start
    cdef int32_t last_offset_delta = <int32_t>load32(batch + LAST_OFFSET_DELTA_AT)
    cdef Walk walk
    if crc_of(batch, size) != load32(batch + CRC_AT):
        return False
    if field.is_produced and last_offset_delta != piece.count - 1:
        return False
    walk = walk_of(
        batch + HEADER_SIZE, size - HEADER_SIZE, piece.count, last_offset_delta, field.is_produced, field.keys,
        field.values + 2 * <Py_ssize_t>piece.first
    )
    if walk_records(&walk) != SOUND:
        return False
    piece.splice.section = walk.section
    piece.splice.size = walk.size
    piece.splice.count = walk.count
    piece.splice.keys = Replacement(NULL, 0, NULL)
    piece.splice.headers = Replacement(NULL, 0, NULL)
    piece.splice.header_count = walk.headers.count
    piece.splice.omitted = NULL
    piece.splice.needed = 0
    return True


cdef bint _write(const Field* field, uint8_t* out) noexcept nogil:
    """Writes the new field; `out` has room for exactly `size` bytes."""
    cdef Piece* piece
    cdef int32_t index
    cdef Py_ssize_t size
    for index in range(field.batches):
        piece = field.pieces + index
        if not piece.is_changed:
            size = piece.end - piece.start
            memcpy(out, field.data + piece.start, size)
            out += size
            continue
        size = HEADER_SIZE + piece.splice.needed
        piece.splice.out = out + HEADER_SIZE
        piece.splice.out_size = piece.splice.needed
        if write_section(&piece.splice) != SOUND:
            return False
        memcpy(out, field.data + piece.start, HEADER_SIZE)
        seal(out, size)
        out += size
    return True
