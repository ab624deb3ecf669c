"""Topics by id: whatever taught the proxy the name of an id, or nobody did, no record passes unmasked."""

from __future__ import annotations

import struct
import uuid
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from support.batches import read_batches, write_batch
from support.capture import RawClient
from support.clients import Client
from support.customers import customer, is_masked, messages
from support.kafka import PASSWORD, USER, KafkaCluster
from support.leaders import leaders
from support.proxy import ProxyProcess, assert_absent
from support.requests import (
    LAST_FETCH,
    LAST_PRODUCE,
    TOPIC_IDS_FROM,
    ask_fetch,
    ask_produce,
    fetch_frame,
    plain_frame,
    produce_frame,
    read_fetched,
    read_produced,
    topic_id,
)
from support.wait import eventually

with warnings.catch_warnings():
    # It loads its schemas with importlib.resources.read_text, and warnings are errors here.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.admin import (
        CreateTopicsRequest,
        CreateTopicsResponse,
        DescribeTopicPartitionsRequest,
        DescribeTopicPartitionsResponse,
    )

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("cluster"), pytest.mark.usefixtures("nobody_goes_round")]

Front = Callable[..., ProxyProcess]
MakeTopic = Callable[..., str]

UNKNOWN_TOPIC_ID = 100
FETCHES = range(TOPIC_IDS_FROM, LAST_FETCH + 1)


def id_of(cluster: KafkaCluster, topic: str) -> uuid.UUID:
    """The id of a topic, without a word to the proxy."""
    with RawClient(f"127.0.0.1:{next(iter(cluster.brokers.values())).port}") as client:
        return topic_id(client, topic)


def leader_port(proxy: ProxyProcess, cluster: KafkaCluster, topic: str) -> str:
    """The proxy's port of the broker that leads partition 0."""
    return f"127.0.0.1:{proxy.port_of(leaders(cluster, topic)[0])}"


def stored(cluster: KafkaCluster, topic: str) -> list[bytes | None]:
    """The values that are in the log of partition 0."""
    return [record.value for batch in read_batches(cluster.segments(topic)[0]) for record in batch.records]


def store(cluster: KafkaCluster, topic: str, *numbers: int) -> None:
    """Writes customers to the broker directly, in the clear."""
    with RawClient(f"127.0.0.1:{cluster.brokers[leaders(cluster, topic)[0]].port}") as client:
        assert ask_produce(client, topic, write_batch([customer(n) for n in numbers]))[0].error_code == 0


