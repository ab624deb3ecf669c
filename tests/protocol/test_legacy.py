"""Message sets of magic 0 and 1, against Kafka's own writer and the readers and writers of aiokafka and kafka-python."""

from __future__ import annotations

import gzip
import struct
import zlib
from array import array
from typing import Any

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatch, LegacyRecordBatchBuilder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kafka.record.legacy_records import LegacyRecordBatch as KafkaPythonBatch
from kafka.record.legacy_records import LegacyRecordBatchBuilder as KafkaPythonBuilder

from wiremask.protocol.batch import split_batches
from wiremask.protocol.compression import Codec, compress
from wiremask.protocol.errors import CorruptRecords, DecompressedTooLarge, RecordsError, UnsupportedCodec
from wiremask.protocol.legacy import MESSAGES, PLAIN_MESSAGES, MessageSet, split_sets

CODECS = {"none": Codec.NONE, "gzip": Codec.GZIP, "snappy": Codec.SNAPPY, "lz4": Codec.LZ4}
KAFKA_PYTHON_CODECS = ["none", "gzip"]  # the others need packages that nothing else here does
LIMIT = 1 << 20
bounded = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

Row = tuple[bytes | None, bytes | None]

# Written by MemoryRecordsBuilder of Kafka 4.3.1: offsets from 100, three messages, a tombstone second.
WRITTEN_BY_KAFKA = {
    (0, "none"): (
        "000000000000006400000025227b76c90000000000026b31000000157b2273736e223a223132332d34352d3637383922"
        "7d00000000000000650000000ea7ec68030000ffffffffffffffff000000000000006600000029d9c617550000000000"
        "000000001b7b2273736e223a223938372d36352d34333231222c226e223a317d"
    ),
    (0, "gzip"): (
        "00000000000000660000007af711a8ca0001ffffffff0000006c1f8b08000000000000ff6360008314205655aa2e3b09"
        "e631651b0249d16aa5e2e23c252b254323635d13535d33730b4ba55a887a865420e65bfe26839981e13f144065d28058"
        "f3e631f1500618908619646961ae6b66aa6b626c64a8a4a3041431ac05004b86e3da80000000"
    ),
    (0, "snappy"): (
        "00000000000000660000008e62e6b2720002ffffffff0000008082534e415050590000000001000000010000006c8001"
        "00000901206400000025227b76c9050f6c026b31000000157b2273736e223a223132332d34352d36373839227d052134"
        "0000650000000ea7ec68030000ff0d010d1a206600000029d9c617550d101000001b7b220949483938372d36352d3433"
        "3231222c226e223a317d"
    ),
    (0, "lz4"): (
        "00000000000000660000008cc49d27680003ffffffff0000007e04224d1860401a6f0000001200010091640000002522"
        "7b76c90f00f10d026b31000000157b2273736e223a223132332d34352d36373839227d2100e30000650000000ea7ec68"
        "030000ff0100001700c10000006600000029d9c617550e00000200141b4900f0043938372d36352d34333231222c226e"
        "223a317d00000000"
    ),
    (1, "none"): (
        "00000000000000640000002d5a0570e701000000018bcfe56800000000026b31000000157b2273736e223a223132332d"
        "34352d36373839227d000000000000006500000016b79a1a5801000000018bcfe56801ffffffffffffffff0000000000"
        "000066000000318354b1f701000000018bcfe56802000000000000001b7b2273736e223a223938372d36352d34333231"
        "222c226e223a317d"
    ),
    (1, "gzip"): (
        "000000000000006600000089ec194e3001010000018bcfe56802ffffffff000000731f8b08000000000000ff63608003"
        "dd28d682e78c400663f7f9a7192011a66c4320295aad545c9ca764a5646864ac6b62aa6b666e61a9540bd504522fb67d"
        "9654045c23e37f2880aa600262c3e6908ddfe12a98a032d230832d2dcc75cd4c754d8c8d0c957494802286b500297a58"
        "5d98000000"
    ),
    (1, "snappy"): (
        "0000000000000066000000a4243ebe3001020000018bcfe56802ffffffff0000008e82534e4150505900000000010000"
        "00010000007a980100001901342d5a0570e701000000018bcfe56801186c026b31000000157b2273736e223a22313233"
        "2d34352d36373839227d01200800000001301016b79a1a580109000101390401ff0d01011f2c00000002000000318354"
        "b1f7152201120101001b1159483938372d36352d34333231222c226e223a317d"
    ),
    (1, "lz4"): (
        "00000000000000660000009df6b7cb8e01030000018bcfe56802ffffffff0000008704224d1860408278000000160001"
        "00e02d5a0570e701000000018bcfe5681800f00d026b31000000157b2273736e223a223132332d34352d36373839227d"
        "2000002c008500000016b79a1a5839002301ff0100012000b5000002000000318354b1f72200001200000200141b5900"
        "f0043938372d36352d34333231222c226e223a317d00000000"
    ),
}
KAFKA_VALUES = [b'{"ssn":"123-45-6789"}', None, b'{"ssn":"987-65-4321","n":1}']
written_by_kafka = pytest.mark.parametrize(
    ("magic", "codec", "data"),
    [(magic, codec, bytes.fromhex(data)) for (magic, codec), data in WRITTEN_BY_KAFKA.items()],
    ids=[f"magic {magic}, {codec}" for magic, codec in WRITTEN_BY_KAFKA],
)
rows = st.lists(
    st.tuples(st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=60)), min_size=1, max_size=12
)


