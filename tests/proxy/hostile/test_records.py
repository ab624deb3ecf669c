"""Records that are made to get round the rules: each is refused, and the broker never has it."""

from __future__ import annotations

import pytest

from support.hostile import LYING_BATCHES, SSN, of_section, with_varint_of
from support.requests import fetch_frame, produce_frame, read_fetched, read_produced
from support.scripted import fetched, proxied, rules_text
from wiremask.protocol.errors import ErrorCode

CORRUPT = ErrorCode.CORRUPT_MESSAGE


@pytest.mark.parametrize(("records", "code"), LYING_BATCHES.values(), ids=LYING_BATCHES)
async def test_a_lying_batch_of_a_producer_is_refused(records: bytes, code: ErrorCode) -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", records))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 9)[0].error_code == code
        assert await stage.broker.hears_nothing(for_s=0.02)


@pytest.mark.parametrize("records", [records for records, _ in LYING_BATCHES.values()], ids=LYING_BATCHES)
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
