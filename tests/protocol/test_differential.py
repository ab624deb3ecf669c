"""Our decoders against kafka-python's and aiokafka's on generated and damaged bytes.

What we accept both of them accept and read the same, with one exception (`LAXER`). What we refuse though one of them reads it stands in
`STRICTER_BATCHES` and `STRICTER_MESSAGES`, each with the reason: another reader, Java's first of all, reads it otherwise or not at all.
`test_walk` holds the values of every field of every message against kafka-python's in the same way.
"""

from __future__ import annotations

import io
import re
import struct
from typing import Any

import aiokafka.record.default_records as aio
import kafka.record.default_records as kpy
import pytest
from aiokafka.protocol.fetch import FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v8
from aiokafka.record.util import decode_varint_py
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from support.batches import StoredRecord, write_batch, write_section
from support.decoded import CASES, MESSAGES
from support.kafka_oracle import oracle
from wiremask.protocol.batch import Batch, crc32c
from wiremask.protocol.compression import Codec, compress
from wiremask.protocol.errors import MalformedMessage, RecordsError
from wiremask.protocol.messages.fetch import FetchResponse
from wiremask.protocol.messages.produce import ProduceRequest

Rows = list[tuple[bytes | None, bytes | None, list[tuple[bytes, bytes | None]]]]

HEAD_BYTES = 61
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class AioReader(aio._DefaultRecordBatchPy):  # type: ignore[misc] # final
    """aiokafka's reader, in Python to the last: its compiled one reads past the end of what is damaged."""

    def _read_msg(self, _decode_varint: Any = None) -> Any:
        return super()._read_msg(decode_varint_py)


READERS: dict[str, tuple[Any, ...]] = dict.fromkeys(CODECS, (AioReader,))
READERS |= dict.fromkeys(("none", "gzip"), (AioReader, kpy.DefaultRecordBatch))
"""By codec: kafka-python's others need libraries of their own."""

LAXER = "the name of a header that is not UTF-8: Java shows it with replacements, so it is bytes to us, and a rule refuses it"

VARINT = "a variable-length number that is cut off or too long"
STRICTER_BATCHES = {
    VARINT: "numbers beyond 32 bits: Java cuts them, kafka-python and aiokafka do not",
    "attributes that clients would read differently": "Java reads a byte, the others a number of any length",
    "a key that reaches past the record": "a length of -2 is null to the others; Java refuses it",
    "a value that reaches past the record": "the same",
    "headers that reach past the record": "the same, of a header's value",
    "an offset delta out of order": "the others do not look; a broker's index and a reader's position go by it",
    "a batch of -?[0-9]+ records in [0-9]+ bytes": "a negative count is none to the others",
    "a gzip section that cannot be expanded": "zeros behind the stream, which Python's gzip passes over",
    "an lz4 frame that does not end with its section": "several frames: Java stops after the first, others go on",
    "a zstd frame that does not end with its section": "the same",
}
STRICTER_MESSAGES = {
    "null where the schema allows none": "Java refuses it; kafka-python gives None",
    "a negative length": "every negative length is null to kafka-python; Java refuses those below -1",
    "32767": "a string that Java's own writer cannot write",
    "ascend": "tags that fall or come twice: Java refuses them",
    "end inside": "kafka-python takes what is there of a tagged field that is cut off",
    "more elements": "a count that the bytes cannot hold is refused before memory is taken for it",
}

few = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))

small = st.none() | st.binary(max_size=6)
records_of = st.lists(
    st.tuples(small, small, st.lists(st.tuples(st.sampled_from(["", "h", "x-1"]), small), max_size=2)),
    min_size=1,
    max_size=4,
)
damage = st.tuples(
    st.integers(0, 400),
    st.integers(0, 2),
    st.sampled_from([b"", b"\0", b"\1", b"\2", b"\3", b"\4", b"\x7f", b"\x80", b"\x83", b"\xff"])
    | st.binary(max_size=2),
)


def damaged(data: bytes, at: list[tuple[int, int, bytes]]) -> bytes:
    """The bytes with a few others in them, or without a few."""
    out = bytearray(data)
    for place, count, new in at:
        start = place % (len(out) + 1)
        out[start : start + count] = new
    return bytes(out)


def batch_of(rows: Any, codec: str, *, section_damage: Any, packed_damage: Any, **head: int) -> bytes:
    """A batch whose section is damaged before or after it is compressed, with a length and a CRC that are true."""
    records = [
        StoredRecord(offset_delta=place, timestamp_delta=place, key=key, value=value, headers=tuple(headers))
        for place, (key, value, headers) in enumerate(rows)
    ]
    plain = damaged(write_section(records), section_damage)
    packed = write_batch(
        [], codec=codec, section=None if codec == "none" else _compressed(codec, plain), count=len(rows)
    )
    section = damaged(plain if codec == "none" else packed[HEAD_BYTES:], packed_damage)
    return sealed(packed[:HEAD_BYTES], section, **head)


