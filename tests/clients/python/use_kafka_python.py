"""The client program for kafka-python, 3 and 2.3: where their interfaces differ, the program asks the version."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kafka
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.structs import OffsetAndMetadata
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

THREE = int(kafka.__version__.split(".")[0]) >= 3


class UseKafkaPython:
    """See the README."""

    def __init__(self, bootstrap: str, **settings: Any) -> None:
        self._cluster = {"bootstrap_servers": bootstrap, **settings}

    def create(self, topics: list[dict[str, Any]]) -> str:
        with self._admin() as admin:
            made = [
                NewTopic(topic["name"], topic["partitions"], 1, topic_configs=topic.get("config", {}))
                for topic in topics
            ]
            admin.create_topics(made)
        return "created"

    def inspect(self, topic: str, config: str, group: str, partitions: int) -> dict[str, Any]:
        with self._admin() as admin:
            (found,) = admin.describe_topics([topic])
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            if THREE:
                (value,) = [
                    entry["value"]
                    for name, entry in admin.describe_configs([resource], config_filter="all")["topic"][topic].items()
                    if name == config
                ]
                committed = admin.list_group_offsets(group)[group]
            else:
                (answer,) = admin.describe_configs([resource])
                (value,) = [entry[1] for entry in answer.resources[0][4] if entry[0] == config]
                committed = admin.list_consumer_group_offsets(group)
            cluster = admin.describe_cluster()
        return {
            "partitions": len(found["partitions"]),
            "config": value,
            "committed": sorted([part.partition, kept.offset] for part, kept in committed.items()),
            "brokers": [
                [broker.get("broker_id", broker.get("node_id")), f"{broker['host']}:{broker['port']}"]
                for broker in cluster["brokers"]
            ],
        }

    def delete(self, topics: list[str]) -> str:
        with self._admin() as admin:
            admin.delete_topics(topics)
        return "deleted"

    def produce(
        self, topic: str, records: list[Record], acks: int | str, codec: str, idempotent: bool, linger: int
    ) -> list[list[int]]:
        with self._producer(
            acks=acks,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            linger_ms=linger,
        ) as producer:
            sent = [self._start(producer, topic, record) for record in records]
            done = [future.get(STEP_S) for future in sent]
        return sorted([place.partition, place.offset] for place in done)

    def consume(self, topic: str, count: int, group: str, isolation: str, protocol: str) -> list[Record]:
        assert protocol == "classic"
        received: list[Record] = []
        with self._consumer(topic, group, isolation=isolation) as consumer:
            while len(received) < count:
                batch = consumer.poll(500, max_records=count - len(received))
                received += [_told(record) for records in batch.values() for record in records]
            consumer.commit()
        return in_order(received)

    def transact(self, topic: str, id: str, rounds: list[dict[str, Any]]) -> list[str]:
        ends = []
        with self._producer(transactional_id=id, enable_idempotence=True, acks="all") as producer:
            producer.init_transactions()
            for part in rounds:
                producer.begin_transaction()
                sent = [self._start(producer, topic, record) for record in part["records"]]
                for future in sent:
                    future.get(STEP_S)
                if offsets := part.get("offsets"):
                    where = TopicPartition(offsets["topic"], offsets["partition"])
                    producer.send_offsets_to_transaction(
                        {where: OffsetAndMetadata(offsets["offset"], "", -1)}, offsets["group"]
                    )
                if part["end"] == "commit":
                    producer.commit_transaction()
                    ends.append("committed")
                else:
                    producer.abort_transaction()
                    ends.append("aborted")
        return ends

    def rebalance(self, topic: str, group: str, partitions: int, protocol: str) -> dict[str, int]:
        assert protocol == "classic"
        with self._member(topic, group) as first:
            alone = _owned(partitions, first)
            with self._member(topic, group) as second:
                shared = _owned(partitions, first, second)
            return {"alone": alone, "shared": shared, "again": _owned(partitions, first)}

    def follow(self, topic: str, group: str, rounds: list[dict[str, Any]], folder: str, protocol: str) -> list[Record]:
        assert protocol == "classic"
        received: list[Record] = []
        sent = 0
        with (
            self._producer(acks="all", enable_idempotence=True) as producer,
            self._consumer(topic, group) as consumer,
        ):
            consumer.unsubscribe()
            consumer.assign([TopicPartition(topic, 0)])
            for number, part in enumerate(rounds):
                while not Path(folder, f"{number}.go").exists():
                    received += _polled(consumer)
                for future in [self._start(producer, topic, record) for record in part["records"]]:
                    future.get(STEP_S)
                    sent += 1
                while len(received) < sent:
                    received += _polled(consumer)
                Path(folder, f"{number}.done").touch()
        return in_order(received)

    def mix(self, topic: str, records: list[Record]) -> list[list[str]]:
        with self._producer(acks="all", linger_ms=500, enable_idempotence=False) as producer:
            producer.partitions_for(topic)
            sent = [self._start(producer, topic, record) for record in records]
            producer.flush(STEP_S)
            return [outcome_of(one.exception) for one in sent]

    def refuse(self, mode: str, topic: str, good: Record, bad: Record, id: str) -> list[list[str]]:
        attempts = Attempts()

        def open_producer() -> KafkaProducer:
            settings: dict[str, Any] = {"plain": {"enable_idempotence": False}}.get(mode, {"enable_idempotence": True})
            if mode == "transactional":
                settings["transactional_id"] = id
            return KafkaProducer(
                **self._cluster,
                acks="all",
                request_timeout_ms=5_000,
                delivery_timeout_ms=int(REFUSED_S * 1000),
                **settings,
            )

        def send(producer: KafkaProducer, record: Record) -> None:
            self._start(producer, topic, record).get(REFUSED_S)

        if mode != "transactional":
            return refuse_plain(attempts, open_producer, send, good, bad)

        class Use(Transactions):
            def open(self) -> Any:
                producer = open_producer()
                producer.init_transactions()
                return producer

            def begin(self, producer: Any) -> None:
                producer.begin_transaction()

            def send(self, producer: Any, record: Record) -> None:
                send(producer, record)

            def commit(self, producer: Any) -> None:
                producer.commit_transaction()

            def abort(self, producer: Any) -> None:
                producer.abort_transaction()

        return refuse_transaction(attempts, Use(), good, bad)

    @contextlib.contextmanager
    def _admin(self) -> Iterator[Any]:
        admin = KafkaAdminClient(**self._cluster)
        try:
            yield admin
        finally:
            admin.close()

    @contextlib.contextmanager
    def _producer(self, **settings: Any) -> Iterator[KafkaProducer]:
        producer = KafkaProducer(
            **self._cluster,
            max_request_size=LARGEST_BYTES,
            **settings,
        )
        try:
            yield producer
        finally:
            producer.close(5)

    @contextlib.contextmanager
    def _consumer(self, topic: str, group: str, *, isolation: str = "read_uncommitted") -> Iterator[KafkaConsumer]:
        consumer = KafkaConsumer(
            topic,
            **self._cluster,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level=isolation,
            fetch_max_bytes=LARGEST_BYTES,
            max_partition_fetch_bytes=LARGEST_BYTES,
            heartbeat_interval_ms=300,
            session_timeout_ms=6_000,
        )
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False)

    @contextlib.contextmanager
    def _member(self, topic: str, group: str) -> Iterator[KafkaConsumer]:
        """A consumer that a thread of its own polls: a member that rejoins waits for the others within its poll."""
        with self._consumer(topic, group) as consumer:
            leaving = threading.Event()

            def poll() -> None:
                while not leaving.is_set():
                    consumer.poll(100)

            polling = threading.Thread(target=poll)
            polling.start()
            try:
                yield consumer
            finally:
                leaving.set()
                polling.join()

    @staticmethod
    def _start(producer: KafkaProducer, topic: str, record: Record) -> Any:
        return producer.send(
            topic,
            value=value_of(record),
            key=key_of(record),
            partition=record["partition"],
            timestamp_ms=record["timestamp"],
            headers=headers_of(record),
        )


def _polled(consumer: KafkaConsumer) -> list[Record]:
    """What comes within a moment."""
    return [_told(record) for records in consumer.poll(50).values() for record in records]


def _told(record: Any) -> Record:
    return told(
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        timestamp=record.timestamp,
    )


def _owned(partitions: int, *members: KafkaConsumer) -> int:
    """Waits until the members own all partitions between them, each of them some; gives their number."""
    while True:
        counts = [len(member.assignment()) for member in members]
        if all(counts) and sum(counts) == partitions:
            return sum(counts)
        time.sleep(0.05)


if __name__ == "__main__":
    main(UseKafkaPython)
    sys.stdout.flush()
    os._exit(0)  # threads that a hanging call left behind