def message(
    value: bytes | None = b"value",
    *,
    magic: int = 1,
    attributes: int = 0,
    key: bytes | None = None,
    offset: int = 7,
    timestamp: int = 5,
    **spoilt: Any,
) -> bytes:
    """One message; `spoilt` puts other numbers in the place of the right ones."""

    def sized(content: bytes | None, name: str) -> bytes:
        size = -1 if content is None else len(content)
        return struct.pack(">i", spoilt.get(name, size)) + (content or b"")

    counted = struct.pack(">bb", spoilt.get("magic_byte", magic), attributes)
    counted += struct.pack(">q", timestamp) if magic else b""
    counted += sized(key, "key_size") + sized(value, "value_size") + spoilt.get("tail", b"")
    crc = spoilt.get("crc", zlib.crc32(counted))
    return struct.pack(">qiI", offset, spoilt.get("size", 4 + len(counted)), crc) + counted


def read(data: bytes) -> MessageSet:
    return MessageSet.read(data, 0, len(data), limit_bytes=LIMIT)


def sets(data: bytes) -> list[tuple[int, int]]:
    return list(split_sets(memoryview(data), split_batches(data, partial_tail=False)))


def values_of(found: MessageSet) -> list[bytes | None]:
    return [
        None if size < 0 else bytes(found.section[start : start + size])
        for start, size in zip(found.values[::2], found.values[1::2], strict=True)
    ]


def spans_of(values: list[bytes | None]) -> tuple[bytes, array[int]]:
    arena, spans = b"", array("i")
    for value in values:
        spans.extend((len(arena), -1 if value is None else len(value)))
        arena += value or b""
    return arena, spans


def build(drawn: list[Row], magic: int, codec: str) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, CODECS[codec], 1 << 20)
    for offset, (key, value) in enumerate(drawn):
        builder.append(offset, None if magic == 0 else 1000 + offset, key, value)
    return bytes(builder.build())


def as_read_by(reader: Any, data: bytes, magic: int) -> list[tuple[Any, ...]]:
    told = []
    for span in split_batches(data, partial_tail=False):
        batch = reader(data[span.start : span.end], magic)
        assert batch.validate_crc()
        told += [(one.offset, one.timestamp, one.timestamp_type, one.key, one.value) for one in batch]
    return told


@written_by_kafka
def test_reads_what_kafka_writes(magic: int, codec: str, data: bytes) -> None:
    (span,) = sets(data)

    found = MessageSet.read(data, *span, limit_bytes=LIMIT)

    assert values_of(found) == KAFKA_VALUES
    assert found.is_compressed == (codec != "none")


@written_by_kafka
def test_changes_the_values_of_what_kafka_writes_and_nothing_else(magic: int, codec: str, data: bytes) -> None:
    masked: list[bytes | None] = [b"masked", None, b""]

    rebuilt = read(data).rebuild(values=spans_of(masked))

    again = read(rebuilt)
    before, after = read(data), again
    assert values_of(again) == masked
    assert again.is_compressed == before.is_compressed
    assert rebuilt[:8] == data[:8]
    assert rebuilt[16:22] == data[16:22]
    assert headers(after) == headers(before)


def headers(found: MessageSet) -> list[tuple[bytes, bytes]]:
    """Of each message its offset, and what stands between its CRC and its value's length."""
    told, at = [], 0
    for start, size in zip(found.values[::2], found.values[1::2], strict=True):
        told.append((bytes(found.section[at : at + 8]), bytes(found.section[at + 16 : start - 4])))
        at = start + max(size, 0)
    return told


