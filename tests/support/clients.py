"""The two client libraries of the end-to-end suite behind one small interface, so that each test is written once."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import confluent_kafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

CONSUME_S = 45.0
PRODUCE_S = 45.0
LARGEST_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One record, as it is sent or as it was received; a field that a test does not care for is left out."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    partition: int = 0
    offset: int | None = field(default=None, compare=False)


class ProduceRefused(Exception):
    """The client library reported an error for a record; `code` is Kafka's, -1 when it gave none."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Producer(Protocol):
    """A running producer."""

    async def send(self, topic: str, messages: Sequence[Message]) -> list[int]:
        """Sends all at once and waits for all; gives their offsets.

        Raises:
            ProduceRefused: the first error among them.
        """
        ...


class Member(Protocol):
    """A member of a consumer group that reads, and commits what it read, for as long as it is open."""

    received: list[Message]

    @property
    def assigned(self) -> frozenset[int]:
        """The partitions that it owns now."""
        ...


class Client(Protocol):
    """One client library."""

    name: str
    invalid_record: int
    """The code that it reports for INVALID_RECORD."""

    def producer(
        self,
        bootstrap: str,
        *,
        acks: int | str = "all",
        codec: str = "none",
        idempotent: bool = False,
        login: tuple[str, str] | None = None,
        linger_ms: int = 5,
    ) -> contextlib.AbstractAsyncContextManager[Producer]:
        """A producer, until the block ends; `acks` is 0, 1 or "all", `login` is user and password of SASL PLAIN."""
        ...

    async def consume(
        self,
        bootstrap: str,
        topic: str,
        count: int,
        *,
        group: str | None = None,
        login: tuple[str, str] | None = None,
        fetch_bytes: int = LARGEST_BYTES,
        timeout_s: float = CONSUME_S,
    ) -> list[Message]:
        """The first `count` messages of a topic; with a group, those after its commit, and they are committed.

        Raises:
            AssertionError: fewer came in time; the text says how many.
        """
        ...

    def member(
        self, bootstrap: str, topic: str, group: str, *, protocol: str = "classic"
    ) -> contextlib.AbstractAsyncContextManager[Member]:
        """A member of a group, running until the block ends; `protocol` is `classic` or `consumer` (KIP-848).

        What it read when a commit fails, it or another member may read again.
        """
        ...


class AioKafka:
    """aiokafka."""

    name = "aiokafka"
    invalid_record = -1  # aiokafka 0.14 has no class for 87 and reports UnknownError

    @contextlib.asynccontextmanager
    async def producer(
        self,
        bootstrap: str,
        *,
        acks: int | str = "all",
        codec: str = "none",
        idempotent: bool = False,
        login: tuple[str, str] | None = None,
        linger_ms: int = 5,
    ) -> AsyncIterator[Producer]:
        """See `Client`."""
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks=acks,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            max_request_size=LARGEST_BYTES,
            linger_ms=linger_ms,
            **_aio_login(login),
        )
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(asyncio.timeout(PRODUCE_S))
            stack.push_async_callback(producer.stop)  # also after a start that failed
            await producer.start()
            yield _AioProducer(producer)

    async def consume(
        self,
        bootstrap: str,
        topic: str,
        count: int,
        *,
        group: str | None = None,
        login: tuple[str, str] | None = None,
        fetch_bytes: int = LARGEST_BYTES,
        timeout_s: float = CONSUME_S,
    ) -> list[Message]:
        """See `Client`."""
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_bytes=fetch_bytes,
            max_partition_fetch_bytes=fetch_bytes,
            **_aio_login(login),
        )
        received: list[Message] = []
        try:
            await consumer.start()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while len(received) < count:
                        batch = await consumer.getmany(timeout_ms=500, max_records=count - len(received))
                        received += [_from_aio(record) for records in batch.values() for record in records]
            assert len(received) >= count, f"{len(received)} of {count} messages of {topic}"
            if group is not None:
                await consumer.commit()
        finally:
            await consumer.stop()
        return received

    @contextlib.asynccontextmanager
    async def member(
        self, bootstrap: str, topic: str, group: str, *, protocol: str = "classic"
    ) -> AsyncIterator[Member]:
        """See `Client`."""
        assert protocol == "classic", "aiokafka knows no other"
        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            heartbeat_interval_ms=300,
            metadata_max_age_ms=2_000,
        )
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(consumer.stop)  # also after a start that failed
            await consumer.start()
            member = _AioMember(consumer)
            reading = asyncio.ensure_future(member.read())
            try:
                yield member
            finally:
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading


class _AioMember:
    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self.received: list[Message] = []

    @property
    def assigned(self) -> frozenset[int]:
        return frozenset(partition.partition for partition in self._consumer.assignment())

    async def read(self) -> None:
        while True:
            batch = await self._consumer.getmany(timeout_ms=100)
            if batch:
                await self._consumer.commit()
            self.received += [_from_aio(record) for records in batch.values() for record in records]


class _AioProducer:
    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, topic: str, messages: Sequence[Message]) -> list[int]:
        sent = [
            await self._producer.send(
                topic,
                value=message.value,
                key=message.key,
                partition=message.partition,
                timestamp_ms=message.timestamp_ms,
                headers=list(message.headers),
            )
            for message in messages
        ]
        results = await asyncio.gather(*sent, return_exceptions=True)
        for result in results:
            if isinstance(result, KafkaError):
                raise ProduceRefused(result.errno, type(result).__name__)
            if isinstance(result, BaseException):
                raise result
        return [-1 if result is None else result.offset for result in cast("list[Any]", results)]


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
        login: tuple[str, str] | None = None,
        linger_ms: int = 5,
    ) -> AsyncIterator[Producer]:
        """See `Client`."""
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
        login: tuple[str, str] | None = None,
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
                "fetch.wait.max.ms": 100,
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
        partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
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


def _from_aio(record: Any) -> Message:
    return Message(
        value=record.value,
        key=record.key,
        headers=tuple(record.headers),
        timestamp_ms=record.timestamp,
        partition=record.partition,
        offset=record.offset,
    )


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


def _aio_login(login: tuple[str, str] | None) -> dict[str, Any]:
    if login is None:
        return {}
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": login[0],
        "sasl_plain_password": login[1],
    }


def _confluent_login(login: tuple[str, str] | None) -> dict[str, Any]:
    if login is None:
        return {}
    return {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": login[0],
        "sasl.password": login[1],
    }


CLIENTS: tuple[Client, ...] = (AioKafka(), Confluent())
