"""The short way says yes only to what the long way would forward as it came, and never to what it would refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import oracle
from support.skims import CORRELATION_ID, KINDS, TAKEN, clear_where, skim_of, walked
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.messages.produce import ProduceRequest
from wiremask.protocol.skim import kind_at

ORACLES = {name: oracle(name, unknown_tags=True) for name in KINDS}
bounded = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


def passes(name: str, version: int, body: bytes, decide: Any) -> bool:
    """Skims a frame that lies between other bytes."""
    skim, head = skim_of(name, version)
    frame = head + body
    yes = skim.passes(bytearray(b"xx" + frame + b"yyy"), 2, 2 + len(frame), clear_where(decide))
    assert not yes or skim.correlation_id == CORRELATION_ID
    return yes


def should_pass(name: str, version: int, body: bytes, decide: Any) -> bool:
    """The same answer from the long way's own view of the message."""
    topics = walked(name, version, body)
    return topics is not None and all(decide(topic) for topic in topics)


def is_even(topic: str | bytes) -> bool:
    return sum(topic.encode() if isinstance(topic, str) else topic) % 2 == 0


@given(taken=st.sampled_from(TAKEN), all_clear=st.booleans(), data=st.data())
@bounded
def test_passes_exactly_what_the_long_way_forwards_as_it_came(
    taken: tuple[str, int], all_clear: bool, data: st.DataObject
) -> None:
    name, version = taken
    body = ORACLES[name].encode(data.draw(ORACLES[name].values(version)), version)
    decide = (lambda _: True) if all_clear else is_even

    assert passes(name, version, body, decide) == should_pass(name, version, body, decide)


@given(taken=st.sampled_from(TAKEN), data=st.data())
@bounded
def test_passes_no_bytes_that_the_long_way_refuses(taken: tuple[str, int], data: st.DataObject) -> None:
    name, version = taken
    body = bytearray(ORACLES[name].encode(data.draw(ORACLES[name].values(version)), version))
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])

    for wrong in (bytes(body), cut, bytes(body) + b"\0"):
        assert passes(name, version, wrong, is_even) == should_pass(name, version, wrong, is_even)


@given(taken=st.sampled_from(TAKEN), data=st.data())
@settings(bounded, max_examples=40)
def test_passes_no_message_that_ends_early(taken: tuple[str, int], data: st.DataObject) -> None:
    name, version = taken
    body = ORACLES[name].encode(data.draw(ORACLES[name].values(version)), version)

    early = [end for end in range(len(body)) if passes(name, version, body[:end], lambda _: True)]

    assert early == []


def test_passes_no_header_but_the_one_it_knows() -> None:
    skim, head = skim_of("ProduceRequest", 9)
    body = ORACLES["ProduceRequest"].encode({"transactional_id": None, "acks": 1, "timeout_ms": 1, "topic_data": []}, 9)

    assert skim.passes(bytearray(head + body), 0, len(head + body))
    assert skim.number == 1
    for at in range(8, len(head)):
        other = bytearray(head + body)
        other[at] ^= 1
        assert not skim.passes(other, 0, len(other))
    for start, stop in ((0, 5), (-1, 3), (5, 2), (0, len(head + body) + 1), (10**9, 10**9 + 50)):
        assert not skim.passes(bytearray(head + body), start, stop)
        assert kind_at(bytearray(head + body), start, stop) in (-1, 9)


def test_a_topic_is_decided_once_and_a_doubt_is_not_remembered() -> None:
    asked: list[str | bytes] = []
    answers: dict[str | bytes, bool | None] = {"a": True, "b": None}

    def decide(topic: str | bytes) -> bool | None:
        asked.append(topic)
        return answers[topic]

    choices = clear_where(decide)
    skim, head = skim_of("ProduceRequest", 9)

    def skimmed(topic: str) -> bool:
        frame = head + produce_of(9, topic, b"records", acks=1)
        return skim.passes(bytearray(frame), 0, len(frame), choices)

    assert [skimmed("a"), skimmed("a"), skimmed("b"), skimmed("b")] == [True, True, False, False]
    assert asked == ["a", "b", "b"]


@pytest.mark.parametrize(("length", "asked"), [(249, 1), (250, 3)])
def test_a_name_longer_than_any_topic_has_is_not_remembered(length: int, asked: int) -> None:
    questions: list[str | bytes] = []
    choices = clear_where(lambda topic: questions.append(topic) is None)
    skim, head = skim_of("ProduceRequest", 9)
    frame = bytearray(head + produce_of(9, "x" * length, b"records", acks=1))

    assert all(skim.passes(frame, 0, len(frame), choices) for _ in range(3))
    assert len(questions) == asked


