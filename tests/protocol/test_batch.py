"""Record batches: what other clients wrote is read, what is rebuilt is read by them, and no lie is believed."""

from __future__ import annotations

import struct
from array import array
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import aiokafka.record.default_records as aio
import kafka.record.default_records as kpy
import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wiremask.protocol.batch import Batch, crc32c, read_header, split_batches
from wiremask.protocol.compression import Codec, compress, is_xerial
from wiremask.protocol.errors import (
    ContradictoryRecords,
    CorruptRecords,
    DecompressedTooLarge,
    InvalidRecords,
    RecordsError,
    UnsupportedCodec,
    UnsupportedMagic,
)

HEADER = struct.Struct(">qiibIhiqqqhii")
FIELDS = ["base_offset", "length", "leader_epoch", "magic", "crc", "attributes", "last_offset_delta"]
FIELDS += ["base_timestamp", "max_timestamp", "producer_id", "producer_epoch", "base_sequence", "count"]
LIMIT_BYTES = 1 << 22
LEAVE_OUT = object()
CODECS = list(Codec)
EACH_CODEC = pytest.mark.parametrize("codec", CODECS, ids=[codec.name.lower() for codec in CODECS])

# kafka-python's other codecs need libraries of their own
ORACLES = {Codec.NONE: (aio, kpy), Codec.GZIP: (aio, kpy), Codec.SNAPPY: (aio,), Codec.LZ4: (aio,), Codec.ZSTD: (aio,)}


class Row(NamedTuple):
    """One record, as every reader here gives it."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


ROWS = [
    Row(0, 1_700_000_000_000, b"key", b'{"ssn":"123-45-6789"}', [("trace", b"a1"), ("empty", b""), ("null", None)]),
    Row(1, 1_700_000_000_005, None, b"", []),
    Row(2, 1_699_999_999_000, b"", None, [("", b"x")]),
    Row(3, 1_700_000_086_400, b"k" * 70, b"v" * 9000, []),
]

nullable = st.none() | st.binary(max_size=80) | st.binary(min_size=1, max_size=3).map(lambda piece: piece * 3000)
rows_of = st.lists(
    st.tuples(
        st.integers(0, 1 << 42),
        nullable,
        nullable,
        st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=20)), max_size=3),
    ),
    min_size=1,
    max_size=12,
).map(lambda many: [Row(index, *fields) for index, fields in enumerate(many)])


def build(rows: list[Row], codec: int = 0, client: Any = aio, **producer: int) -> bytes:
    """A batch as a client's producer writes it."""
    state = {"is_transactional": 0, "producer_id": -1, "producer_epoch": -1, "base_sequence": -1} | producer
    builder = client.DefaultRecordBatchBuilder(magic=2, compression_type=codec, batch_size=1 << 24, **state)
    for row in rows:
        builder.append(row.offset, row.timestamp, row.key, row.value, row.headers)
    batch = bytes(builder.build())
    attributes = batch[22]
    if attributes & 7 != codec:  # clients leave out compression that does not pay
        section = bytes(memoryview(compress(codec, batch[HEADER.size :])))
        return reseal(batch, section, attributes=attributes | codec)
    return batch


def reseal(batch: bytes, section: bytes | None = None, **fields: int) -> bytes:
    """The batch with other records or header fields, and a length and CRC that are true again."""
    section = batch[HEADER.size :] if section is None else section
    header = dict(zip(FIELDS, HEADER.unpack_from(batch), strict=True))
    header |= {"length": HEADER.size - 12 + len(section)} | fields
    out = bytearray(HEADER.pack(*header.values()) + section)
    struct.pack_into(">I", out, 17, crc32c(memoryview(out)[21:]))
    return bytes(out)


def read(batch: bytes, *, dense_offsets: bool = True, limit_bytes: int = LIMIT_BYTES) -> Batch:
    return Batch.read(batch, 0, len(batch), limit_bytes=limit_bytes, dense_offsets=dense_offsets)


