# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Record batches of magic 2: split a records field, read a batch, rebuild it with other keys, values or headers.

    RecordBatch
       0  baseOffset            int64
       8  batchLength           int32, of what follows
      12  partitionLeaderEpoch  int32
      16  magic                 int8, 2
      17  crc                   uint32, CRC-32C of what follows
      21  attributes            int16: bits 0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
      23  lastOffsetDelta       int32
      27  baseTimestamp         int64
      35  maxTimestamp          int64
      43  producerId            int64
      51  producerEpoch         int16
      53  baseSequence          int32
      57  count                 int32
      61  section               count records (see record.pxd); one compressed stream if the attributes name a codec

The CRC begins at the attributes, so that a broker can set offset and epoch without summing again.

A batch is checked whole before anyone sees a span of it: every length, count and varint, and that the records fill
their section exactly. Bytes are then kept unless they must change: a rebuilt batch is the old one with other values
spliced in (see rebuild.pxd), never a new one made from fields. The number of Python objects does not depend on the
number of records, and all loops over bytes run without the GIL, so that a large batch does not hold up other threads.

Source: org.apache.kafka.common.record.internal.DefaultRecordBatch (Kafka 4.3); KIP-98, KIP-82.
"""

cimport cython
from cpython cimport array
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport INT32_MAX, int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from wiremask.protocol.rebuild cimport Replacement, Splice, measure_section, write_section
from wiremask.protocol.record cimport (
    BAD_ATTRIBUTES,
    BAD_HEADERS,
    BAD_KEY,
    BAD_OFFSET,
    BAD_RECORD_LENGTH,
    BAD_REPLACEMENT,
    BAD_VALUE,
    BAD_VARINT,
    OUTGROWN,
    SOUND,
    TRAILING_IN_RECORD,
    TRAILING_IN_SECTION,
    Fault,
    Headers,
    Record,
    load32,
    load64,
    read_headers,
    read_record,
    store32,
)

import array as array_module

from wiremask.protocol.compression import compress, decompress, is_xerial
from wiremask.protocol.errors import (
    ContradictoryRecords,
    CorruptRecords,
    DecompressedTooLarge,
    InvalidRecords,
    UnsupportedCodec,
    UnsupportedMagic,
)

cdef extern from "crc32c.h" nogil:
    void crc32c_prepare()
    uint32_t crc32c_extend(uint32_t crc, const uint8_t *data, size_t size)
    uint32_t crc32c_extend_portable(uint32_t crc, const uint8_t *data, size_t size)
    const char *crc32c_implementation()

crc32c_prepare()

CRC32C_IMPLEMENTATION = crc32c_implementation().decode("ascii")

cdef enum:
    LENGTH_MIN_V0 = 14  # what the length counts in an empty message of magic 0
    LENGTH_MIN_V1 = 22
    CODEC_SNAPPY = 2
    CODEC_MAX = 4

cdef dict FAULTS = {
    BAD_VARINT: "a variable-length number that is cut off or too long",
    BAD_RECORD_LENGTH: "a length that reaches past the section",
    BAD_ATTRIBUTES: "attributes that clients would read differently",
    BAD_KEY: "a key that reaches past the record",
    BAD_VALUE: "a value that reaches past the record",
    BAD_HEADERS: "headers that reach past the record",
    BAD_OFFSET: "an offset delta out of order",
    TRAILING_IN_RECORD: "bytes behind the headers",
}

cdef array.array INTS = array_module.array("i")


cdef inline const uint8_t *first_byte(const uint8_t[::1] data) noexcept nogil:
    return &data[0] if data.shape[0] else NULL


def crc32c(const uint8_t[::1] data not None, uint32_t value=0):
    """Goes on from the CRC-32C `value` of the bytes before `data`."""
    cdef uint32_t result
    with nogil:
        result = crc32c_extend(value, first_byte(data), data.shape[0])
    return result


cdef uint32_t crc_of(const uint8_t *batch, Py_ssize_t size) noexcept nogil:
    """The CRC that the bytes of a batch have."""
    return crc32c_extend(0, batch + ATTRIBUTES_AT, size - ATTRIBUTES_AT)


cdef void seal(uint8_t *batch, Py_ssize_t size) noexcept nogil:
    """Sets length and CRC of a batch of which all else is there."""
    store32(batch + LENGTH_AT, <uint32_t>(size - LOG_OVERHEAD))
    store32(batch + CRC_AT, crc_of(batch, size))


def crc32c_portable(const uint8_t[::1] data not None, uint32_t value=0):
    """Does what `crc32c` does on a CPU that lacks the instruction."""
    cdef uint32_t result
    with nogil:
        result = crc32c_extend_portable(value, first_byte(data), data.shape[0])
    return result


@cython.final
cdef class BatchSpan:
    """Where one batch (or, of magic 0 and 1, one message) lies in a records field, whole."""

    cdef readonly Py_ssize_t start
    cdef readonly Py_ssize_t end
    cdef readonly int magic

    def __repr__(self):
        return f"BatchSpan(start={self.start}, end={self.end}, magic={self.magic})"


def split_batches(const uint8_t[::1] records not None, *, bint partial_tail):
    """Finds the batches of a records field by their lengths. Nothing else of them is looked at.

    Args:
        records: the field.
        partial_tail: a broker cuts a fetched field at its size limit, so the last batch may be incomplete. True leaves
            it out: whatever lies behind the last span must not be passed on. False refuses it (produce).

    Returns:
        The batches in order. Magic 0 and 1 are for the caller to refuse or to read.

    Raises:
        CorruptRecords: a length too small for its batch, or without `partial_tail` one that leads past the field.
        UnsupportedMagic: a magic above 2.

    Source: org.apache.kafka.common.record.internal.ByteBufferLogInputStream
    """
    cdef const uint8_t *data = first_byte(records)
    cdef Py_ssize_t size = records.shape[0], at = 0
    cdef int32_t length
    cdef int magic
    cdef BatchSpan span
    spans = []
    while at < size:
        if size - at <= MAGIC_AT:
            if partial_tail:
                break
            raise ContradictoryRecords(f"a records field with {size - at} bytes behind its last batch")
        length = <int32_t>load32(data + at + LENGTH_AT)
        magic = <int8_t>data[at + MAGIC_AT]
        if length < LENGTH_MIN_V0:
            raise ContradictoryRecords(f"a batch of length {length}")
        if length > size - at - LOG_OVERHEAD:
            if partial_tail:
                break
            raise ContradictoryRecords("a batch that leads past its records field")
        if not 0 <= magic <= 2:
            raise UnsupportedMagic(f"a batch of magic {magic}")
        if length < (LENGTH_MIN_V0, LENGTH_MIN_V1, LENGTH_MIN)[magic]:
            raise ContradictoryRecords(f"a batch of magic {magic} and length {length}")
        span = BatchSpan.__new__(BatchSpan)
        span.start = at
        at += LOG_OVERHEAD + length
        span.end = at
        span.magic = magic
        spans.append(span)
    return spans


@cython.final
cdef class BatchHeader:
    """The 61 bytes before the records, as numbers, in Kafka's words."""

    cdef readonly int64_t base_offset
    cdef readonly int32_t length
    cdef readonly int32_t leader_epoch
    cdef readonly int magic
    cdef readonly uint32_t crc
    cdef readonly int16_t attributes
    cdef readonly int32_t last_offset_delta
    cdef readonly int64_t base_timestamp
    cdef readonly int64_t max_timestamp
    cdef readonly int64_t producer_id
    cdef readonly int16_t producer_epoch
    cdef readonly int32_t base_sequence
    cdef readonly int32_t count

    @property
    def codec(self):
        """The codec's id; 5, 6 and 7 have no meaning yet."""
        return self.attributes & 7

    @property
    def transactional(self):
        return bool(self.attributes & 0x10)

    @property
    def control(self):
        """Holds markers of the broker (commit, abort) in place of records."""
        return bool(self.attributes & CONTROL_BIT)

    @property
    def empty(self):
        """Has no records and no byte that could be one: all were compacted away."""
        return self.count == 0 and self.length == LENGTH_MIN

    def __repr__(self):
        return (
            f"BatchHeader(base_offset={self.base_offset}, length={self.length}, leader_epoch={self.leader_epoch}, "
            f"crc={self.crc:#010x}, attributes={self.attributes:#06x}, last_offset_delta={self.last_offset_delta}, "
            f"base_timestamp={self.base_timestamp}, max_timestamp={self.max_timestamp}, "
            f"producer_id={self.producer_id}, producer_epoch={self.producer_epoch}, "
            f"base_sequence={self.base_sequence}, count={self.count})"
        )


