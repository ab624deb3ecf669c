"""What could slip through the quick way: a record unmasked, a count told twice, an answer out of its turn."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.batches import StoredRecord, write_batch, write_section
from support.kafka_oracle import join
from support.requests import fetch_frame, produce_frame, read_produced
from support.scripted import HEAD, Rules, fetched, produced, proxied, rules_text
from support.ways import Owner, Ways, asked, counted, more, response, told
from wiremask.protocol.errors import ErrorCode
from wiremask.proxy.budget import Budget
from wiremask.proxy.masking import BATCHES_AT_ONCE, Allowance, TooHeavy, Work, mask_produced

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
        return Work(
            Allowance(limit_bytes=65_536, is_final=is_final, charge=lambda count: budget.charge(count, Owner()))
        )

    try:
        done = mask_produced(memoryview(records), plan, work(is_final=False))
    except TooHeavy:
        done = None

    assert (done is not None) == is_done
    assert mask_produced(memoryview(records), plan, work(is_final=True)) is not None
    assert budget.taken_bytes == 0


ALL_PARTS = (
    HEAD
    + """rules:
  - name: parts
    topics: [all]
    at: [produce, fetch]
    key: {format: text, fields: [{path: $, mask: redact}]}
    headers: [{name: "x-*", mask: redact}, {name: authorization, mask: drop}]
    value: {format: json, fields: [{path: $.ssn, mask: redact}]}
  - name: left-out
    topics: [all, omitted]
    at: [fetch]
    onUnreadable: omit
    onUnmaskable: omit
    value: {format: json, fields: [{path: $.mail, mask: email}]}
  - name: some
    topics: [all, chosen]
    at: [produce, fetch]
    when: {record: [{path: $.name, equals: x}, {header: x-a, equals: "1"}]}
    value: {format: json, fields: [{path: $.note, mask: redact}]}
  - name: watched
    topics: [all, watched]
    at: [produce, fetch]
    mode: observe
    value: {format: json, fields: [{path: $.name, mask: redact}]}
"""
)
TOPIC_NAMES = {
    uuid.UUID(int=number): name for number, name in enumerate(("all", "omitted", "chosen", "watched", "clear"), 1)
}
VALUES = [
    SECRET,
    b'{"name":"x","note":1}',
    b'{"name":"y","note":1}',
    b'{"mail":"ada@example.com"}',
    b'{"mail":7}',
    b"{",
    b"[]",
    None,
]
ATTRIBUTES = {"plain": 0, "of the broker's time": 0x08, "transactional": 0x10, "control": 0x30, "delete horizon": 0x40}
RECORDS = st.lists(
    st.builds(
        StoredRecord,
        offset_delta=st.just(0),
        timestamp_delta=st.just(0),
        key=st.sampled_from([None, b"", b"key"]),
        value=st.sampled_from(VALUES),
        headers=st.sampled_from([(), (("x-a", b"1"), ("b", None)), (("authorization", b"t"),), (("x-a", None),)]),
    ),
    max_size=3,
)


@st.composite
def batches(draw: st.DrawFn) -> bytes:
    """A few batches, of which some are not what a producer may send, and a piece of another."""
    field = b""
    for _ in range(draw(st.integers(0, 3))):
        records = [
            StoredRecord(offset_delta=place, timestamp_delta=0, key=one.key, value=one.value, headers=one.headers)
            for place, one in enumerate(draw(RECORDS))
        ]
        attributes = ATTRIBUTES[draw(st.sampled_from([*ATTRIBUTES, "plain", "plain"]))]
        field += write_batch([], section=write_section(records), count=len(records), attributes=attributes)
    return field + SMALL[: draw(st.sampled_from([0, 0, 0, 5, 60, len(SMALL) - 1]))]


bounded = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@given(
    version=st.sampled_from([3, 9, 13]),
    topic_id=st.sampled_from(list(TOPIC_NAMES)),
    records=st.dictionaries(st.integers(0, 2), batches(), min_size=1, max_size=2),
    acks=st.sampled_from([0, 1, -1]),
)
@bounded
def test_what_a_producer_sends_is_treated_as_by_the_long_way_whatever_the_rules_act_on(
    version: int, topic_id: uuid.UUID, records: dict[int, bytes], acks: int
) -> None:
    ways = Ways(ALL_PARTS, TOPIC_NAMES)
    topic = TOPIC_NAMES[topic_id] if version < 13 else topic_id
    frame = produce_frame(topic, records, version=version, acks=acks)[4:]

    before = counted()
    pieces = ways.quick.request(frame)
    counts, before = more(before), counted()
    step = ways.long_request(frame)

    begun = [told(exchange) for exchange in ways.session._awaiting]
    if step is None or step.then_close:
        assert (pieces, begun, counts) == (None, [], {})
    else:
        assert pieces is not None
        assert join(list(pieces)) == join(list(step.pieces))
        assert begun == ([told(step.exchange)] if acks else [])
        assert counts == more(before)


@given(
    version=st.sampled_from([4, 11, 12, 16]),
    topics=st.dictionaries(
        st.sampled_from(list(TOPIC_NAMES)),
        st.dictionaries(st.integers(0, 2), st.none() | batches(), max_size=2),
        max_size=3,
    ),
    max_bytes=st.none() | st.integers(0, 2000),
)
@bounded
def test_what_a_broker_sends_is_treated_as_by_the_long_way_whatever_the_rules_act_on(
    version: int, topics: dict[uuid.UUID, dict[int, bytes | None]], max_bytes: int | None
) -> None:
    ways = Ways(ALL_PARTS, TOPIC_NAMES)
    named: dict[Any, Any] = {TOPIC_NAMES[key] if version < 13 else key: records for key, records in topics.items()}
    frame = response(version, fetched(version, named))
    exchange = asked(version, max_bytes=max_bytes)
    ways.session.sent(exchange)

    before = counted()
    pieces = ways.quick.response(frame)
    counts, before = more(before), counted()

    if pieces is None:
        assert ways.session.next_to_leave() is exchange
        assert not counts
        assert max_bytes is not None
    else:
        assert join(list(pieces)) == ways.long_response(exchange, frame)
        assert counts == more(before)
        assert ways.session.in_flight() == 0
