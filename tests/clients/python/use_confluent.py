"""The client program for confluent-kafka, which is librdkafka."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any, cast

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]
from confluent_kafka.cimpl import NewTopic
from program import (
    LARGEST_BYTES,
    REFUSED_S,
    STEP_S,
    Attempts,
    Record,
    Transactions,
    headers_of,
    in_order,
    key_of,
    main,
    outcome_of,
    refuse_plain,
    refuse_transaction,
    told,
    value_of,
)


class UseConfluent:
    """See the README."""

    def __init__(self, bootstrap: str) -> None:
        self._base: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
        self._admin = AdminClient(self._base)

    def create(self, topics: list[dict[str, Any]]) -> str:
        made = [NewTopic(topic["name"], topic["partitions"], 1, config=topic.get("config", {})) for topic in topics]
        for future in self._admin.create_topics(made).values():
            future.result(STEP_S)
        return "created"

    def inspect(self, topic: str, config: str, group: str, partitions: int) -> dict[str, Any]:
        admin = self._admin
        found = admin.list_topics(topic, timeout=STEP_S)
        (settings,) = admin.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
        (committed,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        cluster = admin.describe_cluster().result(STEP_S)
        return {
            "partitions": len(found.topics[topic].partitions),
            "config": settings.result(STEP_S)[config].value,
            "committed": sorted([part.partition, part.offset] for part in committed.result(STEP_S).topic_partitions),
            "brokers": [[node.id, f"{node.host}:{node.port}"] for node in cluster.nodes],
        }

    def delete(self, topics: list[str]) -> str:
        for future in self._admin.delete_topics(topics).values():
            future.result(STEP_S)
        return "deleted"

    def produce(
        self, topic: str, records: list[Record], acks: int | str, codec: str, idempotent: bool, linger: int
    ) -> list[list[int]]:
        producer = self._producer(
            **{"acks": acks, "compression.codec": codec, "enable.idempotence": idempotent, "linger.ms": linger}
        )
        sent = [self._start(producer, topic, record) for record in records]
        producer.flush(STEP_S)
        return sorted([message.partition(), message.offset()] for message in map(_delivered, sent))

    def consume(self, topic: str, count: int, group: str, isolation: str, protocol: str) -> list[Record]:
        received: list[Record] = []
        with self._consumer(topic, group, protocol, isolation=isolation) as consumer:
            while len(received) < count:
                received += [
                    _told(message)
                    for message in consumer.consume(count - len(received), timeout=0.5)
                    if message.error() is None
                ]
            consumer.commit(asynchronous=False)
        return in_order(received)

    def transact(self, topic: str, id: str, rounds: list[dict[str, Any]]) -> list[str]:
        producer = self._producer(**{"transactional.id": id})
        producer.init_transactions(STEP_S)
        ends = []
        for part in rounds:
            producer.begin_transaction()
            sent = [self._start(producer, topic, record) for record in part["records"]]
            producer.flush(STEP_S)
            for outcome in sent:
                _delivered(outcome)
            if offsets := part.get("offsets"):
                reader = Consumer({**self._base, "group.id": offsets["group"]})
                where = TopicPartition(offsets["topic"], offsets["partition"], offsets["offset"])
                producer.send_offsets_to_transaction([where], reader.consumer_group_metadata(), STEP_S)
                reader.close()
            if part["end"] == "commit":
                producer.commit_transaction(STEP_S)
                ends.append("committed")
            else:
                producer.abort_transaction(STEP_S)
                ends.append("aborted")
        return ends

    def rebalance(self, topic: str, group: str, partitions: int, protocol: str) -> dict[str, int]:
        with self._consumer(topic, group, protocol) as first:
            alone = _owned(partitions, first)
            with self._consumer(topic, group, protocol) as second:
                shared = _owned(partitions, first, second)
                leaving = threading.Thread(target=second.close)
                leaving.start()
                while leaving.is_alive():  # the member that stays has to poll, or the rebalance does not end
                    first.poll(0.1)
            return {"alone": alone, "shared": shared, "again": _owned(partitions, first)}

    def mix(self, topic: str, records: list[Record]) -> list[list[str]]:
        producer = self._producer(**{"linger.ms": 500, "enable.idempotence": False})
        sent = [self._start(producer, topic, record) for record in records]
        producer.flush(STEP_S)
        errors = [outcome[0] if hasattr(outcome[0], "code") else None for outcome in sent]
        return [outcome_of(None if error is None else KafkaException(error)) for error in errors]

    def refuse(self, mode: str, topic: str, good: Record, bad: Record, id: str) -> list[list[str]]:
        attempts = Attempts()
        kept: list[Producer] = []  # a producer that is collected flushes first

        def open_producer(**more: Any) -> Producer:
            settings = {"enable.idempotence": mode != "plain", "message.timeout.ms": int(REFUSED_S * 1000), **more}
            kept.append(Producer({**self._base, **settings}))
            return kept[-1]

        def send(producer: Producer, record: Record) -> None:
            outcome = self._start(producer, topic, record)
            producer.flush(REFUSED_S)
            _delivered(outcome)

        if mode != "transactional":
            return refuse_plain(attempts, open_producer, send, good, bad)

        class Use(Transactions):
            def open(self) -> Any:
                producer = open_producer(**{"transactional.id": id})
                producer.init_transactions(STEP_S)
                return producer

            def begin(self, producer: Any) -> None:
                producer.begin_transaction()

            def send(self, producer: Any, record: Record) -> None:
                send(producer, record)

            def commit(self, producer: Any) -> None:
                producer.commit_transaction(REFUSED_S)

            def abort(self, producer: Any) -> None:
                producer.abort_transaction(REFUSED_S)

        return refuse_transaction(attempts, Use(), good, bad)

    def _producer(self, **settings: Any) -> Producer:
        return Producer({**self._base, "message.max.bytes": LARGEST_BYTES, **settings})

    @contextlib.contextmanager
    def _consumer(
        self, topic: str, group: str, protocol: str, *, isolation: str = "read_uncommitted"
    ) -> Iterator[Consumer]:
        settings: dict[str, Any] = {
            "group.id": group,
            "group.protocol": protocol,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": isolation,
            "fetch.message.max.bytes": LARGEST_BYTES,
            "fetch.max.bytes": LARGEST_BYTES,
            "message.max.bytes": LARGEST_BYTES,
            "receive.message.max.bytes": LARGEST_BYTES + 4096,
            "fetch.wait.max.ms": 100,
        }
        if protocol == "classic":
            settings |= {"heartbeat.interval.ms": 300, "session.timeout.ms": 6_000}
        consumer = Consumer({**self._base, **settings})
        consumer.subscribe([topic])
        try:
            yield consumer
        finally:
            with contextlib.suppress(RuntimeError):  # closed already
                consumer.close()

    @staticmethod
    def _start(producer: Producer, topic: str, record: Record) -> list[Any]:
        """Hands the record over; its outcome, an error or a message, comes into the list."""
        outcome: list[Any] = []

        def delivered(error: Any, message: Any) -> None:
            outcome.append(error or message)

        producer.produce(
            topic,
            value=value_of(record),
            key=key_of(record),
            headers=cast("Any", headers_of(record)),
            partition=record["partition"],
            timestamp=record["timestamp"],
            on_delivery=delivered,
        )
        return outcome


def _delivered(outcome: list[Any]) -> Any:
    if not outcome:
        raise TimeoutError
    if hasattr(outcome[0], "code"):
        raise KafkaException(outcome[0])
    return outcome[0]


def _told(message: Any) -> Record:
    return told(
        partition=message.partition(),
        offset=message.offset(),
        key=message.key(),
        value=message.value(),
        headers=message.headers(),
        timestamp=message.timestamp()[1],
    )


def _owned(partitions: int, *members: Consumer) -> int:
    """Polls until the members own all partitions between them, each of them some; gives their number."""
    while True:
        for member in members:
            member.poll(0.1)
        counts = [len(member.assignment()) for member in members]
        if all(counts) and sum(counts) == partitions:
            return sum(counts)


if __name__ == "__main__":
    main(UseConfluent)
    sys.stdout.flush()
    os._exit(0)  # threads that a hanging call left behind, and producers that would flush