@written_by_kafka
def test_what_keeps_its_values_keeps_its_messages_to_the_last_byte(magic: int, codec: str, data: bytes) -> None:
    found = read(data)

    rebuilt = found.rebuild(values=(b"", array("i", [-1, 0] * 3)))

    assert bytes(read(rebuilt).section) == bytes(found.section)
    assert codec != "none" or rebuilt == data


def test_lz4_of_magic_0_has_the_header_checksum_that_its_readers_expect() -> None:
    data = bytes.fromhex(WRITTEN_BY_KAFKA[0, "lz4"])

    rebuilt = read(data).rebuild(values=spans_of([b"masked", None, b""]))

    head = slice(26, 33)
    assert data[head].hex() == "04224d1860401a"
    assert rebuilt[head] == data[head]
    assert bytes.fromhex(WRITTEN_BY_KAFKA[1, "lz4"])[34:41].hex() == "04224d18604082"


@pytest.mark.parametrize("checksum", [0x00, 0x1A, 0x82, 0xFF])
def test_lz4_of_magic_0_is_read_whatever_the_header_checksum(checksum: int) -> None:
    frame = bytearray(compress(Codec.LZ4, message(magic=0)))
    frame[6] = checksum

    found = read(message(bytes(frame), magic=0, attributes=Codec.LZ4))

    assert values_of(found) == [b"value"]


def test_lz4_of_magic_0_may_state_its_size() -> None:
    plain = message(magic=0)
    frame = bytes(compress(Codec.LZ4, plain))
    stated = frame[:4] + b"\x68\x40" + struct.pack("<Q", len(plain)) + b"\0" + frame[7:]

    found = read(message(stated, magic=0, attributes=Codec.LZ4))

    assert values_of(found) == [b"value"]


def test_lz4_of_magic_1_has_the_right_header_checksum_or_is_refused() -> None:
    frame = bytearray(compress(Codec.LZ4, message()))
    frame[6] ^= 1

    with pytest.raises(CorruptRecords):
        read(message(bytes(frame), attributes=Codec.LZ4))


@pytest.mark.parametrize(
    ("magic", "codec"), [(magic, codec) for magic in (0, 1) for codec in CODECS if (magic, codec) != (0, "lz4")]
)
@given(drawn=rows, data=st.data())
@bounded
def test_other_readers_find_the_new_values_and_all_else_as_before(
    magic: int, codec: str, drawn: list[Row], data: st.DataObject
) -> None:
    original = build(drawn, magic, codec)
    fates = data.draw(st.lists(st.sampled_from(["keep", "mask", "null"]), min_size=len(drawn), max_size=len(drawn)))
    new = {"keep": (-1, 0), "mask": (2, 6), "null": (0, -1)}

    (span,) = sets(original)
    found = MessageSet.read(original, *span, limit_bytes=LIMIT)
    rebuilt = found.rebuild(values=(b"__masked__", array("i", [bound for fate in fates for bound in new[fate]])))

    assert values_of(found) == [value for _, value in drawn]
    for reader in (LegacyRecordBatch, KafkaPythonBatch) if codec in KAFKA_PYTHON_CODECS else (LegacyRecordBatch,):
        before = as_read_by(reader, original, magic)
        told = {"mask": b"masked", "null": None}
        assert as_read_by(reader, rebuilt, magic) == [
            (*row[:4], told.get(fate, row[4])) for row, fate in zip(before, fates, strict=True)
        ]


@pytest.mark.parametrize("codec", KAFKA_PYTHON_CODECS)
@given(drawn=rows)
@bounded
def test_reads_what_kafka_python_writes(codec: str, drawn: list[Row]) -> None:
    builder = KafkaPythonBuilder(1, CODECS[codec], 1 << 20)
    for offset, (key, value) in enumerate(drawn):
        builder.append(offset, 1000 + offset, key, value)

    found = read(bytes(builder.build()))

    assert values_of(found) == [value for _, value in drawn]


@pytest.mark.parametrize("raw", [False, True], ids=["xerial", "raw"])
def test_snappy_keeps_the_framing_that_it_came_in(raw: bool) -> None:
    framed = bytes(compress(Codec.SNAPPY, message(), xerial=not raw))

    rebuilt = read(message(framed, attributes=Codec.SNAPPY)).rebuild(values=spans_of([b"masked"]))

    assert (b"SNAPPY" in rebuilt) is not raw
    assert values_of(read(rebuilt)) == [b"masked"]


