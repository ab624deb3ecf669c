"""The quick way of masked frames: to the last byte what the long way writes, and nothing told where it gives up."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.batches import write_batch
from support.requests import fetch_frame, produce_frame
from support.scripted import HEAD, fetched
from support.ways import Ways, asked, response, told
from wiremask.proxy import metrics
from wiremask.proxy.steps import Forward

RULES = (
    HEAD
    + """rules:
  - {name: out, topics: [masked], at: [produce], value: {format: json, fields: [{path: $.ssn, mask: redact}]}}
  - {name: back, topics: [masked], at: [fetch], value: {format: json, fields: [{path: $.ssn, mask: redact}]}}
"""
)
TOPIC_ID = uuid.UUID(int=0x1234)
TOPIC_IDS = {TOPIC_ID: "masked"}
UNKNOWN_ID = uuid.UUID(int=0x9999)
SECRET = b'{"ssn":"123-45-6789"}'
CODECS = ("none", "gzip", "snappy", "zstd")
VALUES: list[bytes | None] = [SECRET, b'{"name":"x"}', b'{"ssn":"[redacted]"}', None]
bounded = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def records_of(values: list[list[bytes | None]], codec: str) -> dict[int, bytes]:
    """A batch for each partition."""
    return {index: write_batch(one, codec=codec) for index, one in enumerate(values)}


@given(
    version=st.sampled_from([3, 8, 9, 12, 13]),
    acks=st.sampled_from([0, 1, -1]),
    values=st.lists(st.lists(st.sampled_from([*VALUES, b"{"]), min_size=1, max_size=3), min_size=1, max_size=2),
    codec=st.sampled_from(CODECS),
    topic=st.sampled_from(["masked", "clear"]),
)
@bounded
def test_a_produce_leaves_as_by_the_long_way_or_takes_it(
    version: int, acks: int, values: list[list[bytes | None]], codec: str, topic: str
) -> None:
    ways = Ways(RULES, TOPIC_IDS)
    named = topic if version < 13 else TOPIC_ID
    frame = produce_frame(named, records_of(values, codec), version=version, acks=acks)[4:]

    pieces = ways.quick.request(frame)

    long_way = ways.long_request(frame)
    if named != "clear" and any(value == b"{" for one in values for value in one):
        assert pieces is None
        assert ways.session.in_flight() == 0
    else:
        assert pieces is not None
        assert long_way is not None
        assert b"".join(pieces) == b"".join(long_way.pieces)
        assert [told(exchange) for exchange in ways.session._awaiting] == ([told(long_way.exchange)] if acks else [])


@given(
    version=st.sampled_from([4, 11, 12, 13, 16, 18]),
    values=st.lists(st.lists(st.sampled_from([*VALUES, b"{"]), min_size=1, max_size=3), min_size=1, max_size=2),
    codec=st.sampled_from(CODECS),
    topic=st.sampled_from(["masked", "clear"]),
    cut=st.integers(0, 80),
)
@bounded
def test_a_fetched_response_leaves_as_by_the_long_way(
    version: int, values: list[list[bytes | None]], codec: str, topic: str, cut: int
) -> None:
    ways = Ways(RULES, TOPIC_IDS)
    records: dict[int, bytes | None] = dict(records_of(values, codec))
    records[0] = (records[0] or b"") + write_batch([SECRET])[:cut]  # a partial batch at its end
    named = topic if version < 13 else TOPIC_ID
    frame = response(version, fetched(version, {named: records}))
    exchange = asked(version)
    ways.session.sent(exchange)

    pieces = ways.quick.response(frame)

    assert pieces is not None
    assert b"".join(pieces) == ways.long_response(exchange, frame)
    assert ways.session.in_flight() == 0


@pytest.mark.parametrize("wrong", [b"\xff", b"{", b'{"a":"\\ud800"}'])
def test_a_value_that_a_rule_refuses_is_not_counted_twice(wrong: bytes) -> None:
    ways = Ways(RULES, TOPIC_IDS)
    before = dict(metrics.masked_values.counts), dict(metrics.refused_values.counts), dict(metrics.requests.counts)

    pieces = ways.quick.request(produce_frame("masked", write_batch([SECRET, wrong]))[4:])

    assert pieces is None
    assert before == (
        dict(metrics.masked_values.counts),
        dict(metrics.refused_values.counts),
        dict(metrics.requests.counts),
    )


def unknown_id(ways: Ways) -> bytes:
    return produce_frame(UNKNOWN_ID, write_batch([SECRET]), version=13)[4:]


def large(ways: Ways) -> bytes:
    return produce_frame("masked", write_batch([SECRET + b" " * 1000] * 1600))[4:]


def large_for_its_masks(ways: Ways) -> bytes:
    ways.rules.apply(RULES.replace("mask: redact", "mask: email"))
    return produce_frame("masked", write_batch([SECRET + b" " * 1000] * 300))[4:]


def expanding(ways: Ways) -> bytes:
    return produce_frame("masked", write_batch([SECRET + b" " * 1000] * 300, codec="zstd"))[4:]


def other_api(ways: Ways) -> bytes:
    return fetch_frame("masked")[4:]


def cut_off(ways: Ways) -> bytes:
    return produce_frame("masked", write_batch([SECRET]))[4:-1]


def in_a_login(ways: Ways) -> bytes:
    ways.session.identity.offer("PLAIN", 1)
    return produce_frame("masked", write_batch([SECRET]))[4:]


@pytest.mark.parametrize("case", [unknown_id, large, large_for_its_masks, expanding, other_api, cut_off, in_a_login])
def test_what_needs_more_takes_the_long_way(case: Callable[[Ways], bytes]) -> None:
    ways = Ways(RULES, TOPIC_IDS)
    frame = case(ways)

    pieces = ways.quick.request(frame)

    assert pieces is None
    assert ways.session.in_flight() == 0
    assert ways.budget.taken_bytes == 0


def test_a_large_frame_that_the_kernel_masks_alone_is_let_go_of_at_once() -> None:
    ways = Ways(RULES, TOPIC_IDS)
    frame = bytearray(produce_frame("masked", write_batch([SECRET + b" " * 1000] * 300))[4:])

    pieces = ways.quick.request(frame)

    assert pieces is not None
    assert b"123-45-6789" not in b"".join(pieces)
    assert not [piece for piece in pieces if isinstance(piece, memoryview) and piece.obj is frame]


@pytest.mark.parametrize("shift", [-1, 0])
def test_a_response_that_outgrew_its_reader_takes_the_long_way(shift: int) -> None:
    ways = Ways(
        RULES.replace("mask: redact", "mask: {redact: {text: something much longer than what it hides}}"), TOPIC_IDS
    )
    frame = response(11, fetched(11, {"masked": {0: write_batch([SECRET])}}))
    exchange = asked(11)
    grown = len(ways.long_response(exchange, frame)) - 4
    ways.session.sent(exchange)
    exchange.max_bytes = grown + shift

    pieces = ways.quick.response(frame)

    assert (pieces is None) == (shift < 0)
    assert ways.session.in_flight() == int(shift < 0)


def test_an_answer_out_of_turn_takes_the_long_way() -> None:
    ways = Ways(RULES, TOPIC_IDS)
    ways.session.sent(asked(11))
    body = fetched(11, {"masked": {0: write_batch([SECRET])}})

    early = ways.quick.response(response(11, body, correlation_id=8))
    ways.session.answered_here(asked(11))
    ways.session.match(None)

    assert early is None
    assert ways.quick.response(response(11, body)) is None


def test_the_rules_of_the_moment_mask() -> None:
    ways = Ways(RULES, TOPIC_IDS)
    frame = produce_frame("masked", write_batch([SECRET]))[4:]
    first = ways.quick.request(frame)

    ways.rules.apply(RULES.replace("mask: redact", "mask: nullify"))
    second = ways.quick.request(frame)
    ways.rules.apply(RULES.replace("[masked]", "[others]"))
    third = ways.quick.request(frame)

    assert [
        b"".join(pieces or ()).count(b'{"ssn":' + text)
        for pieces, text in zip((first, second, third), (b'"[redacted]"', b"null", b'"123-45-6789"'), strict=True)
    ] == [1, 1, 1]


def test_a_client_that_takes_another_name_is_another_client() -> None:
    ways = Ways(RULES.replace("value:", "when: {client: 'clientId != \"raw\"'}, value:"), TOPIC_IDS)
    frame = produce_frame("masked", write_batch([SECRET]))[4:]
    renamed = frame.replace(b"\x00\x03raw", b"\x00\x03law")

    def is_clear(one: bytes) -> bool:
        pieces = ways.quick.request(one)
        if pieces is None:
            step = ways.pipeline.request(ways.session, one, ways.rules.current.plan, work=ways.work(), looked_up=False)
            assert isinstance(step, Forward)
            pieces = step.pieces
        return b"123-45-6789" in b"".join(pieces)

    assert [is_clear(one) for one in (frame, renamed, renamed, frame, frame)] == [True, False, False, True, True]
