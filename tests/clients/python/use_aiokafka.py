"""The client program for aiokafka."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition
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

T = TypeVar("T")


class UseAiokafka:
    """See the README; the library is asynchronous, and its steps run on one loop."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._runner = asyncio.Runner()

    def create(self, topics: list[dict[str, Any]]) -> str:
        async def step() -> str:
            async with self._admin() as admin:
                made = [
                    NewTopic(topic["name"], topic["partitions"], 1, topic_configs=topic.get("config", {}))
                    for topic in topics
                ]
                answer = await admin.create_topics(made)
                assert all(error[1] == 0 for error in answer.topic_errors), answer
            return "created"

        return self._run(step())

    def inspect(self, topic: str, config: str, group: str, partitions: int) -> dict[str, Any]:
        async def step() -> dict[str, Any]:
            async with self._admin() as admin:
                (found,) = await admin.describe_topics([topic])
                (described,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
                settings = {entry[0]: entry[1] for entry in described.resources[0][4]}
                committed = await admin.list_consumer_group_offsets(group)
                cluster = await admin.describe_cluster()
            return {
                "partitions": len(found["partitions"]),
                "config": settings[config],
                "committed": sorted([part.partition, kept.offset] for part, kept in committed.items()),
                "brokers": [[broker["node_id"], f"{broker['host']}:{broker['port']}"] for broker in cluster["brokers"]],
            }

        return self._run(step())

    def delete(self, topics: list[str]) -> str:
        async def step() -> str:
            async with self._admin() as admin:
                answer = await admin.delete_topics(topics)
                assert all(error[1] == 0 for error in answer.topic_error_codes), answer
            return "deleted"

        return self._run(step())

    def produce(
        self, topic: str, records: list[Record], acks: int | str, codec: str, idempotent: bool, linger: int
    ) -> list[list[int]]:
        async def step() -> list[list[int]]:
            async with self._producer(
                acks=acks,
                compression_type=None if codec == "none" else codec,
                enable_idempotence=idempotent,
                linger_ms=0,  # the library lingers for each batch on its own, and would send them one by one
            ) as producer:
                await producer.partitions_for(topic)
                # Without a turn of the loop between two of them, so that one request takes all.
                sent = await asyncio.gather(*(self._send(producer, topic, record) for record in records))
                return sorted([done.partition, done.offset] for done in await asyncio.gather(*sent))

        return self._run(step())

    def consume(self, topic: str, count: int, group: str, isolation: str, protocol: str) -> list[Record]:
        assert protocol == "classic"

        async def step() -> list[Record]:
            received: list[Record] = []
            async with self._consumer(topic, group, isolation=isolation) as consumer:
                while len(received) < count:
                    batch = await consumer.getmany(timeout_ms=500, max_records=count - len(received))
                    received += [_told(record) for records in batch.values() for record in records]
                await consumer.commit()
            return in_order(received)

        return self._run(step())

    def transact(self, topic: str, id: str, rounds: list[dict[str, Any]]) -> list[str]:
        async def step() -> list[str]:
            ends = []
            async with self._producer(transactional_id=id) as producer:
                for part in rounds:
                    await producer.begin_transaction()
                    sent = [await self._send(producer, topic, record) for record in part["records"]]
                    await asyncio.gather(*sent)
                    if offsets := part.get("offsets"):
                        where = TopicPartition(offsets["topic"], offsets["partition"])
                        await producer.send_offsets_to_transaction({where: offsets["offset"]}, offsets["group"])
                    if part["end"] == "commit":
                        await producer.commit_transaction()
                        ends.append("committed")
                    else:
                        await producer.abort_transaction()
                        ends.append("aborted")
            return ends

        return self._run(step())

    def rebalance(self, topic: str, group: str, partitions: int, protocol: str) -> dict[str, int]:
        assert protocol == "classic"

        async def step() -> dict[str, int]:
            async with self._consumer(topic, group) as first:
                alone = await _owned(partitions, first)
                async with self._consumer(topic, group) as second:
                    shared = await _owned(partitions, first, second)
                return {"alone": alone, "shared": shared, "again": await _owned(partitions, first)}

        return self._run(step())

    def mix(self, topic: str, records: list[Record]) -> list[list[str]]:
        async def step() -> list[list[str]]:
            async with self._producer(linger_ms=0) as producer:
                await producer.partitions_for(topic)
                # Without a turn of the loop between two of them, so that one batch takes all.
                sent = await asyncio.gather(*(self._send(producer, topic, record) for record in records))
                return [outcome_of(done) for done in await asyncio.gather(*sent, return_exceptions=True)]

        return self._run(step())

    def refuse(self, mode: str, topic: str, good: Record, bad: Record, id: str) -> list[list[str]]:
        # The library's calls belong to one loop, so it runs in a thread of its own here and the attempts come to it.
        loop = asyncio.new_event_loop()
        attempts = Attempts()
        threading.Thread(target=loop.run_forever, daemon=True).start()

        def wait(coroutine: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(coroutine, loop).result(STEP_S)

        async def open_producer() -> AIOKafkaProducer:
            settings: dict[str, Any] = {"plain": {}, "idempotent": {"enable_idempotence": True}}.get(
                mode, {"transactional_id": id}
            )
            producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, **settings)
            await producer.start()
            return producer

        async def send(producer: AIOKafkaProducer, record: Record) -> None:
            await asyncio.wait_for(await self._send(producer, topic, record), REFUSED_S)

        if mode != "transactional":
            return refuse_plain(
                attempts,
                lambda: wait(open_producer()),
                lambda producer, record: wait(send(producer, record)),
                good,
                bad,
            )

        class Use(Transactions):
            def open(self) -> Any:
                return wait(open_producer())

            def begin(self, producer: Any) -> None:
                wait(producer.begin_transaction())

            def send(self, producer: Any, record: Record) -> None:
                wait(send(producer, record))

            def commit(self, producer: Any) -> None:
                wait(producer.commit_transaction())

            def abort(self, producer: Any) -> None:
                wait(producer.abort_transaction())

        return refuse_transaction(attempts, Use(), good, bad)

    def _run(self, step: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(asyncio.wait_for(step, STEP_S))

    @staticmethod
    async def _send(producer: AIOKafkaProducer, topic: str, record: Record) -> Any:
        return await producer.send(
            topic,
            value=value_of(record),
            key=key_of(record),
            partition=record["partition"],
            timestamp_ms=record["timestamp"],
            headers=headers_of(record),
        )

    @contextlib.asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    @contextlib.asynccontextmanager
    async def _producer(self, **settings: Any) -> AsyncIterator[AIOKafkaProducer]:
        producer = AIOKafkaProducer(bootstrap_servers=self._bootstrap, max_request_size=LARGEST_BYTES, **settings)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()

    @contextlib.asynccontextmanager
    async def _consumer(
        self, topic: str, group: str, *, isolation: str = "read_uncommitted"
    ) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self._bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level=isolation,
            fetch_max_bytes=LARGEST_BYTES,
            max_partition_fetch_bytes=LARGEST_BYTES,
            heartbeat_interval_ms=300,
            session_timeout_ms=6_000,
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


def _told(record: Any) -> Record:
    return told(
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        value=record.value,
        headers=record.headers,
        timestamp=record.timestamp,
    )


async def _owned(partitions: int, *members: AIOKafkaConsumer) -> int:
    """Polls until the members own all partitions between them, each of them some; gives their number."""
    while True:
        await asyncio.gather(*(member.getmany(timeout_ms=100) for member in members))
        counts = [len(member.assignment()) for member in members]
        if all(counts) and sum(counts) == partitions:
            return sum(counts)


if __name__ == "__main__":
    main(UseAiokafka)
    sys.stdout.flush()
    os._exit(0)  # threads that a hanging call left behind
