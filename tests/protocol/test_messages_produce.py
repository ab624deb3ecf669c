"""Produce: read, edited, refused and merged, with kafka-python's codecs as the judge."""

from __future__ import annotations

import copy
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import join, oracle
from wiremask.protocol.messages.produce import (
    PartitionRefusal,
    ProduceRequest,
    ProduceResponse,
    make_produce_response,
)

REQUEST = oracle("ProduceRequest", unknown_tags=True)
RESPONSE = oracle("ProduceResponse", unknown_tags=True)
bounded = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
versions = st.sampled_from(REQUEST.versions)


def told_key(topic: dict[str, Any]) -> Any:
    if "name" in topic:
        return topic["name"]
    return topic["topic_id"].bytes if topic["topic_id"] else bytes(16)


@given(version=versions, data=st.data())
@bounded
def test_shows_what_was_written(version: int, data: st.DataObject) -> None:
    values = data.draw(REQUEST.values(version))

    request = ProduceRequest.read(REQUEST.encode(values, version), version)

    assert (request.version, request.acks, request.transactional_id) == (
        version,
        values["acks"],
        values["transactional_id"],
    )
    assert [
        (topic.key, [(partition.index, partition.records) for partition in topic.partitions])
        for topic in request.topics
    ] == [
        (told_key(topic), [(partition["index"], partition["records"]) for partition in topic["partition_data"]])
        for topic in values["topic_data"]
    ]


@given(version=versions, data=st.data())
@bounded
def test_records_are_replaced_and_partitions_removed(version: int, data: st.DataObject) -> None:
    values = data.draw(REQUEST.values(version))
    body = REQUEST.encode(values, version)
    request = ProduceRequest.read(body, version)
    edits = request.edit()
    expected = copy.deepcopy(values)

    for topic, told in zip(request.topics, expected["topic_data"], strict=True):
        kept = []
        for partition, told_partition in zip(topic.partitions, told["partition_data"], strict=True):
            fate = data.draw(st.sampled_from(["keep", "replace", "remove"]))
            if fate == "remove":
                edits.remove(topic, partition)
                continue
            if fate == "replace":
                told_partition["records"] = data.draw(st.binary(max_size=200))
                edits.put_records(partition, told_partition["records"][:3], told_partition["records"][3:])
            kept.append(told_partition)
        told["is_gone"] = bool(told["partition_data"]) and not kept
        told["partition_data"] = kept
    expected["topic_data"] = [topic for topic in expected["topic_data"] if not topic.pop("is_gone")]

    assert REQUEST.decode(join(edits.pieces()), version) == REQUEST.decode(REQUEST.encode(expected, version), version)
    assert join(edits.pieces()) == REQUEST.encode(expected, version)
    assert edits.is_empty == (expected["topic_data"] == [] != values["topic_data"])


@given(version=versions, data=st.data())
@bounded
def test_without_edits_the_body_is_passed_on_as_it_came(version: int, data: st.DataObject) -> None:
    body = REQUEST.encode(data.draw(REQUEST.values(version)), version)

    edits = ProduceRequest.read(body, version).edit()

    assert not edits
    assert all(isinstance(piece, memoryview) and piece.obj is body for piece in edits.pieces())
    assert join(edits.pieces()) == body


def test_untouched_records_are_not_copied() -> None:
    records = [b"1" * 5000, b"2" * 5000]
    partitions = [{"index": index, "records": content} for index, content in enumerate(records)]
    values = {
        "transactional_id": None,
        "acks": 1,
        "timeout_ms": 1,
        "topic_data": [{"name": "t", "partition_data": partitions}],
    }
    body = REQUEST.encode(values, 9)
    request = ProduceRequest.read(body, 9)
    edits = request.edit()

    edits.put_records(request.topics[0].partitions[0], b"new")

    last = edits.pieces()[-1]
    assert isinstance(last, memoryview)
    assert last.obj is body
    assert bytes(last).count(b"2") == 5000


def test_removing_and_replacing_the_same_partition_is_refused() -> None:
    topics = [{"name": "t", "partition_data": [{"index": 0, "records": b"r"}]}]
    values = {"transactional_id": None, "acks": 1, "timeout_ms": 1, "topic_data": topics}
    request = ProduceRequest.read(REQUEST.encode(values, 3), 3)
    edits = request.edit()

    edits.put_records(request.topics[0].partitions[0], b"new")
    edits.remove(request.topics[0], request.topics[0].partitions[0])

    with pytest.raises(ValueError, match="overlap"):
        edits.pieces()


