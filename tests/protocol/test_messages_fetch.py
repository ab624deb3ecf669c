"""Fetch: limits lowered in requests; records replaced, partitions failed and addresses rewritten in responses."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import join, oracle
from wiremask.protocol.messages.fetch import FetchRequest, FetchResponse

REQUEST = oracle("FetchRequest", unknown_tags=True)
RESPONSE = oracle("FetchResponse", unknown_tags=True)
bounded = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
versions = st.sampled_from(REQUEST.versions)


def told_topic(topic: dict[str, Any]) -> tuple[Any, Any]:
    if "topic" in topic:
        return topic["topic"], None
    return None, topic["topic_id"].bytes if topic["topic_id"] else bytes(16)


@given(version=versions, data=st.data())
@bounded
def test_shows_what_a_request_asks_for(version: int, data: st.DataObject) -> None:
    values = data.draw(REQUEST.values(version))

    request = FetchRequest.read(REQUEST.encode(values, version), version)

    assert request.max_bytes == values["max_bytes"]
    assert [
        (topic.name, topic.topic_id, [(part.index, part.max_bytes) for part in topic.partitions])
        for topic in request.topics
    ] == [
        (*told_topic(topic), [(part["partition"], part["partition_max_bytes"]) for part in topic["partitions"]])
        for topic in values["topics"]
    ]
    assert [(topic.name, topic.topic_id) for topic in request.forgotten_topics] == [
        told_topic(topic) for topic in values.get("forgotten_topics_data", ())
    ]


@given(version=versions, data=st.data(), most=st.integers(0, 2**31 - 1), most_each=st.integers(0, 2**31 - 1))
@bounded
def test_limits_are_lowered_and_never_raised(version: int, data: st.DataObject, most: int, most_each: int) -> None:
    values = data.draw(REQUEST.values(version))
    body = REQUEST.encode(values, version)
    request = FetchRequest.read(body, version)

    lowered = request.lowered(max_bytes=most, partition_max_bytes=most_each)

    expected = copy.deepcopy(values)
    expected["max_bytes"] = min(values["max_bytes"], most)
    for topic in expected["topics"]:
        for partition in topic["partitions"]:
            partition["partition_max_bytes"] = min(partition["partition_max_bytes"], most_each)
    assert bytes(lowered) == REQUEST.encode(expected, version)
    assert body == REQUEST.encode(values, version)


def test_a_request_within_the_limits_is_passed_on_uncopied() -> None:
    body = REQUEST.encode(
        {"max_bytes": 5, "max_wait_ms": 1, "min_bytes": 1, "topics": [], "replica_id": -1, "isolation_level": 0}, 4
    )

    lowered = FetchRequest.read(body, 4).lowered(max_bytes=5, partition_max_bytes=5)

    assert isinstance(lowered, memoryview)
    assert lowered.obj is body


@given(version=versions, data=st.data())
@bounded
def test_shows_what_a_response_brings(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))

    response = FetchResponse.read(RESPONSE.encode(values, version), version)

    assert response.error_code == values.get("error_code", 0)
    assert [
        (topic.name, topic.topic_id, [(part.index, part.error_code, part.records) for part in topic.partitions])
        for topic in response.topics
    ] == [
        (
            *told_topic(topic),
            [(part["partition_index"], part["error_code"], part["records"]) for part in topic["partitions"]],
        )
        for topic in values["responses"]
    ]
    assert [(node.node_id, node.host, node.port) for node in response.node_endpoints] == [
        (node["node_id"], node["host"], node["port"]) for node in values.get("node_endpoints", ())
    ]


@given(version=versions, data=st.data())
@bounded
def test_records_are_replaced_withheld_or_left_and_nothing_else_changes(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))
    body = RESPONSE.encode(values, version)
    response = FetchResponse.read(body, version)
    edits = response.edit()
    expected = copy.deepcopy(values)

    for topic, told in zip(response.topics, expected["responses"], strict=True):
        for partition, told_partition in zip(topic.partitions, told["partitions"], strict=True):
            fate = data.draw(st.sampled_from(["keep", "replace", "fail"]))
            if fate == "replace":
                told_partition["records"] = data.draw(st.binary(max_size=200))
                partition.put_records(edits, told_partition["records"])
            if fate == "fail":
                told_partition.update({"error_code": 100, "records": b""})
                partition.fail(edits, 100)
    host = data.draw(st.sampled_from(["", "proxy", "x" * 200]))
    response.put_addresses(edits, lambda node, _host, port: (host, node ^ port))
    for endpoint in expected.get("node_endpoints", ()):
        if endpoint["node_id"] >= 0:
            endpoint.update({"host": host, "port": endpoint["node_id"] ^ endpoint["port"]})

    assert join(edits.pieces()) == RESPONSE.encode(expected, version)


@given(version=versions, data=st.data())
@bounded
def test_a_response_that_no_edit_touches_is_one_piece(version: int, data: st.DataObject) -> None:
    body = RESPONSE.encode(data.draw(RESPONSE.values(version)), version)
    response = FetchResponse.read(body, version)
    edits = response.edit()

    response.put_addresses(edits, lambda _node, host, port: (host, port))

    assert not edits
    assert edits.pieces() == [body]