@pytest.mark.parametrize(("topics", "passed"), [(1024, True), (1025, False)])
def test_a_message_of_very_many_topics_takes_the_long_way(topics: int, passed: bool) -> None:
    skim, head = skim_of("ProduceRequest", 9)
    frame = bytearray(head + produce_of(9, "clear", b"records", acks=1, topics=topics))

    assert skim.passes(frame, 0, len(frame), clear_where(lambda _: True)) == passed
    assert skim.passes(frame, 0, len(frame))


def produce_of(version: int, topic: str, records: bytes, *, acks: int, partitions: int = 1, topics: int = 1) -> bytes:
    named = {"name": topic} if version < 13 else {"topic_id": topic.encode().ljust(16, b".")}
    return ORACLES["ProduceRequest"].encode(
        {
            "transactional_id": None,
            "acks": acks,
            "timeout_ms": 1,
            "topic_data": [
                {**named, "partition_data": [{"index": 5, "records": records}] * partitions} for _ in range(topics)
            ],
        },
        version,
    )


@pytest.mark.parametrize("version", range(3, 13))
def test_a_produce_may_begin_to_go_on_once_only_its_records_are_missing(version: int) -> None:
    skim, head = skim_of("ProduceRequest", version)
    records = bytes(range(256)) * 2
    frame = head + produce_of(version, "topic", records, acks=-1)
    first = frame.index(records)

    opened = [
        stop
        for stop in range(len(frame) + 1)
        if skim.opens(bytearray(frame[:stop]), 0, stop, len(frame), clear_where(lambda _: True)) is not None
    ]

    assert opened == list(range(first, first + len(records)))
    passage = skim.opens(bytearray(frame[: first + 9]), 0, first + 9, len(frame), clear_where(lambda _: True))
    assert passage is not None
    assert (skim.number, skim.correlation_id) == (-1, CORRELATION_ID)
    assert passage.tail_bytes == len(frame) - first - len(records)
    assert passage.closes(bytearray(frame), len(frame) - passage.tail_bytes)
    assert passage.is_clear(clear_where(lambda topic: topic == "topic"))
    assert not passage.is_clear(clear_where(lambda topic: topic != "topic"))


@given(version=st.integers(3, 12), data=st.data())
@bounded
def test_a_produce_that_went_on_is_closed_exactly_if_the_whole_of_it_is_sound(
    version: int, data: st.DataObject
) -> None:
    skim, head = skim_of("ProduceRequest", version)
    records = bytes(300)
    frame = bytearray(head + produce_of(version, "topic", records, acks=1))
    first = frame.index(records)
    for _ in range(data.draw(st.integers(0, 2))):
        # In front of the records or behind them, at their length above all.
        near = st.sampled_from([first - 4, first - 3, first - 2, first - 1, len(frame) - 1]) | st.integers(0, first - 1)
        frame[data.draw(near)] = data.draw(st.integers(0, 255))
    behind = data.draw(st.sampled_from([b"", b"\0", b"\1\1\0"]))
    frame += behind

    passage = skim.opens(bytearray(frame[: first + 50]), 0, first + 50, len(frame), clear_where(lambda _: True))

    if passage is not None:
        is_sound = passage.closes(frame, len(frame) - passage.tail_bytes)
        try:
            ProduceRequest.read(bytes(frame[len(head) :]), version)
        except MalformedMessage:
            assert not is_sound
        else:
            assert is_sound


@pytest.mark.parametrize(("partitions", "topics"), [(2, 1), (1, 2), (0, 1), (1, 0)])
def test_a_produce_of_more_than_one_partition_is_assembled(partitions: int, topics: int) -> None:
    skim, head = skim_of("ProduceRequest", 9)
    frame = head + produce_of(9, "topic", bytes(300), acks=1, partitions=partitions, topics=topics)

    for stop in range(len(frame)):
        assert skim.opens(bytearray(frame[:stop]), 0, stop, len(frame), clear_where(lambda _: True)) is None


def test_a_produce_of_a_topic_with_a_rule_is_assembled() -> None:
    skim, head = skim_of("ProduceRequest", 9)
    frame = head + produce_of(9, "topic", bytes(300), acks=1)

    assert skim.opens(bytearray(frame[:200]), 0, 200, len(frame), clear_where(lambda _: False)) is None
    assert skim.opens(bytearray(frame[:200]), 0, 200, len(frame), clear_where(lambda _: None)) is None


def test_a_passage_whose_tail_is_not_there_is_not_closed() -> None:
    skim, head = skim_of("ProduceRequest", 9)
    frame = head + produce_of(9, "topic", bytes(300), acks=1)
    passage = skim.opens(bytearray(frame[:200]), 0, 200, len(frame), clear_where(lambda _: True))

    assert passage is not None
    assert not passage.closes(bytearray(frame), -1)
    assert not passage.closes(bytearray(frame), len(frame))
    assert not passage.closes(bytearray(), 0)