def read_by(client: Any, batch: bytes) -> list[Row]:
    reader = client.DefaultRecordBatch(bytearray(batch))
    assert reader.validate_crc()
    return [Row(row.offset, row.timestamp, row.key, row.value, list(row.headers)) for row in reader]


def contents(batch: Batch) -> list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]]:
    """Keys, values and headers as the spans say."""
    section = bytes(batch.section)

    def cut(start: int, size: int) -> bytes | None:
        return None if size == -1 else section[start : start + size]

    rows: list[Any] = [
        (cut(*batch.keys[at : at + 2]), cut(*batch.values[at : at + 2]), [])
        for at in range(0, 2 * batch.header.count, 2)
    ]
    for at in range(0, len(batch.headers), 5):
        index, *spans = batch.headers[at : at + 5]
        rows[index][2].append((section[spans[0] : sum(spans[:2])].decode(), cut(*spans[2:])))
    return rows


def spans_of(replacements: list[Any]) -> tuple[bytes, array[int]]:
    """An arena and its spans; Ellipsis keeps what is there, and LEAVE_OUT takes a header away."""
    arena, spans = b"", array("i")
    for new in replacements:
        if new is ...:
            spans.extend((-1, 0))
        elif new is LEAVE_OUT:
            spans.extend((-3, 0))
        elif new is None:
            spans.extend((0, -1))
        else:
            spans.extend((len(arena), len(new)))
            arena += new
    return arena, spans


def varint(value: int) -> bytes:
    raw = value << 1 ^ value >> 63
    out = bytearray()
    while raw >= 0x80:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


def record(
    *,
    attributes: bytes = b"\0",
    timestamp: bytes = b"\0",
    offset: bytes = b"\0",
    key: bytes = b"\x01",
    value: bytes = b"\x02v",
    headers: bytes = b"\0",
    tail: bytes = b"",
    length: int = 0,
) -> bytes:
    """A record of raw pieces; `length` is added to its true length."""
    body = attributes + timestamp + offset + key + value + headers + tail
    return varint(len(body) + length) + body


def batch_of(section: bytes, count: int = 1, **fields: int) -> bytes:
    return reseal(build(ROWS[:1]), section, **({"count": count, "last_offset_delta": count - 1} | fields))


# --- Read ------------------------------------------------------------------------------------------------------------


@EACH_CODEC
@settings(max_examples=40, deadline=None)
@given(rows=rows_of)
def test_reads_what_other_clients_write(codec, rows):
    for client in ORACLES[codec]:
        batch = read(build(rows, codec, client))

        assert contents(batch) == [row[2:] for row in rows]
        assert batch.header.codec == codec


def test_reads_the_header_of_a_batch():
    batch = reseal(
        build(ROWS, is_transactional=1, producer_id=1 << 40, producer_epoch=7, base_sequence=99),
        base_offset=-(1 << 60),
        leader_epoch=12,
        attributes=0x70,
        max_timestamp=-1,
    )

    header = read_header(b"before" + batch, 6)

    assert [getattr(header, name) for name in FIELDS] == list(HEADER.unpack_from(batch))
    assert (header.codec, header.transactional, header.control, header.empty) == (0, True, True, False)
    assert repr(read(batch).header) == repr(header)


@pytest.mark.parametrize("start", [-1, 1, 1 << 40])
def test_refuses_to_read_a_header_that_is_not_there(start):
    with pytest.raises(CorruptRecords):
        read_header(build(ROWS)[:61], start)


def test_views_an_uncompressed_section_and_expands_a_compressed_one():
    plain, packed = bytearray(b"xx" + build(ROWS)), build(ROWS, Codec.LZ4)

    view = Batch.read(plain, 2, len(plain), limit_bytes=0, dense_offsets=True).section
    expanded = read(packed).section

    assert isinstance(view, memoryview)
    assert view.obj is plain
    assert bytes(expanded) == bytes(view)


