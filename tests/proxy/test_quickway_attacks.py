"""What could slip through the quick way: a record unmasked, a count told twice, an answer out of its turn."""

from __future__ import annotations

import pytest

from support.batches import write_batch
from support.requests import fetch_frame, produce_frame, read_produced
from support.scripted import fetched, produced, proxied, rules_text
from wiremask.protocol.errors import ErrorCode

SECRET = b'{"ssn":"123-45-6789"}'
SSN = b"123-45-6789"
SMALL = write_batch([SECRET])
REFUSED = write_batch([b"{"])
LARGE = write_batch([SECRET + b" " * 1000] * 400)


@pytest.mark.parametrize("records", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("topic", ["payments", "clear"], ids=["the quick way", "the short way"])
async def test_a_refusal_behind_a_fetched_answer_leaves_with_it(topic: str, records: bytes) -> None:
    async with proxied(rules_text("produce, fetch")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame(topic))
        asked = await stage.broker.asked()
        await client.send(produce_frame("payments", REFUSED, version=9))
        assert await client.is_silent()

        await stage.broker.answer(asked, fetched(11, {topic: {0: records}}))
        answers = [await client.read() for _ in range(2)]

        assert (SSN in (answers[0] or b"")) == (topic == "clear")
        assert read_produced(answers[1] or b"", 9)[0].error_code == ErrorCode.INVALID_RECORD


async def test_a_refusal_behind_a_produced_answer_leaves_with_it() -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()
        await client.send(produce_frame("payments", SMALL, version=9))
        asked = await stage.broker.asked()
        await client.send(produce_frame("payments", REFUSED, version=9))
        assert await client.is_silent()

        await stage.broker.answer(asked, produced(9, {"payments": {0: 0}}))
        answers = [await client.read() for _ in range(2)]

        codes = [read_produced(answer or b"", 9)[0].error_code for answer in answers]
        assert codes == [ErrorCode.NONE, ErrorCode.INVALID_RECORD]
