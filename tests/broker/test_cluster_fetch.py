"""Every way to read: transactions, replicas nearby, fetch sessions, and polls that outlive the rules they began under."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import cast

import confluent_kafka
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from support.batches import StoredBatch, read_batches, write_batch
from support.capture import RawClient, Relay
from support.customers import MASKING_RULES, customer, is_masked, messages
from support.kafka import KafkaCluster
from support.leaders import leaders, move_leader, wait_in_sync
from support.ports import PortBlock
from support.proxy import ProxyProcess
from support.requests import ask_produce, fetch_frame, read_fetched, session_id, topic_id
from support.rulefolder import IDLE_RULES
from support.wait import eventually

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("cluster"), pytest.mark.usefixtures("nobody_goes_round")]

Front = Callable[..., ProxyProcess]
MakeTopic = Callable[..., str]

CONTROL, TRANSACTIONAL = 0x20, 0x10
COMMITTED = [*range(5), *range(10, 15)]
EVERYTHING = list(range(15))
RECORDS = 1


def store(cluster: KafkaCluster, topic: str, *numbers: int) -> None:
    """Writes customers to the broker directly, in the clear."""
    with RawClient(f"127.0.0.1:{cluster.brokers[leaders(cluster, topic)[0]].port}") as client:
        assert ask_produce(client, topic, write_batch([customer(n) for n in numbers]))[0].error_code == 0


def values(records: bytes) -> list[bytes]:
    """The values of a records field, control batches left out."""
    return [r.value or b"" for batch in read_batches(records) if not batch.attributes & CONTROL for r in batch.records]


def are_masked(found: list[bytes], numbers: list[int]) -> bool:
    """Whether these are exactly these customers, masked."""
    return len(found) == len(numbers) and all(is_masked(value, n) for value, n in zip(found, numbers, strict=True))


# Transactions.


async def transact_aiokafka(bootstrap: str, topic: str) -> None:
    """Commits customers 0 to 4, aborts 5 to 9, commits 10 to 14."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    await producer.start()
    try:
        for first in (0, 5, 10):
            await producer.begin_transaction()
            for message in messages(5, first=first):
                await producer.send_and_wait(topic, message.value, key=message.key, partition=0)
            await (producer.abort_transaction() if first == 5 else producer.commit_transaction())
    finally:
        await producer.stop()


async def transact_confluent(bootstrap: str, topic: str) -> None:
    """The same with librdkafka."""
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "transactional.id": topic, "log_level": 0})
    await asyncio.to_thread(producer.init_transactions, 20)
    for first in (0, 5, 10):
        producer.begin_transaction()
        for message in messages(5, first=first):
            producer.produce(topic, message.value, key=message.key, partition=0)
        await asyncio.to_thread(producer.flush, 20)
        await asyncio.to_thread(producer.abort_transaction if first == 5 else producer.commit_transaction, 20)


async def read_aiokafka(bootstrap: str, topic: str, isolation: str, count: int) -> list[bytes]:
    """The values of a topic from its start."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", isolation_level=isolation
    )
    await consumer.start()
    try:
        async with asyncio.timeout(20):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def read_confluent(bootstrap: str, topic: str, isolation: str, count: int) -> list[bytes]:
    """The same with librdkafka."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "none",
            "auto.offset.reset": "earliest",
            "isolation.level": isolation,
            "log_level": 0,
        }
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    try:
        found = await asyncio.to_thread(consumer.consume, count, 20)
        return [cast("bytes", message.value()) for message in found]
    finally:
        await asyncio.to_thread(consumer.close)