def _compressed(codec: str, plain: bytes) -> bytes:
    return bytes(memoryview(compress(Codec[codec.upper()], plain)))


def sealed(head: bytes, section: bytes, *, count: int | None = None, last: int | None = None) -> bytes:
    """A batch around a section."""
    out = bytearray(head + section)
    struct.pack_into(">i", out, 8, len(out) - 12)
    if count is not None:
        struct.pack_into(">i", out, 57, count)
    if last is not None:
        struct.pack_into(">i", out, 23, last)
    struct.pack_into(">I", out, 17, crc32c(memoryview(out)[21:]))
    return bytes(out)


def ours(batch: bytes) -> Rows:
    """What we read of a batch."""
    read = Batch.read(batch, 0, len(batch), limit_bytes=1 << 22, dense_offsets=False)
    section = bytes(read.section)

    def cut(start: int, size: int) -> bytes | None:
        return None if size == -1 else section[start : start + size]

    rows: Rows = [
        (cut(*read.keys[at : at + 2]), cut(*read.values[at : at + 2]), []) for at in range(0, 2 * read.header.count, 2)
    ]
    for at in range(0, len(read.headers), 5):
        index, *spans = read.headers[at : at + 5]
        rows[index][2].append((cut(*spans[:2]) or b"", cut(*spans[2:])))
    return rows


def theirs(reader: Any, batch: bytes) -> Rows:
    """What another reader reads of it."""
    read = reader(bytearray(batch))
    assert read.validate_crc()
    return [(row.key, row.value, [(name.encode(), content) for name, content in row.headers]) for row in read]


def refused(batch: bytes) -> str | None:
    """Why we refuse a batch; None if we do not."""
    try:
        ours(batch)
    except RecordsError as error:
        return re.sub(r"^record \d+: ", "", str(error))
    return None


any_batch = st.builds(
    lambda codec, rows, section, packed, count, last: (
        codec,
        batch_of(rows, codec, section_damage=section, packed_damage=packed, count=count, last=last),
    ),
    st.sampled_from(CODECS),
    records_of,
    st.lists(damage, max_size=2),
    st.lists(damage, max_size=1),
    st.none() | st.integers(-1, 5),
    st.none() | st.integers(-1, 5),
)


@few
@given(any_batch)
def test_what_we_accept_of_a_damaged_batch_both_clients_read_the_same(made: tuple[str, bytes]) -> None:
    codec, batch = made
    try:
        read = ours(batch)
    except RecordsError:
        return
    try:
        for _, _, headers in read:
            for name, _ in headers:
                name.decode()
    except UnicodeDecodeError:  # LAXER
        assume(False)

    for reader in (*READERS[codec], aio.DefaultRecordBatch):
        assert theirs(reader, batch) == read


@few
@given(any_batch)
def test_what_we_refuse_though_a_client_reads_it_is_listed(made: tuple[str, bytes]) -> None:
    codec, batch = made
    why = refused(batch)
    if why is None:
        return

    for reader in READERS[codec]:
        try:
            theirs(reader, batch)
        except Exception:
            continue
        assert any(re.fullmatch(listed, why) for listed in STRICTER_BATCHES), why


def record(body: bytes) -> bytes:
    """A record around its body."""
    return bytes([2 * len(body)]) + body


HEAD = write_batch([b"v"])[:HEAD_BYTES]
SOUND = record(b"\0\0\0\1\2v\0")
EXAMPLES = {
    "offset beyond 32 bits": ("none", record(b"\0\0\x80\x80\x80\x80\x20\1\2v\0"), 1, VARINT),
    "attributes of two bytes": (
        "none",
        record(b"\x80\1\0\0\1\2v\0"),
        1,
        "attributes that clients would read differently",
    ),
    "key of -2": ("none", record(b"\0\0\0\3\2v\0"), 1, "a key that reaches past the record"),
    "value of -2": ("none", record(b"\0\0\0\1\3\0"), 1, "a value that reaches past the record"),
    "header value of -2": ("none", record(b"\0\0\0\1\2v\2\2h\3"), 1, "headers that reach past the record"),
    "the same offset twice": ("none", SOUND * 2, 2, "an offset delta out of order"),
    "count of -1": ("none", b"", -1, "a batch of -1 records in 0 bytes"),
    "zeros behind gzip": ("gzip", _compressed("gzip", SOUND) + bytes(4), 1, "a gzip section that cannot be expanded"),
    "two lz4 frames": (
        "lz4",
        _compressed("lz4", SOUND[:4]) + _compressed("lz4", SOUND[4:]),
        1,
        "an lz4 frame that does not end with its section",
    ),
    "two zstd frames": (
        "zstd",
        _compressed("zstd", SOUND[:4]) + _compressed("zstd", SOUND[4:]),
        1,
        "a zstd frame that does not end with its section",
    ),
}


