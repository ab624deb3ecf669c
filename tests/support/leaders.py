"""Who leads which partition, and moving that about, as an administrator does: reassignments and elections on a real cluster."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException, TopicCollection

from support.capture import RawClient
from support.wait import eventually

with warnings.catch_warnings():
    # It loads its schemas with importlib.resources.read_text, and warnings are errors here.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.admin import (
        AlterPartitionReassignmentsRequest,
        AlterPartitionReassignmentsResponse,
        ElectLeadersRequest,
        ElectLeadersResponse,
    )

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from support.kafka import KafkaCluster

REASSIGN_VERSION, ELECT_VERSION = 0, 2
ELECTION_NOT_NEEDED = 84


def leaders(cluster: KafkaCluster, topic: str) -> dict[int, int]:
    """The leader of each partition; -1 where there is none."""
    return {number: found.leader.id if found.leader else -1 for number, found in _partitions(cluster, topic).items()}


def replicas(cluster: KafkaCluster, topic: str) -> dict[int, list[int]]:
    """The replicas of each partition, the preferred leader first."""
    return {number: [node.id for node in found.replicas] for number, found in _partitions(cluster, topic).items()}


def wait_in_sync(cluster: KafkaCluster, *topics: str) -> None:
    """Waits until every replica of these topics is in sync, so that one more broker may go."""
    eventually(
        lambda: all(
            len(found.isr) == len(found.replicas) for topic in topics for found in _partitions(cluster, topic).values()
        ),
        timeout_s=90,
        what="every replica in sync",
    )


def move_leader(cluster: KafkaCluster, topic: str, partition: int, node: int) -> None:
    """Makes `node` the preferred replica of a partition, and then its leader; returns when it leads.

    Where `node` is no replica yet it takes the place of the last one, and gets its data first.
    """
    now = replicas(cluster, topic)[partition]
    wanted = [node, *(other for other in now if other != node)][: len(now)]
    reassign(cluster, topic, {partition: wanted})
    wait_in_sync(cluster, topic)
    if leaders(cluster, topic)[partition] != node:
        elect_preferred(cluster, topic, [partition])
    eventually(lambda: leaders(cluster, topic)[partition] == node, what=f"node {node} leads {topic}-{partition}")


def reassign(cluster: KafkaCluster, topic: str, wanted: Mapping[int, Sequence[int]]) -> None:
    """Asks for these replicas, the preferred leader first, and waits until they are what the cluster has."""
    topics = AlterPartitionReassignmentsRequest.ReassignableTopic
    request = AlterPartitionReassignmentsRequest(
        version=REASSIGN_VERSION,
        timeout_ms=20_000,
        topics=[
            topics(
                version=REASSIGN_VERSION,
                name=topic,
                partitions=[
                    topics.ReassignablePartition(version=REASSIGN_VERSION, partition_index=number, replicas=list(nodes))
                    for number, nodes in wanted.items()
                ],
            )
        ],
    )
    answer = AlterPartitionReassignmentsResponse.decode(_ask(cluster, request), version=REASSIGN_VERSION, header=True)
    codes = {partition.error_code for found in answer.responses for partition in found.partitions}
    assert (answer.error_code, codes) == (0, {0}), "the reassignment was refused"

    def is_done() -> bool:
        now = replicas(cluster, topic)
        return all(now[number] == list(nodes) for number, nodes in wanted.items())

    eventually(is_done, timeout_s=90, what=f"{topic} reassigned")


def elect_preferred(cluster: KafkaCluster, topic: str, partitions: Sequence[int]) -> None:
    """Asks for the election of the preferred replicas as leaders."""
    request = ElectLeadersRequest(
        version=ELECT_VERSION,
        election_type=0,
        topic_partitions=[
            ElectLeadersRequest.TopicPartitions(version=ELECT_VERSION, topic=topic, partitions=list(partitions))
        ],
        timeout_ms=20_000,
    )
    answer = ElectLeadersResponse.decode(_ask(cluster, request), version=ELECT_VERSION, header=True)
    codes = {partition.error_code for found in answer.replica_election_results for partition in found.partition_result}
    assert codes <= {0, ELECTION_NOT_NEEDED}, f"the election was refused: {codes}"


def _partitions(cluster: KafkaCluster, topic: str) -> dict[int, Any]:
    try:
        described = cluster.admin.describe_topics(TopicCollection([topic]), request_timeout=10)[topic].result(10)
    except KafkaException as error:  # a broker that has not heard of a new topic yet
        raise AssertionError(f"{topic} cannot be described: {error.args[0].name()}") from error
    return {found.id: found for found in described.partitions}


def _ask(cluster: KafkaCluster, request: Any) -> bytes:
    request.with_header(1, "leaders")
    broker = next(broker for broker in cluster.brokers.values() if broker.running)
    with RawClient(f"127.0.0.1:{broker.port}") as client:
        return client.ask(bytes(request.encode(header=True, framed=True)))