def test_a_run_of_plain_messages_is_one_set_and_a_wrapper_is_its_own() -> None:
    plain = [message(b"%d" % number, magic=number % 2) for number in range(3)]
    wrapper = message(bytes(compress(Codec.GZIP, message())), attributes=Codec.GZIP)
    parts = [b"".join(plain), wrapper, wrapper, plain[0]]
    data = b"".join(parts)

    found = sets(data)

    assert [data[start:end] for start, end in found] == parts
    assert values_of(MessageSet.read(data, *found[0], limit_bytes=LIMIT)) == [b"0", b"1", b"2"]


def test_very_many_plain_messages_are_several_sets() -> None:
    data = message(b"", magic=0) * (PLAIN_MESSAGES + 1)

    found = sets(data)

    assert [(end - start) // 26 for start, end in found] == [PLAIN_MESSAGES, 1]


def packed(inner: bytes, *, magic: int = 1, codec: Codec = Codec.GZIP, **more: Any) -> bytes:
    return message(bytes(compress(codec, inner)), magic=magic, attributes=codec, **more)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        message()[:-1],
        message() + b"\0",
        message()[:17],
        message(crc=1),
        message(size=-1),
        message(size=13),
        message(size=1 << 30),
        message(key_size=-2),
        message(key_size=1 << 30),
        message(key_size=1),
        message(value_size=-2),
        message(value_size=4),
        message(value_size=6),
        message(value_size=1 << 30),
        message(tail=b"tail"),
        message(magic_byte=2),
        message(magic_byte=-1),
        message() + packed(message()),
        packed(message()) + message(),
        packed(message()) + packed(message()),
        packed(message(), crc=1),
        packed(b""),
        message(None, attributes=Codec.GZIP),
        message(b"", attributes=Codec.GZIP),
        message(b"not gzip", attributes=Codec.GZIP),
        packed(message() + b"\0"),
        packed(message()[:-1]),
        packed(message(crc=1)),
        packed(message(magic=0)),
        packed(message(), magic=0),
        packed(packed(message())),
        packed(message() + packed(message())),
    ],
)
def test_refuses_what_contradicts_itself(data: bytes) -> None:
    if not data:
        assert sets(data) == []
        return

    with pytest.raises(CorruptRecords):
        read(data)


@pytest.mark.parametrize("codec", [4, 5, 6, 7])
@pytest.mark.parametrize("magic", [0, 1])
def test_refuses_codecs_that_came_later(magic: int, codec: int) -> None:
    with pytest.raises(UnsupportedCodec):
        read(message(bytes(compress(Codec.ZSTD, message(magic=magic))), magic=magic, attributes=codec))


def test_refuses_a_bomb_before_it_expands() -> None:
    bomb = message(gzip.compress(bytes(50 << 20)), attributes=Codec.GZIP)

    with pytest.raises(DecompressedTooLarge):
        read(bomb)


def test_refuses_more_messages_than_any_producer_puts_in_a_set() -> None:
    flood = packed(message(None, magic=0) * (MESSAGES + 1), magic=0)

    with pytest.raises(CorruptRecords, match="more than 1000000 messages"):
        MessageSet.read(flood, 0, len(flood), limit_bytes=1 << 30)


@pytest.mark.parametrize(
    ("arena", "bounds"),
    [(b"abc", [0, 4]), (b"abc", [2, 2]), (b"abc", [-2, 1]), (b"abc", [0, -2]), (b"abc", []), (b"abc", [0, 1, 0, 1])],
    ids=str,
)
def test_refuses_replacements_that_are_none(arena: bytes, bounds: list[int]) -> None:
    found = read(message())

    with pytest.raises(ValueError, match=r"arena|span bounds"):
        found.rebuild(values=(arena, array("i", bounds)))


@given(
    base=st.sampled_from([*WRITTEN_BY_KAFKA.values()]),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 20),
)
@settings(max_examples=300, deadline=None)
def test_hostile_bytes_are_refused_or_read_and_never_break_it(
    base: str, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(bytes.fromhex(base))
    for at, byte in changes:
        data[at % len(data)] = byte
    del data[len(data) - cut :]

    try:
        for start, end in sets(bytes(data)):
            found = MessageSet.read(bytes(data), start, end, limit_bytes=LIMIT)
            assert len(found.rebuild(values=spans_of([b"x"] * (len(found.values) // 2)))) > 0
    except RecordsError as error:
        refused = str(error)
        assert b"ssn" not in refused.encode()


def test_says_nothing_of_its_values() -> None:
    assert repr(read(message(b"canary"))) == "MessageSet(messages=1, compressed=False)"