@pytest.mark.parametrize(("codec", "section", "count", "why"), EXAMPLES.values(), ids=EXAMPLES)
def test_each_exception_of_batches_is_one(codec: str, section: bytes, count: int, why: str) -> None:
    head = write_batch([b"v"], codec=codec)[:HEAD_BYTES]
    batch = sealed(head, section, count=count, last=count - 1)

    read = [len(theirs(reader, batch)) for reader in READERS[codec]]

    assert set(read) == {max(count, 0)}
    assert refused(batch) == why
    assert any(re.fullmatch(listed, why) for listed in STRICTER_BATCHES)


def test_every_exception_of_batches_has_an_example() -> None:
    shown = {listed for _, _, _, why in EXAMPLES.values() for listed in STRICTER_BATCHES if re.fullmatch(listed, why)}

    assert shown == STRICTER_BATCHES.keys()


def test_a_header_s_name_that_is_not_utf8_is_bytes_to_us_alone() -> None:
    batch = sealed(HEAD, record(b"\0\0\0\1\2v\2\2\xff\2x"), count=1, last=0)

    read = ours(batch)

    assert read == [(None, b"v", [(b"\xff", b"x")])]
    for reader in READERS["none"]:
        with pytest.raises(Exception, match=r"codec|structure"):
            theirs(reader, batch)


PRODUCED = b"\x02t" + b"\x02" + b"\0\0\0\1" + b"\x03ab" + b"\0"
MESSAGE_EXAMPLES = {
    "null where the schema allows none": ("ProduceRequest", 9, b"\0\xff\xff\0\0\0\0" + b"\0" + b"\0"),
    "a negative length": ("ProduceRequest", 8, b"\xff\xff\xff\xff\0\0\0\0" + b"\xff\xff\xff\xfe"),
    "32767": (
        "ProduceRequest",
        9,
        b"\0\xff\xff\0\0\0\0" + b"\x02" + b"\x81\x80\x02" + b"a" * 32768 + PRODUCED[2:] + b"\0\0",
    ),
    "ascend": (
        "ProduceRequest",
        9,
        b"\0\xff\xff\0\0\0\0" + b"\x02" + PRODUCED + b"\x02\x05\0\x04\0" + b"\0",
    ),
    "end inside": ("ApiVersionsRequest", 3, b"\2a\2b" + b"\1\x63\x7f"),
}


@pytest.mark.parametrize("why", MESSAGE_EXAMPLES)
def test_each_exception_of_messages_is_one(why: str) -> None:
    name, version, body = MESSAGE_EXAMPLES[why]

    read = oracle(name).decode(body, version)

    assert read
    assert why in STRICTER_MESSAGES
    with pytest.raises(MalformedMessage, match=why):
        MESSAGES[name].read(body, version)


@few
@given(st.data())
def test_what_we_refuse_of_a_damaged_message_though_kafka_python_reads_it_is_listed(data: st.DataObject) -> None:
    name, version = data.draw(st.sampled_from(CASES))
    known = oracle(name)
    body = damaged(
        known.encode(data.draw(known.values(version)), version), data.draw(st.lists(damage, min_size=1, max_size=2))
    )
    try:
        MESSAGES[name].read(body, version)
    except MalformedMessage as error:
        why = str(error)
    else:
        return

    try:
        known.decode(body, version)
    except Exception:
        return

    assert any(listed in why for listed in STRICTER_MESSAGES), why


@few
@given(st.data())
def test_aiokafka_reads_the_same_topics_and_records_of_what_we_accept_of_a_damaged_produce(data: st.DataObject) -> None:
    known = oracle("ProduceRequest")
    body = damaged(known.encode(data.draw(known.values(8)), 8), data.draw(st.lists(damage, max_size=2)))
    try:
        read = ProduceRequest.read(body, 8)
    except MalformedMessage:
        return

    stream = io.BytesIO(body)
    other = ProduceRequest_v8.decode(stream)

    assert stream.read() == b""
    assert [(topic.name, [(one.index, _bytes(one.records)) for one in topic.partitions]) for topic in read.topics] == [
        (name, [tuple(one) for one in partitions]) for name, partitions in other.topics
    ]


@few
@given(st.data())
def test_aiokafka_reads_the_same_topics_and_records_of_what_we_accept_of_a_damaged_fetch(data: st.DataObject) -> None:
    known = oracle("FetchResponse")
    body = damaged(known.encode(data.draw(known.values(11)), 11), data.draw(st.lists(damage, max_size=2)))
    try:
        read = FetchResponse.read(body, 11)
    except MalformedMessage:
        return

    stream = io.BytesIO(body)
    other = FetchResponse_v11.decode(stream)

    assert stream.read() == b""
    assert [(topic.name, [(one.index, _bytes(one.records)) for one in topic.partitions]) for topic in read.topics] == [
        (name, [(one[0], one[-1]) for one in partitions]) for name, partitions in other.topics
    ]


def _bytes(records: memoryview | None) -> bytes | None:
    return None if records is None else bytes(records)
