"""The end-to-end tests' client by aiokafka."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context

from support.client import CONSUME_S, LARGEST_BYTES, PRODUCE_S, Login, Member, Message, Producer, ProduceRefused
from support.login import AioTokens, access_token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


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
        login: Login | None = None,
        linger_ms: int = 5,
        batch_bytes: int | None = None,
    ) -> AsyncIterator[Producer]:
        """See `Client`."""
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks=acks,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            max_request_size=LARGEST_BYTES,
            linger_ms=linger_ms,
            max_batch_size=batch_bytes or 16_384,
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
        login: Login | None = None,
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
            isolation_level="read_committed",
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


def _from_aio(record: Any) -> Message:
    return Message(
        value=record.value,
        key=record.key,
        headers=tuple(record.headers),
        timestamp_ms=record.timestamp,
        partition=record.partition,
        offset=record.offset,
    )


def _aio_login(login: Login | None) -> dict[str, Any]:
    if login is None:
        return {}
    return {
        "security_protocol": login.protocol,
        "ssl_context": None if login.ca is None else create_ssl_context(cafile=str(login.ca)),
        "sasl_mechanism": login.mechanism,
        "sasl_plain_username": login.user,
        "sasl_plain_password": login.password,
        "sasl_oauth_token_provider": AioTokens(access_token(login.user)) if login.mechanism == "OAUTHBEARER" else None,
    }
