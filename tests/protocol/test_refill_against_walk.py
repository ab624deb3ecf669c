"""The quick way reads a frame as the long way does, or leaves it to it.

Every byte of a frame of every version, header, message and records, is cut, changed, doubled, dropped, and put in the
place of a length that lies. Wherever the quick way answers, the long way forwards the same bytes, keeps the same of the
request and tells the same counts; wherever it does not, it has told nothing and begun nothing.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from support.batches import write_batch
from support.kafka_oracle import join, oracle
from support.lies import lies
from support.scripted import HEAD
from support.ways import Ways, asked, counted, more, told
from wiremask.protocol.api import APIS, FETCH, PRODUCE
from wiremask.protocol.header import make_request_header, make_response_header

MASKED, RAW_ONLY = (uuid.UUID(int=number) for number in (1, 2))
NAMES = {MASKED: "m", RAW_ONLY: "r"}
RULES = (
    HEAD
    + """rules:
  - {name: all, topics: [m], at: [produce, fetch], value: {format: json, fields: [{path: $.s, mask: redact}]}}
  - name: some
    topics: [r]
    at: [produce, fetch]
    when: {client: 'clientId == "raw"'}
    value: {format: json, fields: [{path: $.s, mask: nullify}]}
"""
)
RECORDS = write_batch([b'{"s":"x"}'])
PRODUCES = [3, 9, 12, 13]  # the first, and those from which on something is read in another way
FETCHES = [4, 5, 7, 11, 12, 13, 16, 18]


def with_topics(values: dict[str, Any], array: str, partitions: str, field: str) -> dict[str, Any]:
    """The sample with a topic that is masked for all, of one partition, and one that is for some."""
    topic = values[array][0]
    partition = {**topic[partitions][0], "records": RECORDS}

    def named(topic_id: uuid.UUID) -> dict[str, Any]:
        names = {key: value for key, value in ((field, NAMES[topic_id]), ("topic_id", topic_id)) if key in topic}
        return {**topic, **names, partitions: [partition]}

    return {**values, array: [named(MASKED), named(RAW_ONLY)]}


@pytest.mark.parametrize("version", PRODUCES)
def test_a_produce_that_lies_leaves_as_by_the_long_way_or_takes_it(version: int) -> None:
    ways = Ways(RULES, NAMES)
    judge = oracle("ProduceRequest", unknown_tags=True)
    body = judge.encode(with_topics(judge.sample(version), "topic_data", "partition_data", "name"), version)
    head = make_request_header(APIS[PRODUCE], version, correlation_id=7, client_id="raw")
    answered = 0

    for lie in dict.fromkeys(lies(head + body)):
        before = counted()
        pieces = ways.quick.request(lie)
        begun = [told(exchange) for exchange in ways.session._awaiting]
        ways.session.forget()
        if pieces is None:
            assert not begun
            assert not more(before)
            continue
        answered += 1
        counts, before = more(before), counted()
        step = ways.long_request(lie)
        assert step is not None
        assert join(list(pieces)) == join(list(step.pieces))
        assert begun == ([] if step.exchange is None else [told(step.exchange)])
        assert counts == more(before)

    assert answered > 0
    assert ways.budget.taken_bytes == 0


@pytest.mark.parametrize("version", FETCHES)
def test_a_fetched_response_that_lies_leaves_as_by_the_long_way_or_takes_it(version: int) -> None:
    ways = Ways(RULES, NAMES)
    judge = oracle("FetchResponse", unknown_tags=True)
    values = with_topics(judge.sample(version), "responses", "partitions", "topic")
    body = judge.encode({key: value for key, value in values.items() if key != "node_endpoints"}, version)
    head = make_response_header(APIS[FETCH], version, correlation_id=7)
    ways.session.client_id = "raw"
    answered = 0

    for lie in dict.fromkeys(lies(head + body)):
        exchange = asked(version)
        ways.session.sent(exchange)
        before = counted()
        pieces = ways.quick.response(lie)
        if pieces is None:
            assert ways.session.next_to_leave() is exchange
            assert not more(before)
            ways.session.forget()
            continue
        answered += 1
        counts, before = more(before), counted()
        assert ways.session.in_flight() == 0
        assert join(list(pieces)) == ways.long_response(exchange, lie)
        assert counts == more(before)

    assert answered > 0
    assert ways.budget.taken_bytes == 0