def test_reads_empty_and_control_batches_and_tells_them_by_their_header():
    empty = reseal(build(ROWS), b"", count=0, last_offset_delta=41)
    control = reseal(build(ROWS[:1]), attributes=0x20)

    headers = [read(batch, dense_offsets=False).header for batch in (empty, control)]

    assert [(header.empty, header.control) for header in headers] == [(True, False), (False, True)]
    assert not read_header(reseal(build(ROWS), count=0)).empty
    assert read(empty).rebuild() == empty


@pytest.mark.parametrize("dense", [True, False], ids=["produced", "fetched"])
def test_holds_produced_batches_to_offsets_without_gaps(dense):
    gaps = reseal(
        build([row._replace(offset=3 * row.offset + 1) for row in ROWS]), base_offset=500, last_offset_delta=20
    )

    if dense:
        with pytest.raises(InvalidRecords, match="lastOffsetDelta 20"):
            read(gaps)
        with pytest.raises(InvalidRecords, match="record 0: an offset delta"):
            read(reseal(gaps, last_offset_delta=3))
    else:
        assert contents(read(gaps, dense_offsets=False)) == [row[2:] for row in ROWS]


@pytest.mark.parametrize(
    ("deltas", "last"),
    [((0, 0), 1), ((1, 0), 1), ((-1, 0), 1), ((0, 2), 1), ((0, 1 << 31), 1)],
    ids=["twice", "falling", "negative", "beyond the last", "beyond 32 bits"],
)
@pytest.mark.parametrize("dense", [True, False], ids=["produced", "fetched"])
def test_refuses_offset_deltas_that_lie(deltas, last, dense):
    section = b"".join(record(offset=varint(delta)) for delta in deltas)

    with pytest.raises(RecordsError) as caught:
        read(batch_of(section, 2, last_offset_delta=last), dense_offsets=dense)

    unreadable = max(deltas) > 1 << 30
    assert type(caught.value) is (InvalidRecords if dense and not unreadable else ContradictoryRecords)


# --- Lies ------------------------------------------------------------------------------------------------------------


def test_the_plain_record_that_the_lies_are_made_of_is_sound():
    batch = batch_of(record())

    assert contents(read(batch)) == [(None, b"v", [])]
    assert [row[2:] for row in read_by(aio, batch)] == [(None, b"v", [])]


@pytest.mark.parametrize(
    "section",
    [
        record(timestamp=b"\x80\x00"),
        record(timestamp=b"\xff" * 9 + b"\x01"),
        record(offset=b"\x80\x80\x80\x80\x00"),
        record(key=b"\x81\x00"),
        record(value=b"\x82\x80\x00v"),
        record(headers=b"\x82\x00\x82\x00h\x81\x00"),
        b"\x8e\x80\x80\x00" + record()[1:],
        record(attributes=b"\x7f"),
    ],
    ids=["timestamp", "longest timestamp", "offset", "null key", "value", "headers", "length", "attributes"],
)
def test_reads_numbers_that_are_longer_than_they_need_as_java_does(section):
    batch = batch_of(section)

    assert [row[2:] for row in read_by(aio, batch)] == contents(read(batch))
    assert read(batch).rebuild() == batch