@pytest.mark.parametrize("stem", ["stored", "viewed"])
@pytest.mark.parametrize("transact", [transact_aiokafka, transact_confluent], ids=["by aiokafka", "by librdkafka"])
async def test_isolation_levels_see_what_they_should_and_masked(
    transact: Callable[..., object], stem: str, front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated(stem)

    await transact(proxy.bootstrap, topic)  # type: ignore[misc]
    seen = {
        (read.__name__, isolation): await read(proxy.bootstrap, topic, isolation, count)
        for read in (read_aiokafka, read_confluent)
        for isolation, count in (("read_committed", 10), ("read_uncommitted", 15))
    }
    with RawClient(f"127.0.0.1:{proxy.port_of(leaders(cluster, topic)[0])}") as client:
        answer = read_fetched(client.ask(fetch_frame(topic)), 11)[0]
    batches = read_batches(answer.records)

    for (_, isolation), found in seen.items():
        assert are_masked(found, COMMITTED if isolation == "read_committed" else EVERYTHING)
    assert are_masked(values(answer.records), EVERYTHING)
    assert len([batch for batch in batches if batch.attributes & CONTROL]) == 3
    assert all(batch.attributes & TRANSACTIONAL and batch.producer_id >= 0 for batch in batches)
    assert _offsets(batches) == list(range(18))


def _offsets(batches: list[StoredBatch]) -> list[int]:
    return [batch.base_offset + record.offset_delta for batch in batches for record in batch.records]


# Replicas nearby (KIP-392).


def test_reader_is_sent_to_the_replica_of_its_rack_and_served_there(
    front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("viewed")
    move_leader(cluster, topic, 0, 5)
    store(cluster, topic, 1)
    wait_in_sync(cluster, topic)

    with (
        RawClient(f"127.0.0.1:{proxy.port_of(5)}") as at_leader,
        RawClient(f"127.0.0.1:{proxy.port_of(7)}") as at_replica,
    ):

        def preferred() -> int:
            answer = at_leader.ask(fetch_frame(topic, rack="rack-7", wait_ms=0))
            return read_fetched(answer, 11)[0].preferred_read_replica

        eventually(lambda: preferred() == 7, what="the replica of rack 7 preferred")
        near = read_fetched(at_replica.ask(fetch_frame(topic, rack="rack-7")), 11)[0]

    assert near.error_code == 0
    assert are_masked(values(near.records), [1])


def test_librdkafka_reads_from_the_replica_of_its_rack_through_the_proxy(
    front: Front, cluster: KafkaCluster, replicated: MakeTopic, block: PortBlock
) -> None:
    seen = block.take(9)
    proxy, topic = front(listener={"advertisedPort": seen}), replicated("viewed")
    move_leader(cluster, topic, 0, 5)
    store(cluster, topic, *range(10))
    settings = {
        "bootstrap.servers": proxy.bootstrap,
        "group.id": "none",
        "client.rack": "rack-12",
        "fetch.wait.max.ms": 100,
        "log_level": 0,
    }

    with (
        Relay(listen=seen + 1, target=proxy.port_of(5)),
        Relay(listen=seen + 3, target=proxy.port_of(7)) as far,
        Relay(listen=seen + 8, target=proxy.port_of(12)) as near,
    ):
        consumer = confluent_kafka.Consumer(settings)
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        found = [cast("bytes", message.value()) for message in consumer.consume(10, timeout=20)]
        eventually(lambda: (consumer.poll(0), near.requests(RECORDS))[1], what="a fetch at the replica nearby")
        store(cluster, topic, 10)
        (last,) = consumer.consume(1, timeout=20)
        served = [
            partition.records
            for answer in near.answers(RECORDS)
            for partition in read_fetched(answer.data[4:], answer.version).values()
            if partition.records
        ]
        consumer.close()

    assert are_masked([*found, cast("bytes", last.value())], list(range(11)))
    assert served, "the replica nearby served no record"
    assert not far.requests(RECORDS)


# Fetch sessions (KIP-227) and polls that outlive the rules.


@pytest.mark.parametrize("version", [7, 11, 12, 13, 18])
def test_incremental_fetches_that_name_no_topic_are_masked(
    version: int, front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("viewed")
    store(cluster, topic, 1)

    with RawClient(f"127.0.0.1:{proxy.port_of(leaders(cluster, topic)[0])}") as client:
        first = client.ask(fetch_frame(_target(client, topic, version), version=version, session=(0, 0)))
        session = session_id(first, version)
        store(cluster, topic, 2)
        second = client.ask(fetch_frame(None, version=version, session=(session, 1)))

    assert session != 0
    assert are_masked(values(read_fetched(first, version)[0].records), [1])
    assert are_masked(values(read_fetched(second, version)[0].records), [1, 2])


@pytest.mark.parametrize("version", [11, 18])
@pytest.mark.parametrize("before", ["none at fetch", "for others"])
def test_poll_that_began_without_a_rule_is_answered_under_the_rule_that_came(
    before: str, version: int, front: Front, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(rules=IDLE_RULES[before]), replicated("viewed")
    with RawClient(f"127.0.0.1:{cluster.brokers[5].port}") as direct:
        target = _target(direct, topic, version)

    with RawClient(f"127.0.0.1:{proxy.port_of(leaders(cluster, topic)[0])}") as client:
        session = session_id(client.ask(fetch_frame(target, version=version, session=(0, 0), wait_ms=0)), version)
        client.send(fetch_frame(None, version=version, session=(session, 1), wait_ms=30_000))
        eventually(lambda: proxy.metric("wiremask_requests_total", api="Fetch") == 2, what="the poll on its way")
        proxy.change_rules(MASKING_RULES, name="more.yaml")  # beside the others: a reload may not mask less
        store(cluster, topic, 1)
        answer = client.read() or b""

    assert are_masked(values(read_fetched(answer, version)[0].records), [1])


def _target(client: RawClient, topic: str, version: int) -> str | uuid.UUID:
    return topic_id(client, topic) if version >= 13 else topic
