"""Records that are made to get round the rules: each is refused, and the broker never has it."""

from __future__ import annotations

import gzip
import struct

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from support.batches import HEADER, StoredRecord, write_batch, write_section
from support.requests import fetch_frame, produce_frame, read_fetched, read_produced
from support.scripted import fetched, proxied, rules_text
from wiremask.protocol.errors import ErrorCode

SSN = b"123-45-6789"
CLEAR = b'{"ssn":"123-45-6789"}'
CORRUPT, INVALID, CODEC = ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE


def record(*, offset_delta: int = 0, headers: tuple[tuple[str, bytes | None], ...] = ()) -> StoredRecord:
    return StoredRecord(offset_delta=offset_delta, timestamp_delta=0, key=None, value=CLEAR, headers=headers)


def of_section(section: bytes, *, count: int = 1, attributes: int = 0) -> bytes:
    return write_batch([], section=section, count=count, attributes=attributes)


def resealed(batch: bytes, **fields: int) -> bytes:
    """The batch with other fields in its header, and the CRC that these ask for."""
    names = ("offset", "length", "epoch", "magic", "crc", "attributes", "last_delta", "first", "most")
    values = list(HEADER.unpack_from(batch))
    for name, value in fields.items():
        values[names.index(name)] = value
    out = bytearray(batch)
    HEADER.pack_into(out, 0, *values)
    struct.pack_into(">I", out, 17, calc_crc32c(bytes(out[21:])))
    return bytes(out)


def legacy(magic: int, codec: int) -> bytes:
    builder = LegacyRecordBatchBuilder(magic=magic, compression_type=codec, batch_size=10_000)
    builder.append(0, timestamp=1 if magic else None, key=None, value=CLEAR)
    return bytes(builder.build())


def with_null_header_key() -> bytes:
    body = b"\0" + b"\0" + b"\0" + b"\1" + bytes([2 * len(CLEAR)]) + CLEAR + b"\2" + b"\1" + b"\2x"
    return bytes([2 * len(body)]) + body


def with_varint_of(count: int) -> bytes:
    """A record whose value has a length of so many bytes."""
    length = bytes([2 * len(CLEAR) | 0x80]) + b"\x80" * (count - 2) + b"\0"
    body = b"\0\0\0\1" + length + CLEAR + b"\0"
    return (
        bytes([2 * len(body) & 0x7F | 0x80, 2 * len(body) >> 7]) + body
        if len(body) > 63
        else bytes([2 * len(body)]) + body
    )


ONE, SECTION = write_batch([CLEAR]), write_section([record()])
REFUSED = {
    "a batch inside a batch": (of_section(ONE), INVALID),
    "a batch behind the records of a batch": (of_section(SECTION + ONE), INVALID),
    "a compressed batch that holds two batches": (of_section(gzip.compress(ONE + ONE), attributes=1), INVALID),
    "a compressed batch that holds two sections": (of_section(gzip.compress(SECTION * 2), attributes=1), INVALID),
    "a message of format 0": (legacy(0, 0), INVALID),
    "a message of format 1": (legacy(1, 0), INVALID),
    "a wrapper of format 0": (legacy(0, 1), INVALID),
    "a wrapper of format 1": (legacy(1, 1), INVALID),
    "a magic of the future": (resealed(ONE, magic=3), CORRUPT),
    "a codec that does not exist": (of_section(SECTION, attributes=5), CODEC),
    "the last codec id that there could be": (of_section(SECTION, attributes=7), CODEC),
    "a count above": (of_section(SECTION, count=2), INVALID),
    "a count below": (of_section(write_section([record(), record(offset_delta=1)]), count=1), INVALID),
    "a negative count": (of_section(SECTION, count=-1), INVALID),
    "a length above": (ONE[:8] + struct.pack(">i", len(ONE) - 11) + ONE[12:], INVALID),
    "a length below": (ONE[:8] + struct.pack(">i", len(ONE) - 13) + ONE[12:], INVALID),
    "a negative length": (ONE[:8] + struct.pack(">i", -1) + ONE[12:], INVALID),
    "an offset delta that lies": (of_section(write_section([record(offset_delta=3)])), INVALID),
    "a last offset delta that lies": (resealed(ONE, last_delta=5), INVALID),
    "a control bit on a data batch": (resealed(ONE, attributes=0x20), INVALID),
    "a control bit on a transactional data batch": (resealed(ONE, attributes=0x30), INVALID),
    "a value length of eleven bytes": (of_section(with_varint_of(11)), INVALID),
    "a value length of six bytes": (of_section(with_varint_of(6)), INVALID),
    "a header with a null key": (of_section(with_null_header_key()), INVALID),
    "no batch": (b"", INVALID),
    "a batch and a part of one": (ONE + ONE[:-1], INVALID),
    "a wrong crc": (ONE[:17] + b"\0\0\0\0" + ONE[21:], CORRUPT),
}


@pytest.mark.parametrize(("records", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_lying_batch_of_a_producer_is_refused(records: bytes, code: ErrorCode) -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", records))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 9)[0].error_code == code
        assert await stage.broker.hears_nothing(for_s=0.02)


@pytest.mark.parametrize("records", [records for records, _ in REFUSED.values()], ids=REFUSED)
async def test_a_lying_batch_shows_nothing_to_a_reader(records: bytes) -> None:
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()

        await client.send(fetch_frame("payments"))
        await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: records}}))
        told = await client.read()

        assert told is not None
        assert is_control_batch(records) or SSN not in told
        assert read_fetched(told, 11)[0].error_code in (0, CORRUPT)


def is_control_batch(records: bytes) -> bool:
    """What only a broker writes, and producers may not send: it passes to readers as it is."""
    return len(records) > 22 and records[16] == 2 and bool(records[22] & 0x20)


@pytest.mark.parametrize("length_bytes", [2, 3, 5])
async def test_a_length_that_is_longer_than_need_be_is_read_as_java_does_and_masked(length_bytes: int) -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", of_section(with_varint_of(length_bytes))))
        asked = await stage.broker.asked()

        assert SSN not in asked.frame
        assert b"[redacted]" in asked.frame