def read_header(const uint8_t[::1] data not None, Py_ssize_t start=0):
    """Reads the header of the batch at `start`. The CRC and the records are not looked at.

    Raises:
        CorruptRecords: `data` does not hold a header there, or the batch is shorter than its header.
        UnsupportedMagic: the batch is not of magic 2.
    """
    if not 0 <= start <= data.shape[0] - HEADER_SIZE:
        raise ContradictoryRecords("a batch that is shorter than its header")
    return load_header(&data[start])


cdef BatchHeader load_header(const uint8_t *at):
    cdef BatchHeader header = BatchHeader.__new__(BatchHeader)
    header.base_offset = <int64_t>load64(at)
    header.length = <int32_t>load32(at + LENGTH_AT)
    header.leader_epoch = <int32_t>load32(at + 12)
    header.magic = <int8_t>at[MAGIC_AT]
    header.crc = load32(at + CRC_AT)
    header.attributes = <int16_t>(at[ATTRIBUTES_AT] << 8 | at[ATTRIBUTES_AT + 1])
    header.last_offset_delta = <int32_t>load32(at + LAST_OFFSET_DELTA_AT)
    header.base_timestamp = <int64_t>load64(at + 27)
    header.max_timestamp = <int64_t>load64(at + 35)
    header.producer_id = <int64_t>load64(at + 43)
    header.producer_epoch = <int16_t>(at[51] << 8 | at[52])
    header.base_sequence = <int32_t>load32(at + 53)
    header.count = <int32_t>load32(at + COUNT_AT)
    if header.magic != 2:
        raise UnsupportedMagic(f"a batch of magic {header.magic}")
    if header.length < LENGTH_MIN:
        raise ContradictoryRecords(f"a batch of magic 2 and length {header.length}")
    return header


