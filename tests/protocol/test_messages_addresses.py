"""Every answer that sends a client to a broker: Metadata, FindCoordinator, DescribeCluster."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kafka_oracle import join, oracle
from wiremask.protocol.messages.cluster import DescribeClusterResponse
from wiremask.protocol.messages.coordinator import FindCoordinatorResponse
from wiremask.protocol.messages.metadata import MetadataResponse, make_brokers_request, make_topics_request

METADATA = oracle("MetadataResponse", unknown_tags=True)
COORDINATOR = oracle("FindCoordinatorResponse", unknown_tags=True)
CLUSTER = oracle("DescribeClusterResponse", unknown_tags=True)
REQUEST = oracle("MetadataRequest")
bounded = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
hosts = st.sampled_from(["", "proxy", "x" * 200])


def moved(node: dict[str, Any], host: str, *, key: str = "node_id") -> None:
    """What the callback of these tests makes of a node that is one."""
    if node[key] >= 0:
        node.update({"host": host, "port": node[key] ^ node["port"]})


@given(version=st.sampled_from(METADATA.versions), data=st.data(), host=hosts)
@bounded
def test_metadata_sends_clients_to_other_addresses(version: int, data: st.DataObject, host: str) -> None:
    values = data.draw(METADATA.values(version))
    response = MetadataResponse.read(METADATA.encode(values, version), version)
    edits = response.edit()

    response.put_addresses(edits, lambda node, _host, port: (host, node ^ port))

    expected = copy.deepcopy(values)
    for broker in expected["brokers"]:
        moved(broker, host)
    assert join(edits.pieces()) == METADATA.encode(expected, version)
    assert [(node.node_id, node.host, node.port) for node in response.brokers] == [
        (node["node_id"], node["host"], node["port"]) for node in values["brokers"]
    ]
    assert response.cluster_id == values.get("cluster_id")
    assert response.controller_id == values.get("controller_id", -1)


@given(version=st.sampled_from(COORDINATOR.versions), data=st.data(), host=hosts)
@bounded
def test_coordinators_are_at_other_addresses(version: int, data: st.DataObject, host: str) -> None:
    values = data.draw(COORDINATOR.values(version))
    response = FindCoordinatorResponse.read(COORDINATOR.encode(values, version), version)
    edits = response.edit()

    response.put_addresses(edits, lambda node, _host, port: (host, node ^ port))

    expected = copy.deepcopy(values)
    for coordinator in expected["coordinators"] if version >= 4 else [expected]:
        moved(coordinator, host)
    assert join(edits.pieces()) == COORDINATOR.encode(expected, version)


@pytest.mark.parametrize("version", COORDINATOR.versions)
def test_a_coordinator_that_was_not_found_stays_nowhere(version: int) -> None:
    nowhere = {"key": "g", "node_id": -1, "host": "", "port": -1, "error_code": 15, "error_message": None}
    body = COORDINATOR.encode({**nowhere, "throttle_time_ms": 0, "coordinators": [nowhere]}, version)
    response = FindCoordinatorResponse.read(body, version)
    edits = response.edit()

    response.put_addresses(edits, lambda *_: pytest.fail("no broker was named"))

    assert join(edits.pieces()) == body


@given(version=st.sampled_from(CLUSTER.versions), data=st.data(), host=hosts, endpoint_type=st.sampled_from([1, 2]))
@bounded
def test_brokers_of_a_cluster_move_and_its_controllers_stay(
    version: int, data: st.DataObject, host: str, endpoint_type: int
) -> None:
    values = data.draw(CLUSTER.values(version))
    if version >= 1:
        values["endpoint_type"] = endpoint_type
    response = DescribeClusterResponse.read(CLUSTER.encode(values, version), version)
    edits = response.edit()

    response.put_addresses(edits, lambda node, _host, port: (host, node ^ port))

    expected = copy.deepcopy(values)
    for broker in expected["brokers"] if values.get("endpoint_type", 1) == 1 else ():
        moved(broker, host, key="broker_id")
    assert join(edits.pieces()) == CLUSTER.encode(expected, version)
    assert response.cluster_id == values["cluster_id"]


def test_a_host_beyond_what_a_string_holds_is_refused() -> None:
    body = METADATA.encode({"brokers": [{"node_id": 1, "host": "h", "port": 1}], "topics": []}, 0)
    response = MetadataResponse.read(body, 0)

    with pytest.raises(ValueError, match="32767"):
        response.put_addresses(response.edit(), lambda *_: ("x" * 32768, 1))


@pytest.mark.parametrize("version", range(1, 14))
def test_asks_for_brokers_alone(version: int) -> None:
    values = REQUEST.decode(make_brokers_request(version), version)

    assert values["topics"] == []
    assert values.get("allow_auto_topic_creation", False) is False


@pytest.mark.parametrize("version", [12, 13])
def test_asks_for_topics_by_id_and_creates_none(version: int) -> None:
    ids = [bytes([1]) * 16, bytes([2]) * 16]

    values = REQUEST.decode(make_topics_request(version, ids), version)

    assert [(topic["topic_id"].bytes, topic["name"]) for topic in values["topics"]] == [(ids[0], None), (ids[1], None)]
    assert values["allow_auto_topic_creation"] is False


def test_does_not_ask_what_a_version_cannot_answer() -> None:
    with pytest.raises(ValueError, match="Metadata 0"):
        make_brokers_request(0)
    with pytest.raises(ValueError, match="Metadata 11"):
        make_topics_request(11, [bytes(16)])