def refusals(version: int) -> st.SearchStrategy[list[PartitionRefusal]]:
    topics = st.sampled_from(["a", "b", "c"]) if version < 13 else st.sampled_from([b"a" * 16, b"b" * 16, b"c" * 16])
    return st.lists(
        st.builds(
            PartitionRefusal,
            topic=topics,
            index=st.integers(100, 200),
            error_code=st.sampled_from([2, 44, 87]),
            message=st.none() | st.text(max_size=5),
            record_errors=st.lists(st.tuples(st.integers(0, 9), st.none() | st.text(max_size=5)), max_size=2).map(
                tuple
            ),
        ),
        min_size=1,
        max_size=4,
    )


def told_refusal(refusal: PartitionRefusal, version: int) -> dict[str, Any]:
    told: dict[str, Any] = {
        "index": refusal.index,
        "error_code": refusal.error_code,
        "base_offset": -1,
        "log_append_time_ms": -1,
    }
    if version >= 5:
        told["log_start_offset"] = -1
    if version >= 8:
        told["record_errors"] = [
            {"batch_index": index, "batch_index_error_message": message} for index, message in refusal.record_errors
        ]
        told["error_message"] = refusal.message
    return told


def add(values: dict[str, Any], refused: list[PartitionRefusal], version: int) -> dict[str, Any]:
    expected = copy.deepcopy(values)
    for refusal in refused:
        key = refusal.topic
        topic = next((topic for topic in expected["responses"] if told_key(topic) == key), None)
        if topic is None:
            named: dict[str, Any] = {"name": key} if version < 13 else {"topic_id": refusal.topic}
            topic = {**named, "partition_responses": []}
            expected["responses"].append(topic)
            if isinstance(key, bytes):
                topic["topic_id"] = _uuid(key)
        topic["partition_responses"].append(told_refusal(refusal, version))
    return expected


def _uuid(raw: bytes) -> uuid.UUID:
    return uuid.UUID(bytes=raw)


@given(version=versions, data=st.data())
@bounded
def test_refusals_are_merged_into_the_topics_that_the_broker_answered_for(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))
    names = data.draw(st.permutations(["a", "b", "c"]))
    for topic, name in zip(values["responses"], names, strict=False):
        topic.update({"name": name} if version < 13 else {"topic_id": _uuid(name.encode() * 16)})
    refused = data.draw(refusals(version))
    response = ProduceResponse.read(RESPONSE.encode(values, version), version)
    edits = response.edit()

    response.merge(edits, refused)

    assert join(edits.pieces()) == RESPONSE.encode(add(values, refused, version), version)


@given(version=versions, data=st.data())
@bounded
def test_makes_a_response_of_refusals_alone(version: int, data: st.DataObject) -> None:
    refused = data.draw(refusals(version))

    made = make_produce_response(version, refused)

    empty = {"responses": [], "throttle_time_ms": 0}
    assert made == RESPONSE.encode(add(empty, refused, version), version)


@given(version=st.sampled_from([10, 11, 12, 13]), data=st.data())
@bounded
def test_addresses_and_refusals_are_written_in_one_go(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))
    values["node_endpoints"] = [
        {"node_id": node, "host": "broker", "port": 9092, "rack": None} for node in range(data.draw(st.integers(1, 3)))
    ]
    values = dict(sorted(values.items(), key=lambda item: item[0] == "from_the_future"))
    refused = data.draw(refusals(version))
    host = data.draw(st.sampled_from(["p", "a-proxy.example", "x" * 300]))
    response = ProduceResponse.read(RESPONSE.encode(values, version), version)
    edits = response.edit()

    response.put_addresses(edits, lambda node, _host, port: (host, port + node))
    response.merge(edits, refused)

    expected = add(values, refused, version)
    for endpoint in expected["node_endpoints"]:
        endpoint.update({"host": host, "port": 9092 + endpoint["node_id"]})
    assert join(edits.pieces()) == RESPONSE.encode(expected, version)


@given(version=versions, data=st.data())
@bounded
def test_shows_what_became_of_each_partition(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))

    response = ProduceResponse.read(RESPONSE.encode(values, version), version)

    shown = [(part.index, part.error_code) for topic in response.topics for part in topic.partitions]
    assert shown == [
        (part["index"], part["error_code"]) for topic in values["responses"] for part in topic["partition_responses"]
    ]