@pytest.mark.parametrize(
    "section",
    [
        record(attributes=b"\x80"),
        record(timestamp=b"\x80" * 10 + b"\x00"),
        record(timestamp=b"\xff" * 9 + b"\x02"),
        record(timestamp=b"\x80" * 3000),
        record(offset=b"\x80" * 5 + b"\x00"),
        record(offset=b"\x80\x80\x80\x80\x10"),
        record(key=b"\x81\x80\x80\x80\x70"),
        record(key=b"\x03"),
        record(key=b"\xfe\xff\xff\xff\x0f"),
        record(key=b"\x0aabc"),
        record(value=b"\x03"),
        record(value=b"\xff\xff\xff\xff\x0f"),
        record(value=b"\x06v"),
        record(headers=b"\x01"),
        record(headers=b"\x02"),
        record(headers=b"\xfe\xff\xff\xff\x0f"),
        record(headers=b"\x02\x01\x01"),
        record(headers=b"\x02\x08h\x01"),
        record(headers=b"\x02\x02h\x03"),
        record(headers=b"\x02\x02h\x06v"),
        record(headers=b"\x04\x02h\x01"),
        record(tail=b"\0"),
        record(length=1),
        record(length=-1),
        b"\x00",
        b"\x01" + record()[1:],
        b"\xfe\xff\xff\xff\x0f" + record()[1:],
        b"\x80\x80\x80\x80\x80\x00" + record()[1:],
        record() + b"\0",
        record() + record(offset=b"\x02"),
        b"",
        b"\x80" * 7,
    ],
    ids=[
        "attributes that are a varint to some",
        "timestamp of 11 bytes",
        "timestamp beyond 64 bits",
        "timestamp without end",
        "offset of 6 bytes",
        "offset beyond 32 bits",
        "null key beyond 32 bits",
        "key of -2",
        "key of 2 GB",
        "key past the record",
        "value of -2",
        "value of -2 GB",
        "value past the record",
        "headers of -1",
        "headers missing",
        "headers of 2 G",
        "null header key",
        "header key past the record",
        "header value of -2",
        "header value past the record",
        "one header of two",
        "bytes behind the headers",
        "length too large",
        "length too small",
        "length of none",
        "length negative",
        "length of 2 GB",
        "length of 6 bytes",
        "byte behind the records",
        "record behind the count",
        "no record",
        "length without end",
    ],
)
@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD], ids=["plain", "compressed"])
def test_refuses_records_that_lie(section, codec):
    batch = batch_of(bytes(memoryview(compress(codec, section))), attributes=codec)

    with pytest.raises(CorruptRecords):
        read(batch)


@pytest.mark.parametrize("count", [-(1 << 31), -1, 0, 3, 5, (1 << 31) - 1])
@pytest.mark.parametrize("dense", [True, False], ids=["produced", "fetched"])
def test_refuses_counts_that_lie(count, dense):
    batch = reseal(build(ROWS), count=count, last_offset_delta=max(count - 1, 0) if dense else 3)

    with pytest.raises(CorruptRecords):
        read(batch, dense_offsets=dense)


@EACH_CODEC
def test_refuses_every_truncation(codec):
    batch = build(ROWS[:3], codec)

    for size in range(len(batch)):
        with pytest.raises(CorruptRecords):
            read(batch[:size])
        if size >= HEADER.size:
            with pytest.raises(CorruptRecords):
                read(reseal(batch, batch[HEADER.size : size]))


@EACH_CODEC
def test_refuses_trailing_bytes(codec):
    batch = build(ROWS, codec)

    with pytest.raises(CorruptRecords):
        read(batch + b"\0")
    with pytest.raises(CorruptRecords):
        read(reseal(batch, batch[HEADER.size :] + b"\0"))