cdef Walk walk_of(
    const uint8_t *section, Py_ssize_t size, int32_t count, int32_t last_offset_delta, bint dense_offsets, int32_t *keys,
    int32_t *values
) noexcept nogil:
    """A walk that is about to begin; `keys` and `values` have room for two ints a record."""
    cdef Walk walk
    walk.section = section
    walk.size = <int32_t>size
    walk.count = count
    walk.last_offset_delta = last_offset_delta
    walk.dense_offsets = dense_offsets
    walk.keys = keys
    walk.values = values
    walk.headers = Headers(0, 0, NULL)
    walk.most_headers = 0
    walk.index = 0
    return walk


cdef Fault walk_records(Walk *walk) noexcept nogil:
    """Reads all records of a section and writes where their keys and values are."""
    cdef const uint8_t *at = walk.section
    cdef const uint8_t *end = walk.section + walk.size
    cdef int32_t last = -1
    cdef int64_t before
    cdef Record record
    cdef Fault fault
    for walk.index in range(walk.count):
        fault = read_record(at, end, &record)
        if fault != SOUND:
            return fault
        if walk.dense_offsets:
            if record.offset_delta != walk.index:
                return BAD_OFFSET
        elif record.offset_delta <= last or record.offset_delta > walk.last_offset_delta:
            return BAD_OFFSET
        last = record.offset_delta
        before = walk.headers.count
        fault = read_headers(&record, walk.section, walk.index, &walk.headers)
        if fault != SOUND:
            return fault
        if walk.headers.count - before > walk.most_headers:
            walk.most_headers = walk.headers.count - before
        walk.keys[2 * walk.index] = <int32_t>(record.key - walk.section)
        walk.keys[2 * walk.index + 1] = record.key_size
        walk.values[2 * walk.index] = <int32_t>(record.value - walk.section)
        walk.values[2 * walk.index + 1] = record.value_size
        at = record.end
    return SOUND if at == end else TRAILING_IN_SECTION


