"""Batches without values of a client: marks of transactions, and those of which compaction left nothing."""

from __future__ import annotations

import pytest

from support.batches import read_batches, write_batch
from support.requests import fetch_frame, produce_frame, read_fetched, read_produced
from support.scripted import fetched, proxied, rules_text
from wiremask.protocol.errors import ErrorCode

CLEAR = b'{"ssn":"123-45-6789"}'
TRANSACTIONAL, CONTROL = 0x10, 0x20
MARK = write_batch([b"\0\0\0\0\0\1"], attributes=TRANSACTIONAL | CONTROL)
EMPTY = write_batch([])


@pytest.mark.parametrize("batch", [MARK, EMPTY], ids=["control", "empty"])
async def test_a_reader_gets_it_as_it_is_beside_what_is_masked(batch: bytes) -> None:
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("payments"))

        records = write_batch([CLEAR]) + batch + write_batch([CLEAR])
        await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: records}}))
        told = await client.read()

        assert told is not None
        assert b"123-45" not in told
        received = read_fetched(told, 11)[0].records
        assert batch in received
        assert len(read_batches(received)) == 3


@pytest.mark.parametrize("batch", [MARK, EMPTY], ids=["control", "empty"])
async def test_a_producer_may_send_none(batch: bytes) -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", batch))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 9)[0].error_code == ErrorCode.INVALID_RECORD
        assert await stage.broker.hears_nothing()