@EACH_CODEC
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_notices_every_corrupt_byte_that_the_crc_covers_and_reports_the_others(codec, flip):
    sound = build(ROWS[:3], codec)
    outside = {**dict.fromkeys(range(8), "base_offset"), **dict.fromkeys(range(12, 16), "leader_epoch")}

    for position in range(len(sound)):
        damaged = bytearray(sound)
        damaged[position] ^= flip
        if position in outside:
            batch = read(bytes(damaged))
            changed = {name for name in FIELDS if getattr(batch.header, name) != getattr(read(sound).header, name)}
            assert changed == {outside[position]}
        else:
            with pytest.raises(UnsupportedMagic if position == 16 else CorruptRecords):
                read(bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(rows=rows_of, data=st.data())
def test_accepts_of_damaged_sections_only_what_others_read_the_same(rows, data):
    section = bytearray(build(rows)[HEADER.size :])
    for position in data.draw(st.lists(st.integers(0, min(len(section), 60) - 1), min_size=1, max_size=3)):
        section[position] = data.draw(st.sampled_from([0, 1, 2, 3, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    batch = reseal(build(rows), bytes(section))

    try:
        ours = read(batch, dense_offsets=False)
    except RecordsError:
        return

    try:
        rows_read = contents(ours)
    except UnicodeDecodeError:  # whether header names are UTF-8 is not ours to judge
        assume(False)
    assert rows_read == [row[2:] for row in read_by(kpy, batch)]
    assert ours.rebuild() == batch


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=200), count=st.integers(-1, 30))
def test_survives_noise_in_place_of_records(noise, count):
    batch = batch_of(noise, count)

    try:
        accepted = read(batch, dense_offsets=False)
    except RecordsError:
        return

    assert accepted.rebuild() == batch


@pytest.mark.parametrize("codec", [5, 6, 7])
def test_refuses_codecs_that_kafka_does_not_define(codec):
    with pytest.raises(UnsupportedCodec):
        read(reseal(build(ROWS), attributes=codec))


@pytest.mark.parametrize("codec", CODECS[1:], ids=[codec.name.lower() for codec in CODECS[1:]])
def test_refuses_a_section_that_expands_beyond_the_limit(codec):
    batch = build([Row(0, 0, None, bytes(1 << 20), [])], codec)

    with pytest.raises(DecompressedTooLarge):
        read(batch, limit_bytes=1 << 20)

    assert len(read(batch, limit_bytes=(1 << 20) + 100).section) > 1 << 20


@pytest.mark.parametrize(("start", "end"), [(-1, 10), (10, 9), (0, 10_000)])
def test_refuses_a_span_outside_of_its_field(start, end):
    with pytest.raises(ValueError, match="outside"):
        Batch.read(build(ROWS[:1]), start, end, limit_bytes=0, dense_offsets=True)


def test_says_nothing_of_the_content_in_errors_and_reprs():
    canary = b"canary-4f1d"
    rows = [Row(0, 0, canary, canary, [(canary.decode(), canary)])]
    texts = [repr(read(build(rows))), repr(read(build(rows)).header)]

    for size in range(HEADER.size, len(build(rows))):
        with pytest.raises(RecordsError) as caught:
            read(reseal(build(rows), build(rows)[HEADER.size : size]))
        texts.append(repr(caught.value))

    assert not [text for text in texts if "canary" in text]


# --- Rebuild ---------------------------------------------------------------------------------------------------------


@EACH_CODEC
def test_rebuilds_to_exactly_the_limit_and_not_a_byte_beyond(codec):
    batch = read(build(ROWS, codec))
    longer = spans_of([b"x" * 100] * len(ROWS))
    size = len(memoryview(read(batch.rebuild(values=longer)).section))

    rebuilt = batch.rebuild(values=longer, limit_bytes=size)
    with pytest.raises(DecompressedTooLarge):
        batch.rebuild(values=longer, limit_bytes=size - 1)

    assert read(rebuilt).header.count == len(ROWS)


def test_says_how_many_headers_a_record_has_at_most():
    header = b"\x02h\x01"
    records = [record(offset=varint(at), headers=varint(count) + header * count) for at, count in enumerate((1, 3, 0))]

    batch = read(batch_of(b"".join(records), 3))

    assert (batch.header_count, batch.most_headers) == (4, 3)


@settings(max_examples=100, deadline=None)
@given(rows=rows_of, codec=st.sampled_from(CODECS))
def test_rebuilding_without_replacements_changes_nothing(rows, codec):
    original = build(rows, codec)
    batch = read(original)

    rebuilt = batch.rebuild(values=spans_of([...] * len(rows)), keys=None)

    assert bytes(read(rebuilt).section) == bytes(batch.section)
    if codec == Codec.NONE:
        assert rebuilt == original


@EACH_CODEC
@settings(max_examples=50, deadline=None)
@given(rows=rows_of, data=st.data())
def test_others_read_rebuilt_batches_with_only_the_replacements_changed(codec, rows, data):
    news = st.lists(st.just(...) | nullable, min_size=len(rows), max_size=len(rows))
    keys, values = data.draw(st.none() | news), data.draw(news)
    original = reseal(build(rows, codec), base_offset=data.draw(st.integers(0, 1 << 50)), leader_epoch=4)

    rebuilt = read(original).rebuild(keys=keys and spans_of(keys), values=spans_of(values))

    for client in ORACLES[codec]:
        expected = [
            row._replace(
                key=row.key if keys is None or keys[index] is ... else keys[index],
                value=row.value if values[index] is ... else values[index],
            )
            for index, row in enumerate(read_by(client, original))
        ]
        assert read_by(client, rebuilt) == expected
    assert contents(read(rebuilt)) == [row[2:] for row in expected]


@EACH_CODEC
def test_rebuilding_keeps_every_field_of_the_header_and_every_gap(codec):
    rows = [row._replace(offset=5 * row.offset) for row in ROWS]
    original = reseal(
        build(rows, codec, producer_id=1 << 40, producer_epoch=3, base_sequence=8),
        base_offset=123_456_789_000,
        leader_epoch=17,
        attributes=0x7FF8 | codec,
        last_offset_delta=40,
        base_timestamp=-5,
        max_timestamp=1 << 50,
    )

    rebuilt = read(original, dense_offsets=False).rebuild(values=spans_of([b"n" * 500] * len(rows)))

    before, after = read_header(original), read_header(rebuilt)
    assert {name for name in FIELDS if getattr(before, name) != getattr(after, name)} == {"length", "crc"}
    assert after.length == len(rebuilt) - 12
    assert [row.offset - 123_456_789_000 for row in read_by(aio, rebuilt)] == [0, 5, 10, 15]


@pytest.mark.parametrize("xerial", [True, False], ids=["xerial", "raw"])
def test_rebuilding_keeps_the_framing_of_snappy(xerial):
    section = build(ROWS)[HEADER.size :]
    original = reseal(build(ROWS), bytes(compress(Codec.SNAPPY, section, xerial=xerial)), attributes=Codec.SNAPPY)

    rebuilt = read(original).rebuild(values=spans_of([b"new"] * 4))

    assert is_xerial(rebuilt[HEADER.size :]) is xerial
    assert [row.value for row in read_by(aio, rebuilt)] == [b"new"] * 4


def test_rebuilding_compresses_at_the_level_asked_for():
    rows = [Row(index, 0, None, f"value {index * 7919 % 1000}".encode() * 9, []) for index in range(300)]
    batch = read(build(rows, Codec.ZSTD))

    fast, small = batch.rebuild(level=1), batch.rebuild(level=19)

    assert len(small) < len(fast)
    assert read_by(aio, small) == read_by(aio, fast) == rows


def test_replaced_records_get_the_shortest_lengths_and_others_keep_theirs():
    long_form = b"\x8e\x80\x00" + record()[1:]
    batch = read(batch_of(long_form + long_form.replace(b"\0\0\0\0\x01", b"\0\0\0\x02\x01"), 2))

    rebuilt = read(batch.rebuild(values=spans_of([..., b"w"])))

    assert bytes(rebuilt.section) == long_form + record(offset=b"\x02", value=b"\x02w")


@pytest.mark.parametrize(
    "spans",
    [
        array("i", [0, 1, 0, 1]),
        array("i", [0, 1] * 5),
        array("i", []),
        array("i", [-2, 1] + [-1, 0] * 3),
        array("i", [0, -2] + [-1, 0] * 3),
        array("i", [0, 6] + [-1, 0] * 3),
        array("i", [6, 0] + [-1, 0] * 3),
        array("i", [(1 << 31) - 1, (1 << 31) - 1] + [-1, 0] * 3),
        array("i", [-(1 << 31), 0] + [-1, 0] * 3),
    ],
    ids=["few", "many", "none", "before", "negative", "long", "behind", "overflow", "far before"],
)
@pytest.mark.parametrize("field", ["keys", "values"])
def test_refuses_replacements_that_do_not_fit(spans, field):
    batch = read(build(ROWS))

    with pytest.raises(ValueError, match=r"span bounds|leads out of its arena"):
        batch.rebuild(**{field: (b"arena", spans)})


def test_an_empty_arena_holds_empty_and_null_values():
    batch = read(build(ROWS[:2]))

    rebuilt = batch.rebuild(values=(b"", array("i", [0, 0, 0, -1])))

    assert [row.value for row in read_by(aio, rebuilt)] == [b"", None]


def test_refuses_to_outgrow_two_gigabytes_before_memory_is_taken():
    arena = bytes(1 << 20)
    rows = [Row(index, 0, None, b"", []) for index in range(2048)]

    with pytest.raises(DecompressedTooLarge):
        read(build(rows)).rebuild(values=(arena, array("i", [0, len(arena)] * len(rows))))


@EACH_CODEC
@settings(max_examples=50, deadline=None)
@given(rows=rows_of, data=st.data())
def test_others_read_rebuilt_batches_with_other_headers_and_without_the_records_left_out(codec, rows, data):
    news = data.draw(st.lists(st.sampled_from([..., LEAVE_OUT]) | nullable, min_size=40, max_size=40))
    values = data.draw(st.lists(st.just(...) | nullable, min_size=len(rows), max_size=len(rows)))
    omitted = data.draw(
        st.binary(min_size=len(rows), max_size=len(rows)).map(lambda marks: bytes(m % 3 for m in marks))
    )
    original = build(rows, codec)
    count = sum(len(row.headers) for row in rows)

    rebuilt = read(original).rebuild(
        values=spans_of(values), headers=spans_of(news[:count]) if count else None, omitted=omitted
    )

    expected, replaced = [], iter(news)
    for row, value, is_omitted in zip(rows, values, omitted, strict=True):
        pairs = [(name, old, next(replaced)) for name, old in row.headers]
        headers = [(name, old if new is ... else new) for name, old, new in pairs if new is not LEAVE_OUT]
        if not is_omitted:
            expected.append(row._replace(value=row.value if value is ... else value, headers=headers))
    assert read_header(rebuilt).count == len(expected)
    assert contents(read(rebuilt, dense_offsets=False)) == [row[2:] for row in expected]
    if expected:
        assert read_by(aio, rebuilt) == expected


@EACH_CODEC
def test_a_batch_of_which_all_records_are_left_out_is_what_compaction_leaves(codec):
    original = reseal(build(ROWS, codec), base_offset=70, attributes=0x38 | codec)

    rebuilt = read(original).rebuild(omitted=b"\1" * 4)

    before, after = read_header(original), read_header(rebuilt)
    assert {name for name in FIELDS if getattr(before, name) != getattr(after, name)} - {"attributes"} == {
        "length", "crc", "count"
    }  # fmt: skip
    assert (after.empty, after.attributes, after.last_offset_delta, len(rebuilt)) == (True, 0x38, 3, HEADER.size)
    assert read(rebuilt, dense_offsets=False).header.count == 0


@pytest.mark.parametrize("marks", [b"", b"\1" * 3, b"\1" * 5])
def test_refuses_marks_of_another_number_than_the_records(marks):
    with pytest.raises(ValueError, match="marks for 4 records"):
        read(build(ROWS)).rebuild(omitted=marks)


@pytest.mark.parametrize(
    "spans",
    [[0, 1] * 3, [0, 1] * 5, [-2, 1] + [-1, 0] * 3, [0, -2] + [-1, 0] * 3, [5, 1] + [-1, 0] * 3, [-4, 0] * 4],
    ids=["few", "many", "before", "negative", "behind", "unknown word"],
)
def test_refuses_headers_that_do_not_fit(spans):
    with pytest.raises(ValueError, match=r"span bounds|leads out of its arena"):
        read(build(ROWS)).rebuild(headers=(b"arena", array("i", spans)))


def test_a_batch_of_bytes_that_were_written_to_afterwards_does_no_harm():
    data = bytearray(build([row._replace(headers=[("a", b"b")]) for row in ROWS]))
    batch = read(data)
    data[HEADER.size :] = b"\xff" * (len(data) - HEADER.size)

    with pytest.raises(RuntimeError):
        batch.rebuild(values=spans_of([b"x"] * 4))
    with pytest.raises(RuntimeError):
        batch.rebuild(headers=spans_of([b"x"] * 4))
    with pytest.raises(RuntimeError):
        _ = batch.headers


def test_threads_share_a_batch():
    rows = [Row(index, 0, b"k", b"%d" % index * 50, [("h", b"v")]) for index in range(500)]
    batch = read(build(rows))
    news = [spans_of([b"%d" % turn * 9] * 500) for turn in range(8)]

    with ThreadPoolExecutor(4) as pool:
        rebuilt = list(pool.map(lambda new: (batch.rebuild(values=new), len(batch.headers)), news * 5))

    for turn, (data, headers) in enumerate(rebuilt):
        assert {row.value for row in read_by(aio, data)} == {b"%d" % (turn % 8) * 9}
        assert headers == 5 * 500


# --- Split -----------------------------------------------------------------------------------------------------------


def legacy(magic: int) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, 0, 1 << 20)
    builder.append(0, timestamp=None if magic == 0 else 5, key=None, value=None)
    return bytes(builder.build())


@settings(max_examples=100, deadline=None)
@given(kinds=st.lists(st.integers(0, 2), max_size=6), cut=st.integers(0, 1000))
def test_splits_a_field_into_whole_batches_and_leaves_out_the_cut_one(kinds, cut):
    parts = [build(ROWS[:2]) if kind == 2 else legacy(kind) for kind in kinds]
    field = b"".join(parts)
    ends = [sum(map(len, parts[: index + 1])) for index in range(len(parts))]
    cut = min(cut, len(field))

    spans = split_batches(field[:cut], partial_tail=True)

    whole = [end for end in ends if end <= cut]
    assert [span.end for span in spans] == whole
    assert [span.start for span in spans] == ([0, *whole])[: len(whole)]
    assert [span.magic for span in spans] == kinds[: len(whole)]
    if cut in {0, *ends}:
        assert len(split_batches(field[:cut], partial_tail=False)) == len(whole)
    else:
        with pytest.raises(CorruptRecords):
            split_batches(field[:cut], partial_tail=False)


@pytest.mark.parametrize("partial_tail", [True, False], ids=["fetched", "produced"])
@pytest.mark.parametrize(
    ("magic", "length"),
    [(0, 13), (1, 21), (2, 48), (2, 0), (2, -1), (2, -(1 << 31)), (9, 13)],
)
def test_refuses_lengths_that_are_too_small_for_a_batch(magic, length, partial_tail):
    field = reseal(build(ROWS), length=length, magic=magic)

    with pytest.raises(CorruptRecords):
        split_batches(field, partial_tail=partial_tail)


@pytest.mark.parametrize("magic", [-128, -1, 3, 127])
def test_refuses_magics_of_the_future_and_reads_only_magic_2(magic):
    field = reseal(build(ROWS), magic=magic)

    with pytest.raises(UnsupportedMagic):
        split_batches(field, partial_tail=True)
    with pytest.raises(UnsupportedMagic):
        read_header(field)
    with pytest.raises(UnsupportedMagic):
        read(field)


def test_refuses_a_length_that_leads_past_the_field_unless_the_broker_cut_it():
    field = build(ROWS) + reseal(build(ROWS), length=(1 << 31) - 1)

    spans = split_batches(field, partial_tail=True)

    assert [(span.start, span.end) for span in spans] == [(0, len(build(ROWS)))]
    with pytest.raises(CorruptRecords):
        split_batches(field, partial_tail=False)


def test_splits_an_empty_field_into_nothing():
    assert split_batches(b"", partial_tail=True) == split_batches(b"", partial_tail=False) == []


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(max_size=120), partial_tail=st.booleans())
def test_splits_noise_into_spans_that_follow_each_other_or_refuses_it(noise, partial_tail):
    try:
        spans = split_batches(noise, partial_tail=partial_tail)
    except RecordsError:
        return

    position = 0
    for span in spans:
        assert span.start == position < span.end <= len(noise)
        position = span.end
    assert partial_tail or position == len(noise)
