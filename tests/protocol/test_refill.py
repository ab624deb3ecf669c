"""A refilled frame is what the long way would have written, and found in nothing that the long way would refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import oracle
from wiremask.protocol.api import APIS, FETCH, PRODUCE
from wiremask.protocol.choices import Choices
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.frame import frame_pieces
from wiremask.protocol.header import make_request_header, make_response_header
from wiremask.protocol.messages.fetch import FetchResponse
from wiremask.protocol.messages.produce import ProduceRequest
from wiremask.protocol.messages.skims import refill_fetch_response, refill_produce_request
from wiremask.protocol.refill import RecordsField, Refill

CORRELATION_ID = 77
KINDS: dict[str, Any] = {"ProduceRequest": ProduceRequest, "FetchResponse": FetchResponse}
ORACLES = {name: oracle(name, unknown_tags=True) for name in KINDS}
TAKEN = [
    (name, version)
    for name, judge in ORACLES.items()
    for version in judge.versions
    if APIS[PRODUCE if name == "ProduceRequest" else FETCH].takes(version)
]
bounded = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


def refill_of(name: str, version: int) -> tuple[Refill, bytes]:
    """The refill, and the header that its frames have."""
    if name == "FetchResponse":
        head = make_response_header(APIS[FETCH], version, correlation_id=CORRELATION_ID)
        return refill_fetch_response(APIS[FETCH], version), head
    head = make_request_header(APIS[PRODUCE], version, correlation_id=CORRELATION_ID, client_id="me")
    return refill_produce_request(version, head[8:]), head


def choose(topic: str | bytes) -> str | bool | None:
    """A third of all topics each: nothing happens to them, something does, nobody knows."""
    return ("masked", False, None)[sum(topic.encode() if isinstance(topic, str) else topic) % 3]


def chosen(topic: str | bytes) -> str | bool | None:
    """Half of all topics each, and nothing in doubt."""
    return ("masked", False)[sum(topic.encode() if isinstance(topic, str) else topic) % 2]


def expected(name: str, version: int, body: bytes, choice: Any) -> list[Any] | None:
    """The partitions that something happens to, by the long way's own view; None if in doubt."""
    try:
        message = KINDS[name].read(body, version)
    except MalformedMessage:
        return None
    if name == "FetchResponse" and not message.node_endpoints.is_null:
        return None
    found: list[Any] = []
    for topic in message.topics:
        made = choice(topic.topic_id if topic.name is None else topic.name)
        if made is None:
            return None
        for partition in topic.partitions if made else ():
            if partition.records:
                found.append((message, partition))
            elif name == "ProduceRequest":
                return None
    return found


def content(frame: bytes, fields: list[RecordsField] | None) -> list[bytes] | None:
    """What the fields hold."""
    return None if fields is None else [frame[field.start : field.stop] for field in fields]


@given(taken=st.sampled_from(TAKEN), data=st.data(), certain=st.booleans())
@bounded
def test_finds_the_records_that_the_long_way_would_mask(
    taken: tuple[str, int], data: st.DataObject, certain: bool
) -> None:
    name, version = taken
    refill, head = refill_of(name, version)
    body = ORACLES[name].encode(data.draw(ORACLES[name].values(version)), version)
    choice = chosen if certain else choose

    fields = refill.find(head + body, Choices(choice))

    long_way = expected(name, version, body, choice)
    assert content(head + body, fields) == (
        None if long_way is None else [bytes(partition.records) for _, partition in long_way]
    )
    assert fields is None or refill.correlation_id == CORRELATION_ID


