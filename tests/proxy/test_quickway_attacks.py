"""What could slip through the quick way: a record unmasked, a count told twice, an answer out of its turn."""

from __future__ import annotations

import pytest

from support.batches import write_batch
from support.requests import fetch_frame, produce_frame, read_produced
from support.scripted import Rules, fetched, produced, proxied, rules_text
from wiremask.protocol.errors import ErrorCode
from wiremask.proxy.budget import Budget
from wiremask.proxy.masking import BATCHES_AT_ONCE, TooHeavy, Work, mask_produced

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


class Owner:
    """Holds memory and never moves."""

    progress = 0

    def cut(self, reason: str) -> None:
        raise AssertionError(reason)


BOMB = write_batch([SECRET + b" " * 60_000], codec="gzip")  # of 100 to 200 bytes


@pytest.mark.parametrize(
    ("records", "mask", "is_done"),
    [
        (BOMB * 8, "redact", True),
        (BOMB * 10, "redact", False),
        (BOMB, "email", True),
        (BOMB * 2, "email", False),
        (SMALL * BATCHES_AT_ONCE, "redact", True),
        (SMALL * (BATCHES_AT_ONCE + 1), "redact", False),
    ],
    ids=["light", "expands far", "one", "expands far for its masks", "batches", "too many batches"],
)
def test_many_batches_that_are_small_by_themselves_do_not_keep_others_waiting(
    records: bytes, mask: str, is_done: bool
) -> None:
    plan = Rules(rules_text("produce", mask=mask, more="    onUnmaskable: redact\n")).current.plan.match(
        "payments", "produce"
    )
    assert plan is not None
    budget = Budget(1 << 30)

    def work(*, is_final: bool) -> Work:
        return Work(limit_bytes=65_536, is_final=is_final, charge=lambda count: budget.charge(count, Owner()))

    try:
        done = mask_produced(memoryview(records), plan, work(is_final=False))
    except TooHeavy:
        done = None

    assert (done is not None) == is_done
    assert mask_produced(memoryview(records), plan, work(is_final=True)) is not None
    assert budget.taken_bytes == 0