cdef Fault list_headers(const uint8_t *section, Py_ssize_t size, int32_t count, Headers *headers) noexcept nogil:
    cdef const uint8_t *at = section
    cdef Record record
    cdef Fault fault
    cdef int32_t index
    for index in range(count):
        fault = read_record(at, section + size, &record)
        if fault == SOUND:
            fault = read_headers(&record, section, index, headers)
        if fault != SOUND:
            return fault
        at = record.end
    return SOUND


@cython.final
cdef class Batch:
    """One batch that was read and found sound. Immutable; threads may share it.

    Attributes:
        header: its header.
        section: its records, expanded: a view of what was read if they were not compressed, else a buffer of its own.
        keys: two ints a record: start in `section`, and length or -1 for null.
        values: likewise.
    """

    cdef readonly BatchHeader header
    cdef readonly object section
    cdef readonly array.array keys
    cdef readonly array.array values
    cdef array.array _headers
    cdef const uint8_t[::1] _bytes  # of section
    cdef Py_ssize_t _header_count
    cdef Py_ssize_t _most_headers
    cdef bint _xerial
    cdef uint8_t _head[HEADER_SIZE]

    def __init__(self):
        raise TypeError("use Batch.read")

    @staticmethod
    def read(
        data not None,
        Py_ssize_t start,
        Py_ssize_t end,
        *,
        Py_ssize_t limit_bytes,
        bint dense_offsets,
    ):
        """Reads the batch of magic 2 that fills `data` from `start` to `end`.

        Args:
            data: a records field. An uncompressed batch keeps a view of it, so it must not be written to any more.
            start: first byte of the batch.
            end: the byte behind its last.
            limit_bytes: the most that a compressed section may expand to; enforced while it does.
            dense_offsets: what a broker demands of a producer: offset deltas 0, 1, 2, ... and a lastOffsetDelta of
                count - 1. False is for fetched batches, where compaction leaves gaps: deltas that rise and do not
                pass lastOffsetDelta.

        Raises:
            CorruptRecords: CRC, length, count or contents contradict each other.
            InvalidRecords: with `dense_offsets`, offset deltas that a broker refuses.
            UnsupportedMagic, UnsupportedCodec: what Kafka does not define, or an older format.
            DecompressedTooLarge: beyond `limit_bytes`, or beyond 2 GiB.
        """
        cdef Py_ssize_t size = end - start
        cdef const uint8_t[::1] view = data
        cdef const uint8_t *at
        cdef uint32_t crc
        if not 0 <= start <= end <= view.shape[0]:
            raise ValueError("a batch outside of its records field")
        if size < HEADER_SIZE:
            raise ContradictoryRecords("a batch that is shorter than its header")
        at = &view[start]
        cdef BatchHeader header = load_header(at)
        if header.length != size - LOG_OVERHEAD:
            raise ContradictoryRecords(f"a batch of length {header.length} in a span of {size}")
        with nogil:
            crc = crc_of(at, size)
        if crc != header.crc:
            raise CorruptRecords("a batch with another CRC than its bytes have")
        if header.codec > CODEC_MAX:
            raise UnsupportedCodec(f"compression codec {header.codec}")

        cdef Batch batch = Batch.__new__(Batch)
        batch.header = header
        memcpy(batch._head, at, HEADER_SIZE)
        records = memoryview(data)[start + HEADER_SIZE : end]
        batch._xerial = header.codec == CODEC_SNAPPY and is_xerial(records)
        batch.section = decompress(header.codec, records, limit_bytes)
        batch._bytes = batch.section
        batch._walk(dense_offsets)
        return batch

    cdef _walk(self, bint dense_offsets):
        """Fills `keys` and `values`, or raises."""
        cdef int32_t count = self.header.count
        cdef Py_ssize_t size = self._bytes.shape[0]
        cdef Walk walk
        cdef Fault fault
        if size > INT32_MAX:
            raise DecompressedTooLarge("a section beyond 2 GiB")
        if count < 0 or count > size // RECORD_SIZE_MIN:  # before memory is taken for that many
            raise ContradictoryRecords(f"a batch of {count} records in {size} bytes")
        if dense_offsets and count and self.header.last_offset_delta != count - 1:
            raise InvalidRecords(f"a batch of {count} records with lastOffsetDelta {self.header.last_offset_delta}")
        self.keys = array.clone(INTS, 2 * <Py_ssize_t>count, zero=False)
        self.values = array.clone(INTS, 2 * <Py_ssize_t>count, zero=False)
        walk = walk_of(
            first_byte(self._bytes), size, count, self.header.last_offset_delta, dense_offsets,
            <int32_t *>self.keys.data.as_ints, <int32_t *>self.values.data.as_ints,
        )
        with nogil:
            fault = walk_records(&walk)
        self._header_count = walk.headers.count
        self._most_headers = walk.most_headers
        if fault == SOUND:
            return
        if fault == TRAILING_IN_SECTION:
            raise ContradictoryRecords(f"a batch with bytes behind its {count} records")
        if fault == BAD_OFFSET and dense_offsets:
            raise InvalidRecords(f"record {walk.index}: {FAULTS[fault]}")
        raise ContradictoryRecords(f"record {walk.index}: {FAULTS[fault]}")

    @property
    def header_count(self):
        """Headers of all records together: what `headers` would list."""
        return self._header_count

    @property
    def most_headers(self):
        """The most headers that one record has."""
        return self._most_headers

    @property
    def headers(self):
        """Five ints a header: record index; start and length of its key in `section`; start and length of its value,
        -1 for null. Made when first asked for: headers can be as small as two bytes, and few rules name one.
        """
        cdef array.array made
        cdef Headers headers
        cdef Fault fault
        if self._headers is None:
            made = array.clone(INTS, 5 * self._header_count, zero=False)
            headers = Headers(0, self._header_count, <int32_t *>made.data.as_ints)
            with nogil:
                fault = list_headers(first_byte(self._bytes), self._bytes.shape[0], self.header.count, &headers)
            if fault != SOUND or headers.count != headers.room:
                raise RuntimeError("a batch was written to after it was read")
            self._headers = made
        return self._headers

    def rebuild(
        self, *, keys=None, values=None, headers=None, omitted=None, level=None, int32_t limit_bytes=INT32_MAX
    ):
        """Makes the same batch with other keys, values or headers, or with fewer records.

        All else stays as it is to the last byte, before compression: offsets and their gaps, timestamps, epochs,
        producer state, attributes, records that nothing replaces. Length and CRC are new. A compressed batch is
        compressed again with its codec, snappy in the framing that it came in. A batch without records is what
        compaction leaves of one: not compressed, and with the lastOffsetDelta that it had.

        Args:
            keys: (arena, spans): two ints a record, start and length in `arena`; start -1 keeps what is there, length
                -1 is null. None keeps all.
            values: likewise.
            headers: likewise for the values of headers, two ints a header in the order of `headers`; start -3 leaves
                the header out.
            omitted: a byte a record, not 0 for one that is left out, whatever replaces its parts. None keeps all.
            level: of the codec; None is Kafka's default.
            limit_bytes: the most that the records may come to, before compression; found out before memory is taken.

        Returns:
            The bytes of the batch.

        Raises:
            DecompressedTooLarge: the records outgrew `limit_bytes`, or the batch 2 GiB.
            ValueError: spans of another number than the records or headers, or that lead out of their arena.
        """
        cdef const uint8_t[::1] key_arena, value_arena, header_arena
        cdef const int32_t[::1] key_spans, value_spans, header_spans
        cdef const int8_t[::1] left_out
        cdef Splice splice
        cdef Py_ssize_t count = self.header.count
        cdef Fault fault
        splice.section = first_byte(self._bytes)
        splice.size = <int32_t>self._bytes.shape[0]
        splice.count = self.header.count
        splice.needed = 0
        splice.keys = Replacement(NULL, 0, NULL)
        splice.values = Replacement(NULL, 0, NULL)
        splice.headers = Replacement(NULL, 0, NULL)
        splice.header_count = self._header_count
        splice.omitted = NULL
        if keys is not None and count:
            key_arena, key_spans = keys
            if key_spans.shape[0] != 2 * count:
                raise ValueError(f"{key_spans.shape[0]} span bounds for the keys of {count} records")
            splice.keys = Replacement(first_byte(key_arena), key_arena.shape[0], &key_spans[0])
        if values is not None and count:
            value_arena, value_spans = values
            if value_spans.shape[0] != 2 * count:
                raise ValueError(f"{value_spans.shape[0]} span bounds for the values of {count} records")
            splice.values = Replacement(first_byte(value_arena), value_arena.shape[0], &value_spans[0])

        if headers is not None and self._header_count:
            header_arena, header_spans = headers
            if header_spans.shape[0] != 2 * self._header_count:
                raise ValueError(f"{header_spans.shape[0]} span bounds for {self._header_count} headers")
            splice.headers = Replacement(first_byte(header_arena), header_arena.shape[0], &header_spans[0])
        if omitted is not None and count:
            left_out = memoryview(omitted).cast("b")
            if left_out.shape[0] != count:
                raise ValueError(f"{left_out.shape[0]} marks for {count} records")
            splice.omitted = &left_out[0]

        with nogil:
            fault = measure_section(&splice)
        if fault == SOUND and splice.needed > min(limit_bytes, INT32_MAX - HEADER_SIZE):
            fault = OUTGROWN
        raise_splice_fault(fault)
        cdef bint is_emptied = count != 0 and splice.kept == 0
        cdef bint packed = self.header.codec != 0 and not is_emptied
        cdef object batch
        splice.out_size = splice.needed
        if packed:
            plain = PyByteArray_FromStringAndSize(NULL, splice.needed)
            splice.out = <uint8_t *>PyByteArray_AS_STRING(plain)
        else:
            batch = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + splice.needed)
            splice.out = <uint8_t *>PyBytes_AS_STRING(batch) + HEADER_SIZE
        with nogil:
            fault = write_section(&splice)
        raise_splice_fault(fault)
        if packed:
            batch = self._pack(plain, level)
        self._seal(batch, splice.kept)
        return batch

    cdef object _pack(self, plain, level):
        """Compresses a section; returns it behind 61 bytes of room."""
        cdef const uint8_t[::1] data = compress(self.header.codec, plain, level=level, xerial=self._xerial)
        cdef Py_ssize_t size = data.shape[0]
        if size > INT32_MAX - HEADER_SIZE:
            raise DecompressedTooLarge("a rebuilt batch beyond 2 GiB")
        batch = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + size)
        if size:
            memcpy(PyBytes_AS_STRING(batch) + HEADER_SIZE, &data[0], size)
        return batch

    cdef int _seal(self, bytes batch, int32_t count) except -1:
        """Writes the header into the room before a section. The batch is new and nobody else has it yet."""
        cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(batch)
        cdef Py_ssize_t size = len(batch)
        memcpy(out, self._head, HEADER_SIZE)
        store32(out + COUNT_AT, <uint32_t>count)
        if count == 0 and self.header.count:
            out[ATTRIBUTES_AT + 1] &= ~CODEC_BITS
        with nogil:
            seal(out, size)
        return 0

    def __repr__(self):
        return f"Batch({self.header!r})"


cdef int raise_splice_fault(Fault fault) except -1:
    if fault == SOUND:
        return 0
    if fault == OUTGROWN:
        raise DecompressedTooLarge("a rebuilt section beyond its limit")
    if fault == BAD_REPLACEMENT:
        raise ValueError("a replacement that leads out of its arena")
    raise RuntimeError("a batch was written to after it was read")
