"""ShareFetch and ShareAcknowledge: records replaced or withheld with their acquisition, addresses rewritten."""

from __future__ import annotations

import copy

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import join, oracle
from wiremask.protocol.messages.share import (
    ShareAcknowledgeRequest,
    ShareAcknowledgeResponse,
    ShareFetchRequest,
    ShareFetchResponse,
)

REQUEST = oracle("ShareFetchRequest", unknown_tags=True)
RESPONSE = oracle("ShareFetchResponse", unknown_tags=True)
ACKNOWLEDGE_REQUEST = oracle("ShareAcknowledgeRequest", unknown_tags=True)
ACKNOWLEDGE_RESPONSE = oracle("ShareAcknowledgeResponse", unknown_tags=True)
bounded = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
versions = st.sampled_from([1, 2])


def test_versions_are_those_of_kafka_4_3() -> None:
    everything = (REQUEST, RESPONSE, ACKNOWLEDGE_REQUEST, ACKNOWLEDGE_RESPONSE)

    assert {tuple(message.versions) for message in everything} == {(1, 2)}
    assert all(message.is_flexible(version) for message in everything for version in (1, 2))


@given(version=versions, data=st.data())
@bounded
def test_shows_what_a_request_asks_for(version: int, data: st.DataObject) -> None:
    values = data.draw(REQUEST.values(version))

    request = ShareFetchRequest.read(REQUEST.encode(values, version), version)

    assert request.max_bytes == values["max_bytes"]
    assert [topic.topic_id for topic in request.topics] == [topic["topic_id"].bytes for topic in values["topics"]]
    assert [topic.topic_id for topic in request.forgotten_topics] == [
        topic["topic_id"].bytes for topic in values["forgotten_topics_data"]
    ]


@given(version=versions, data=st.data(), most=st.integers(0, 2**31 - 1))
@bounded
def test_the_limit_is_lowered_and_never_raised(version: int, data: st.DataObject, most: int) -> None:
    values = data.draw(REQUEST.values(version))
    body = REQUEST.encode(values, version)

    lowered = ShareFetchRequest.read(body, version).lowered(max_bytes=most)

    assert bytes(lowered) == REQUEST.encode({**values, "max_bytes": min(values["max_bytes"], most)}, version)
    assert body == REQUEST.encode(values, version)


@given(version=versions, data=st.data())
@bounded
def test_shows_what_a_response_brings(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))

    response = ShareFetchResponse.read(RESPONSE.encode(values, version), version)

    assert response.error_code == values["error_code"]
    assert [
        (
            topic.name,
            topic.topic_id,
            [(part.index, part.error_code, part.records, len(part.acquired)) for part in topic.partitions],
        )
        for topic in response.topics
    ] == [
        (
            None,
            topic["topic_id"].bytes,
            [
                (part["partition_index"], part["error_code"], part["records"], len(part["acquired_records"]))
                for part in topic["partitions"]
            ],
        )
        for topic in values["responses"]
    ]
    assert [(node.node_id, node.host, node.port) for node in response.node_endpoints] == [
        (node["node_id"], node["host"], node["port"]) for node in values["node_endpoints"]
    ]


@given(version=versions, data=st.data())
@bounded
def test_records_are_replaced_withheld_or_left_and_acknowledgements_stay(version: int, data: st.DataObject) -> None:
    values = data.draw(RESPONSE.values(version))
    response = ShareFetchResponse.read(RESPONSE.encode(values, version), version)
    edits = response.edit()
    expected = copy.deepcopy(values)

    for topic, told in zip(response.topics, expected["responses"], strict=True):
        for partition, told_partition in zip(topic.partitions, told["partitions"], strict=True):
            fate = data.draw(st.sampled_from(["keep", "replace", "fail"]))
            if fate == "replace":
                told_partition["records"] = data.draw(st.binary(max_size=200))
                partition.put_records(edits, told_partition["records"])
            if fate == "fail":
                told_partition.update({"error_code": 2, "records": b"", "acquired_records": []})
                partition.fail(edits, 2)
    host = data.draw(st.sampled_from(["", "proxy", "x" * 200]))
    response.put_addresses(edits, lambda node, _host, port: (host, node ^ port))
    for endpoint in expected["node_endpoints"]:
        if endpoint["node_id"] >= 0:
            endpoint.update({"host": host, "port": endpoint["node_id"] ^ endpoint["port"]})

    assert join(edits.pieces()) == RESPONSE.encode(expected, version)


@given(version=versions, data=st.data())
@bounded
def test_new_leaders_of_acknowledged_partitions_are_at_other_addresses(version: int, data: st.DataObject) -> None:
    values = data.draw(ACKNOWLEDGE_RESPONSE.values(version))
    response = ShareAcknowledgeResponse.read(ACKNOWLEDGE_RESPONSE.encode(values, version), version)
    edits = response.edit()
    expected = copy.deepcopy(values)

    response.put_addresses(edits, lambda node, _host, port: ("proxy", node ^ port))

    for endpoint in expected["node_endpoints"]:
        if endpoint["node_id"] >= 0:
            endpoint.update({"host": "proxy", "port": endpoint["node_id"] ^ endpoint["port"]})
    assert join(edits.pieces()) == ACKNOWLEDGE_RESPONSE.encode(expected, version)
    assert response.error_code == values["error_code"]


@given(version=versions, data=st.data())
@bounded
def test_acknowledgements_are_read_to_the_last_byte(version: int, data: st.DataObject) -> None:
    body = ACKNOWLEDGE_REQUEST.encode(data.draw(ACKNOWLEDGE_REQUEST.values(version)), version)

    request = ShareAcknowledgeRequest.read(body, version)

    assert request.edit().pieces() == [body]
