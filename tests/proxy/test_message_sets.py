"""Message sets of the formats before record batches: masked on the way to a reader, refused from a producer."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.legacy_records import LegacyRecordBatch, LegacyRecordBatchBuilder

from support.batches import read_batches, write_batch
from support.requests import fetch_frame, produce_frame, read_fetched, read_produced
from support.scripted import fetched, proxied, rules_text
from wiremask.protocol.batch import split_batches
from wiremask.protocol.errors import ErrorCode

CLEAR = b'{"ssn":"123-45-6789"}'
MASKED = b'{"ssn":"[redacted]"}'
MARKER = b'{"wiremask":"unreadable"}'

both_magics = pytest.mark.parametrize("magic", [0, 1])


def message_set(values: list[bytes | None], magic: int, *, codec: int = 0, first: int = 0) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    for number, value in enumerate(values):
        builder.append(first + number, None if magic == 0 else 1000 + number, b"key-%d" % number, value)
    return bytes(builder.build())


def messages(records: bytes, magic: int) -> list[tuple[Any, ...]]:
    return [
        (one.offset, one.timestamp, one.key, one.value)
        for span in split_batches(records, partial_tail=False)
        for one in LegacyRecordBatch(records[span.start : span.end], magic)
    ]


async def fetch_one(records: bytes, **limits: Any) -> Any:
    async with proxied(rules_text("fetch"), **limits) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("payments"))
        await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: records}}))
        told = await client.read()

        assert told is not None
        return read_fetched(told, 11)[0]


@both_magics
@pytest.mark.parametrize("codec", [0, 1, 2], ids=["none", "gzip", "snappy"])
async def test_masks_what_a_reader_gets_of_an_old_segment(magic: int, codec: int) -> None:
    records = message_set([CLEAR, None, b'{"n":1}', b"not json"], magic, codec=codec)

    told = await fetch_one(records)

    before = messages(records, magic)
    values = [MASKED, None, b'{"n":1}', MARKER]
    assert told.error_code == 0
    assert messages(told.records, magic) == [(*one[:3], value) for one, value in zip(before, values, strict=True)]


async def test_a_set_in_which_no_value_changes_keeps_its_bytes() -> None:
    records = message_set([b'{"n":1}', None], 1, codec=1)

    told = await fetch_one(records)

    assert told.records == records


async def test_old_and_new_formats_stand_in_one_field_and_its_partial_end_is_cut_off() -> None:
    first, second = message_set([CLEAR, CLEAR], 0), message_set([CLEAR], 1, codec=1)
    partial = message_set([CLEAR], 1)[:-1]

    told = await fetch_one(first + second + write_batch([CLEAR]) + partial)

    spans = split_batches(told.records, partial_tail=False)
    old = told.records[: spans[2].end]
    assert [span.magic for span in spans] == [0, 0, 1, 2]
    assert [one.value for span in spans[:2] for one in LegacyRecordBatch(old[span.start : span.end], 0)] == [MASKED] * 2
    assert [one.value for one in LegacyRecordBatch(old[spans[2].start :], 1)] == [MASKED]
    assert [one.value for one in read_batches(told.records[spans[3].start :])[0].records] == [MASKED]


@pytest.mark.parametrize(
    ("spoil", "limits"),
    [(lambda data: data[:-1] + b"!", {}), (lambda data: data, {"decompressed_bytes": 1024, "worker_bytes": 1024})],
    ids=["wrong CRC", "too large"],
)
async def test_withholds_a_set_that_it_cannot_read(spoil: Any, limits: dict[str, int]) -> None:
    told = await fetch_one(spoil(message_set([CLEAR] * 100, 1, codec=1)), **limits)

    assert (told.error_code, told.records) == (ErrorCode.CORRUPT_MESSAGE, b"")


@both_magics
async def test_a_producer_may_not_send_message_sets_as_with_any_broker(magic: int) -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", message_set([CLEAR], magic)))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 9)[0].error_code == ErrorCode.INVALID_RECORD
        assert await stage.broker.hears_nothing()