def test_id_that_the_proxy_never_saw_is_looked_up_before_a_produce(
    front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("stored")
    identity = id_of(cluster, topic)

    with RawClient(leader_port(proxy, cluster, topic)) as client:
        frames = [
            produce_frame(identity, write_batch([customer(n)]), version=LAST_PRODUCE, correlation_id=n)
            for n in range(5)
        ]
        client.send(b"".join(frames))
        answers = [client.read() or b"" for _ in frames]

    assert [read_produced(answer, LAST_PRODUCE)[0].error_code for answer in answers] == [0] * 5
    assert [int.from_bytes(answer[:4], "big") for answer in answers] == list(range(5))
    assert [is_masked(value or b"", n) for n, value in enumerate(stored(cluster, topic))] == [True] * 5
    assert proxy.metric("wiremask_topic_lookups_total") == 1


@pytest.mark.parametrize("version", FETCHES)
def test_id_that_the_proxy_never_saw_is_looked_up_before_a_fetch(
    version: int, front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("viewed")
    store(cluster, topic, 1, 2)

    with RawClient(leader_port(proxy, cluster, topic)) as client:
        found = ask_fetch(client, id_of(cluster, topic), version=version)

    (batch,) = read_batches(found.records)
    assert [is_masked(r.value or b"", n) for n, r in enumerate(batch.records, 1)] == [True, True]
    assert proxy.metric("wiremask_topic_lookups_total") == 1


def test_long_poll_for_an_unseen_id_of_an_empty_topic_returns_masked_records(
    front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("viewed")

    with RawClient(leader_port(proxy, cluster, topic)) as client:
        client.send(fetch_frame(id_of(cluster, topic), version=LAST_FETCH, wait_ms=20_000))
        eventually(lambda: proxy.metric("wiremask_requests_total", api="Fetch") == 1, what="the fetch on its way")
        store(cluster, topic, 3)
        found = read_fetched(client.read() or b"", LAST_FETCH)[0]

    assert is_masked(read_batches(found.records)[0].records[0].value or b"", 3)


def test_id_that_no_topic_has_is_refused_and_what_else_was_asked_is_served(
    front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("stored")

    with RawClient(leader_port(proxy, cluster, topic)) as client:
        produced = ask_produce(client, uuid.uuid4(), write_batch([customer(1)]), version=LAST_PRODUCE)[0]
        fetched = ask_fetch(client, uuid.uuid4(), version=LAST_FETCH)
        after = ask_produce(client, id_of(cluster, topic), write_batch([customer(1)]), version=LAST_PRODUCE)[0]

    assert (produced.error_code, fetched.error_code, fetched.records) == (UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_ID, b"")
    assert after.error_code == 0
    assert is_masked(stored(cluster, topic)[0] or b"", 1)


def test_creating_a_topic_teaches_its_id(front: Front, cluster: KafkaCluster, topic_name: Callable[[str], str]) -> None:
    proxy, topic = front(), topic_name("stored")
    topics = CreateTopicsRequest.CreatableTopic
    request = CreateTopicsRequest(
        version=7,
        topics=[topics(version=7, name=topic, num_partitions=1, replication_factor=3, assignments=[], configs=[])],
        timeout_ms=10_000,
        validate_only=False,
    )

    with RawClient(proxy.bootstrap) as client:
        answer = CreateTopicsResponse.decode(ask(client, request), version=7, header=True)
    identity = answer.topics[0].topic_id
    cluster.wait_led(topic, 1)
    eventually(lambda: produced_by_id(proxy, cluster, topic, identity), what="the new topic led")

    assert is_masked(stored(cluster, topic)[0] or b"", 1)
    assert proxy.metric("wiremask_topic_lookups_total") == 0


def test_describing_topic_partitions_teaches_their_id(
    front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("stored")
    topics = DescribeTopicPartitionsRequest.TopicRequest
    request = DescribeTopicPartitionsRequest(
        version=0, topics=[topics(version=0, name=topic)], response_partition_limit=10, cursor=None
    )

    with RawClient(proxy.bootstrap) as client:
        answer = DescribeTopicPartitionsResponse.decode(ask(client, request), version=0, header=True)
    produced = produced_by_id(proxy, cluster, topic, answer.topics[0].topic_id)

    assert produced
    assert is_masked(stored(cluster, topic)[0] or b"", 1)
    assert proxy.metric("wiremask_topic_lookups_total") == 0


async def test_topic_deleted_and_made_anew_while_clients_run(
    client: Client, front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("stored")
    before = id_of(cluster, topic)

    async with client.producer(proxy.bootstrap) as producer:
        await producer.send(topic, messages(5))
        with RawClient(leader_port(proxy, cluster, topic)) as raw:
            known = ask_fetch(raw, before, version=LAST_FETCH)
        cluster.delete_topic(topic)
        cluster.create_topic(topic, replication=3)
        await producer.send(topic, messages(5, first=100))
    received = await client.consume(proxy.bootstrap, topic, 5)
    after = id_of(cluster, topic)
    with RawClient(leader_port(proxy, cluster, topic)) as raw:
        old = ask_produce(raw, before, write_batch([customer(1)]), version=LAST_PRODUCE)[0]
        new = ask_produce(raw, after, write_batch([customer(105)]), version=LAST_PRODUCE)[0]

    assert known.error_code == 0
    assert before != after
    assert [is_masked(message.value or b"", n) for n, message in enumerate(received, 100)] == [True] * 5
    assert (old.error_code, new.error_code) == (UNKNOWN_TOPIC_ID, 0)
    values = [record.value for record in read_batches(fetched(cluster, topic))[-1].records]
    assert [is_masked(value or b"", 105) for value in values] == [True]


@pytest.fixture
def hidden(cluster: KafkaCluster) -> Iterator[Callable[[str], None]]:
    """Lets the user read and write a topic whose name the broker does not tell him."""
    made: list[str] = []

    def hide(topic: str) -> None:
        made.append(topic)
        rules = [
            (AclOperation.READ, AclPermissionType.ALLOW),
            (AclOperation.WRITE, AclPermissionType.ALLOW),
            (AclOperation.DESCRIBE, AclPermissionType.DENY),
        ]
        bindings = [
            AclBinding(ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, kind)
            for operation, kind in rules
        ]
        for result in cluster.admin.create_acls(bindings).values():
            result.result(10)

    yield hide
    for topic in made:
        every = AclBindingFilter(
            ResourceType.TOPIC,
            topic,
            ResourcePatternType.LITERAL,
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        for result in cluster.admin.delete_acls([every]).values():
            result.result(10)


def test_topic_whose_name_is_hidden_from_the_client_is_refused(
    front: Front, cluster: KafkaCluster, replicated: MakeTopic, hidden: Callable[[str], None]
) -> None:
    written, read = replicated("stored"), replicated("viewed")
    store(cluster, read, 7)
    hidden(written)
    hidden(read)
    ids = id_of(cluster, written), id_of(cluster, read)
    nodes = leaders(cluster, written)[0], leaders(cluster, read)[0]
    proxy = front(
        upstream=cluster.sasl_bootstrap,
        settings={
            "upstream": {
                "bootstrapServers": cluster.sasl_bootstrap.split(","),
                "nodes": {str(node): f"127.0.0.1:{broker.sasl_port}" for node, broker in cluster.brokers.items()},
            }
        },
    )

    eventually(lambda: direct_code(cluster, nodes[0], ids[0]) == 0, what="the broker takes it by its id")
    with RawClient(f"127.0.0.1:{proxy.port_of(nodes[0])}") as client:
        log_in(client)
        produced = ask_produce(client, ids[0], write_batch([customer(8)]), version=LAST_PRODUCE)[0]
    with RawClient(f"127.0.0.1:{proxy.port_of(nodes[1])}") as client:
        log_in(client)
        fetched_here = client.ask(fetch_frame(ids[1], version=LAST_FETCH))
    with RawClient(f"127.0.0.1:{cluster.brokers[nodes[1]].sasl_port}") as client:
        log_in(client)
        fetched_there = ask_fetch(client, ids[1], version=LAST_FETCH)

    assert produced.error_code == UNKNOWN_TOPIC_ID
    assert stored(cluster, written) == [b"{}"]
    assert read_batches(fetched_there.records)[0].records[0].value == customer(7)
    assert read_fetched(fetched_here, LAST_FETCH)[0].error_code == UNKNOWN_TOPIC_ID
    assert_absent(fetched_here, [customer(7)])


def direct_code(cluster: KafkaCluster, node: int, identity: uuid.UUID) -> int:
    with RawClient(f"127.0.0.1:{cluster.brokers[node].sasl_port}") as client:
        log_in(client)
        return ask_produce(client, identity, write_batch([b"{}"]), version=LAST_PRODUCE)[0].error_code


def produced_by_id(proxy: ProxyProcess, cluster: KafkaCluster, topic: str, identity: uuid.UUID) -> bool:
    """Whether the leader took customer 1."""
    with RawClient(leader_port(proxy, cluster, topic)) as client:
        return ask_produce(client, identity, write_batch([customer(1)]), version=LAST_PRODUCE)[0].error_code == 0


def fetched(cluster: KafkaCluster, topic: str) -> bytes:
    """What a broker serves of partition 0, without the proxy."""
    with RawClient(f"127.0.0.1:{cluster.brokers[leaders(cluster, topic)[0]].port}") as client:
        return ask_fetch(client, topic).records


def ask(client: RawClient, request: Any) -> bytes:
    request.with_header(1, "raw")
    return client.ask(bytes(request.encode(header=True, framed=True)))


def log_in(client: RawClient) -> None:
    token = f"\0{USER}\0{PASSWORD}".encode()
    client.ask(plain_frame(17, 1, struct.pack(">h", 5) + b"PLAIN"))
    answer = client.ask(plain_frame(36, 1, struct.pack(">i", len(token)) + token))
    assert answer[4:6] == b"\x00\x00", "the login was refused"