@given(taken=st.sampled_from(TAKEN), data=st.data())
@bounded
def test_writes_to_the_last_byte_what_the_long_way_writes(taken: tuple[str, int], data: st.DataObject) -> None:
    name, version = taken
    refill, head = refill_of(name, version)
    body = ORACLES[name].encode(data.draw(ORACLES[name].values(version)), version)
    long_way = expected(name, version, body, chosen) or []
    new = [
        data.draw(st.none() | st.lists(st.sampled_from([b"", b"new", bytes(300), bytes(70_000)]), max_size=2))
        for _ in long_way
    ]
    fields = refill.find(head + body, Choices(chosen)) or []

    pieces = refill.fill(head + body, fields, new)

    if long_way:
        edits = long_way[0][0].edit()
        for (_, partition), records in zip(long_way, new, strict=True):
            if records is not None:
                partition_field = type(partition).records
                partition_field.put(edits, partition, *records)
        body = b"".join(edits.pieces())
    assert b"".join(pieces) == b"".join(frame_pieces(head, body))
    assert refill.grown_bytes == sum(
        len(b"".join(records)) - len(partition.records)
        for (_, partition), records in zip(long_way, new, strict=True)
        if records is not None
    )


@given(taken=st.sampled_from(TAKEN), data=st.data())
@bounded
def test_finds_nothing_in_bytes_that_the_long_way_refuses(taken: tuple[str, int], data: st.DataObject) -> None:
    name, version = taken
    refill, head = refill_of(name, version)
    body = bytearray(ORACLES[name].encode(data.draw(ORACLES[name].values(version)), version))
    for _ in range(data.draw(st.integers(1, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.sampled_from([0, 1, 2, 0x7F, 0x80, 0xFF]))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))])

    for wrong in (bytes(body), cut, bytes(body) + b"\0"):
        fields = refill.find(bytearray(head + wrong), Choices(chosen))
        long_way = expected(name, version, wrong, chosen)
        assert content(head + wrong, fields) == (
            None if long_way is None else [bytes(partition.records) for _, partition in long_way]
        )


def test_finds_nothing_behind_another_header() -> None:
    refill, head = refill_of("ProduceRequest", 9)
    body = ORACLES["ProduceRequest"].encode({"transactional_id": None, "acks": 1, "timeout_ms": 1, "topic_data": []}, 9)
    frame = head + body

    assert refill.find(frame, Choices(chosen)) == []
    assert refill.number == 1
    assert refill.find(frame[:5], Choices(chosen)) is None
    for at in range(8, len(head)):
        other = bytearray(frame)
        other[at] ^= 1
        assert refill.find(other, Choices(chosen)) is None


def produce_of(topics: list[str]) -> bytes:
    """A Produce request 9 of one partition of each topic."""
    data = [{"name": topic, "partition_data": [{"index": 0, "records": b"r"}]} for topic in topics]
    head = refill_of("ProduceRequest", 9)[1]
    return head + ORACLES["ProduceRequest"].encode(
        {"transactional_id": None, "acks": 1, "timeout_ms": 1, "topic_data": data}, 9
    )


def test_a_topic_is_asked_about_once_and_a_doubt_is_not_remembered() -> None:
    asked: list[str | bytes] = []
    answers: dict[str | bytes, str | bool | None] = {"a": "masked", "b": None, "c" * 250: False}

    def answer(topic: str | bytes) -> str | bool | None:
        asked.append(topic)
        return answers[topic]

    refill, choices = refill_of("ProduceRequest", 9)[0], Choices(answer)
    for topic in ("a", "a", "b", "b", "c" * 250, "c" * 250):
        refill.find(produce_of([topic]), choices)

    assert asked == ["a", "b", "b", "c" * 250, "c" * 250]


@pytest.mark.parametrize(("topics", "found"), [(1024, 1024), (1025, None)])
def test_a_message_of_very_many_topics_takes_the_long_way(topics: int, found: int | None) -> None:
    refill, _ = refill_of("ProduceRequest", 9)

    fields = refill.find(produce_of([f"topic-{number}" for number in range(topics)]), Choices(lambda _: "masked"))

    assert (None if fields is None else len(fields)) == found


def test_takes_no_more_or_fewer_contents_than_fields() -> None:
    refill, _ = refill_of("ProduceRequest", 9)
    frame = produce_of(["a", "b"])
    fields = refill.find(frame, Choices(lambda _: "masked"))
    assert fields is not None

    for contents in ([[b"x"]], [[b"x"], [b"y"], [b"z"]]):
        with pytest.raises(ValueError, match="zip"):
            refill.fill(frame, fields, contents)
