"""The end-to-end tests' client by confluent-kafka, which is librdkafka."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import confluent_kafka

from support.client import CONSUME_S, LARGEST_BYTES, PRODUCE_S, Login, Member, Message, Producer, ProduceRefused
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class Confluent:
    """confluent-kafka, which is librdkafka."""

    name = "confluent"
    invalid_record = 87

    @contextlib.asynccontextmanager
    async def producer(
        self,
        bootstrap: str,
        *,
        acks: int | str = "all",
        codec: str = "none",
        idempotent: bool = False,
        login: Login | None = None,
        linger_ms: int = 5,
        batch_bytes: int | None = None,
    ) -> AsyncIterator[Producer]:
        """See `Client`."""
        batches = {} if batch_bytes is None else {"batch.size": batch_bytes, "batch.num.messages": 1_000_000}
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": acks,
                "compression.codec": codec,
                "enable.idempotence": idempotent,
                "message.max.bytes": LARGEST_BYTES,
                "linger.ms": linger_ms,
                "message.timeout.ms": int(PRODUCE_S * 1000),
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
                **batches,
                **_confluent_login(login),
            }
        )
        yield _ConfluentProducer(producer)
        await asyncio.to_thread(producer.flush, PRODUCE_S)

    async def consume(
        self,
        bootstrap: str,
        topic: str,
        count: int,
        *,
        group: str | None = None,
        login: Login | None = None,
        fetch_bytes: int = LARGEST_BYTES,
        timeout_s: float = CONSUME_S,
    ) -> list[Message]:
        """See `Client`."""
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group or "none",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": fetch_bytes,
                "fetch.max.bytes": fetch_bytes,
                "message.max.bytes": min(fetch_bytes, LARGEST_BYTES),
                "receive.message.max.bytes": fetch_bytes + 4096,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
                **_confluent_login(login),
            }
        )
        try:
            return await asyncio.to_thread(_confluent_read, consumer, topic, count, timeout_s, commit=group is not None)
        finally:
            await asyncio.to_thread(consumer.close)

    @contextlib.asynccontextmanager
    async def member(
        self, bootstrap: str, topic: str, group: str, *, protocol: str = "classic"
    ) -> AsyncIterator[Member]:
        """See `Client`."""
        # The times of the other protocol are the broker's to say.
        times = {"heartbeat.interval.ms": 300, "session.timeout.ms": 6_000} if protocol == "classic" else {}
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "group.protocol": protocol,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 100,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
                **times,
            }
        )
        member = _ConfluentMember(consumer, topic)
        reading = asyncio.ensure_future(asyncio.to_thread(member.read))
        try:
            yield member
        finally:
            member.stop.set()
            await reading
            await asyncio.to_thread(consumer.close)


class _ConfluentMember:
    def __init__(self, consumer: confluent_kafka.Consumer, topic: str) -> None:
        self._consumer = consumer
        self.received: list[Message] = []
        # Kept by the callbacks: consumer.assignment() from another thread can wait for ever during a rebalance.
        self.assigned: frozenset[int] = frozenset()
        self.stop = threading.Event()
        consumer.subscribe([topic], on_assign=self._assign, on_revoke=self._revoke)

    def _assign(self, _consumer: object, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self.assigned |= {partition.partition for partition in partitions}

    def _revoke(self, _consumer: object, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self.assigned -= {partition.partition for partition in partitions}

    def read(self) -> None:
        while not self.stop.is_set():
            batch = [message for message in self._consumer.consume(500, timeout=0.1) if message.error() is None]
            if batch:
                with contextlib.suppress(confluent_kafka.KafkaException):
                    self._consumer.commit(asynchronous=False)
            self.received += [_from_confluent(message) for message in batch]


def _confluent_read(
    consumer: confluent_kafka.Consumer, topic: str, count: int, timeout_s: float, *, commit: bool
) -> list[Message]:
    if commit:
        consumer.subscribe([topic])
    else:
        partitions = eventually(partial(_partitions, consumer, topic), timeout_s=timeout_s, what=f"what {topic} has")
        consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in partitions])
    received: list[Message] = []
    deadline = time.monotonic() + timeout_s
    while len(received) < count and time.monotonic() < deadline:
        for message in consumer.consume(min(count - len(received), 500), timeout=0.5):
            if (error := message.error()) is None:
                received.append(_from_confluent(message))
            elif error.code() == confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED:
                raise AssertionError(error.str())
    assert len(received) >= count, f"{len(received)} of {count} messages of {topic}"
    if commit:
        consumer.commit(asynchronous=False)
    return received


def _partitions(consumer: confluent_kafka.Consumer, topic: str) -> list[int]:
    try:
        return list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
    except confluent_kafka.KafkaException as error:  # a request for metadata is not asked again by itself
        raise AssertionError(error.args[0].name()) from error


class _ConfluentProducer:
    def __init__(self, producer: confluent_kafka.Producer) -> None:
        self._producer = producer

    async def send(self, topic: str, messages: Sequence[Message]) -> list[int]:
        return await asyncio.to_thread(self._send, topic, messages)

    def _send(self, topic: str, messages: Sequence[Message]) -> list[int]:
        offsets: list[int | None] = [None] * len(messages)
        errors: list[confluent_kafka.KafkaError] = []

        def delivered(place: int, error: confluent_kafka.KafkaError | None, message: Any) -> None:
            if error is not None:
                errors.append(error)
            offset = message.offset()
            offsets[place] = -1 if offset is None else offset

        for place, message in enumerate(messages):
            optional: dict[str, Any] = {} if message.timestamp_ms is None else {"timestamp": message.timestamp_ms}
            while True:
                try:
                    self._producer.produce(
                        topic,
                        value=message.value,
                        key=message.key,
                        headers=cast("Any", list(message.headers)),
                        partition=message.partition,
                        on_delivery=partial(delivered, place),
                        **optional,
                    )
                    break
                except BufferError:
                    self._producer.poll(0.1)
        left = self._producer.flush(PRODUCE_S)
        if errors:
            raise ProduceRefused(errors[0].code(), errors[0].name())
        assert not left, f"{left} messages were not delivered"
        return [-1 if offset is None else offset for offset in offsets]


def _from_confluent(message: confluent_kafka.Message) -> Message:
    partition, offset = message.partition(), message.offset()
    assert partition is not None
    return Message(
        value=_bytes(message.value()),
        key=_bytes(message.key()),
        headers=tuple((name, _bytes(content)) for name, content in cast("list[Any]", message.headers() or [])),
        timestamp_ms=message.timestamp()[1],
        partition=partition,
        offset=offset,
    )


def _bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


def _confluent_login(login: Login | None) -> dict[str, Any]:
    if login is None:
        return {}
    who: dict[str, Any] = {"sasl.username": login.user, "sasl.password": login.password}
    if login.mechanism == "OAUTHBEARER":
        who = {"enable.sasl.oauthbearer.unsecure.jwt": True, "sasl.oauthbearer.config": f"principal={login.user}"}
    return {
        "security.protocol": login.protocol,
        "sasl.mechanism": login.mechanism,
        **who,
        **({} if login.ca is None else {"ssl.ca.location": str(login.ca)}),
    }
