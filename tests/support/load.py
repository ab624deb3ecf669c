"""Producers and consumers that run while something happens to a cluster, and the check that nothing came of it.

Producers are idempotent, of both libraries, and write numbered customers under a key of their own to every partition: half
of the records to a topic that is masked when it is stored, half to one that is masked when it is read. One more producer
writes in transactions and aborts every third. Consumers read committed records of all partitions from the start, without a
group, so that what they got can be compared record by record.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import confluent_kafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import TopicPartition

from support.customers import customer, is_masked
from support.wait import eventually_async

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

GIVEN_UP_S = 120
"""When a client may give up on a record: longer than anything that a test does to the cluster."""

STOP_S = 10
"""How long the clients of a load that failed have for their farewell."""

PACE_S = 0.1
"""Between two rounds of a producer, so that two cores also have time for the brokers."""

BURST = 4
WINDOW = 60
"""Records that a producer has under way at most, give or take a round."""

ABORTED = b"aborted"
QUICK_S = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 500, "retry.backoff.ms": 50, "log_level": 0}

Place = tuple[str, int]
"""A topic and a partition."""

Stored = tuple[bytes, bytes]
"""Key and value of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How much a load did."""

    acknowledged: int
    transactions: int


class Load:
    """Runs for the length of an `async with` block; `check` afterwards.

    Args:
        bootstrap: what clients are given.
        direct: where the check reads what is stored, without a proxy.
        stored: a topic that is masked at produce.
        viewed: a topic that is masked at fetch.
        partitions: how many both topics have.
        rebootstraps: leave out aiokafka, which never goes back to its bootstrap list.
    """

    def __init__(
        self, *, bootstrap: str, direct: str, stored: str, viewed: str, partitions: int, rebootstraps: bool = False
    ) -> None:
        self._bootstrap = bootstrap
        self._direct = direct
        self._stored, self._viewed = stored, viewed
        self._topics = (stored, viewed)
        self._places = [(topic, partition) for topic in self._topics for partition in range(partitions)]
        self._rebootstraps = rebootstraps
        self._done = threading.Event()  # no more is produced
        self._read = threading.Event()  # no more is read
        self._given_up = threading.Event()  # nobody waits for what is under way
        self._sent: dict[bytes, int] = defaultdict(int)
        self._errors: list[str] = []
        self._transactions = 0
        self._received: dict[str, dict[Place, list[Stored]]] = {}
        self._producing: list[asyncio.Future[None]] = []
        self._reading: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> Self:
        self._producing = [
            asyncio.ensure_future(asyncio.to_thread(self._produce_confluent)),
            asyncio.ensure_future(asyncio.to_thread(self._transact)),
        ]
        self._reading = [asyncio.ensure_future(asyncio.to_thread(self._read_confluent))]
        if not self._rebootstraps:
            self._producing.append(asyncio.ensure_future(self._produce_aio()))
            self._reading.append(asyncio.ensure_future(self._read_aio()))
        try:
            await self.progress()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            await self._stop()
            return
        self._done.set()
        try:
            await asyncio.gather(*self._producing)
            await self._wait_for_readers()
        finally:
            await self._stop()
        for task in self._reading:
            task.result()

    async def _stop(self) -> None:
        """Ends all clients, whatever they have under way."""
        self._done.set()
        self._read.set()
        self._given_up.set()
        _, left = await asyncio.wait([*self._producing, *self._reading], timeout=STOP_S)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def progress(self, records: int = 2 * BURST) -> None:
        """Waits until every producer has had that many more records of one partition acknowledged, and every reader has got some more."""
        sent, got = dict(self._sent), self._counts()

        async def has_gone_on() -> bool:
            for task in (*self._producing, *self._reading):
                if task.done():
                    task.result()
            ahead = {_producer(key) for key, count in list(self._sent.items()) if count >= sent.get(key, 0) + records}
            counts = self._counts()
            read_on = all(count > got.get(name, 0) for name, count in counts.items())
            return len(ahead) == len(self._producing) and len(counts) == len(self._reading) and read_on

        await eventually_async(has_gone_on, timeout_s=GIVEN_UP_S, what="the load going on")

    def check(self) -> Figures:
        """Nothing lost, nothing doubled, nothing out of order, nothing that should be masked seen or stored."""
        assert not self._errors, self._errors[:3]
        stored = _read_all(self._direct, self._topics)
        sequences: dict[bytes, list[int]] = defaultdict(list)
        for (topic, _), records in stored.items():
            for key, value in records:
                number = int(json.loads(value)["id"])
                sequences[key].append(number)
                assert key != ABORTED, "a record of an aborted transaction is committed"
                intact = is_masked(value, number) if topic == self._stored else value == customer(number)
                assert intact, f"record {number} of {topic} was stored otherwise than it should be"
        lengths = {key: len(numbers) for key, numbers in sequences.items()}
        assert lengths == dict(self._sent), "what is stored is not what was acknowledged"
        for key, numbers in sequences.items():
            assert numbers == list(range(len(numbers))), f"records of {key!r} are lost, doubled or out of order"

        for name, received in self._received.items():
            for place in self._places:
                keys = [(key, json.loads(value)["id"]) for key, value in stored.get(place, [])]
                seen = [(key, json.loads(value)["id"]) for key, value in received[place]]
                assert seen == keys, f"{name} did not read what is stored in {place}"
                masked = [is_masked(value, int(json.loads(value)["id"])) for _, value in received[place]]
                assert all(masked), f"{name} read something unmasked from {place}"
        return Figures(acknowledged=sum(self._sent.values()), transactions=self._transactions)

    def _counts(self) -> dict[str, int]:
        return {name: sum(map(len, places.values())) for name, places in list(self._received.items())}

    async def _wait_for_readers(self) -> None:
        expected = sum(self._sent.values())

        async def have_read_all() -> bool:
            for task in self._reading:
                if task.done():
                    task.result()
            return all(count >= expected for count in self._counts().values())

        await eventually_async(have_read_all, timeout_s=GIVEN_UP_S, what="the readers at the end")

    # librdkafka.

    def _produce_confluent(self) -> None:
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": GIVEN_UP_S * 1000,
                **QUICK_S,
            }
        )
        under_way = 0

        def delivered(error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message) -> None:
            nonlocal under_way
            under_way -= 1
            key = message.key()
            assert isinstance(key, bytes)
            if error is not None:
                self._errors.append(f"librdkafka: {error.name()}")
            self._sent[key] += 1

        numbers: dict[Place, int] = defaultdict(int)
        while not self._done.is_set():
            for place in self._places if under_way < WINDOW else ():
                key = _key("librdkafka", place)
                for number in range(numbers[place], numbers[place] + BURST):
                    under_way += 1
                    producer.produce(
                        place[0], key=key, value=customer(number), partition=place[1], on_delivery=delivered
                    )
                numbers[place] += BURST
            self._done.wait(PACE_S)
            producer.poll(0)
        left = self._flush(producer)
        assert not left, f"librdkafka did not deliver {left} records"

    def _transact(self) -> None:
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self._bootstrap,
                "transactional.id": self._stored,
                "linger.ms": 5,
                "transaction.timeout.ms": GIVEN_UP_S * 1000,
                **QUICK_S,
            }
        )
        self._patiently(producer.init_transactions)
        first = 0
        while not self._done.is_set():
            self._transactions += 1
            abort = self._transactions % 3 == 0
            producer.begin_transaction()
            for place in self._places:
                for number in range(first, first + BURST):
                    key = ABORTED if abort else _key("transaction", place)
                    producer.produce(place[0], key=key, value=customer(number), partition=place[1])
            if abort:
                self._flush(producer)  # so that there is something stored to be aborted
            if abort or not self._is_committed(producer):
                self._patiently(producer.abort_transaction)
                continue
            first += BURST
            for place in self._places:
                self._sent[_key("transaction", place)] += BURST
            self._done.wait(PACE_S)

    def _flush(self, producer: confluent_kafka.Producer) -> int:
        """Waits until all is delivered, and gives how many records are not."""
        deadline = time.monotonic() + GIVEN_UP_S
        while (left := producer.flush(1)) and not self._given_up.is_set() and time.monotonic() < deadline:
            pass
        return left

    def _patiently(self, step: Callable[[float], None]) -> None:
        """Repeats a step of a transaction for as long as librdkafka says that it may succeed."""
        deadline = time.monotonic() + GIVEN_UP_S
        while True:
            try:
                step(5)
            except confluent_kafka.KafkaException as error:
                if not error.args[0].retriable() or self._given_up.is_set() or time.monotonic() > deadline:
                    raise
            else:
                return

    def _is_committed(self, producer: confluent_kafka.Producer) -> bool:
        """Commits; False where librdkafka says that this transaction has to be aborted and may be tried again."""
        try:
            self._patiently(producer.commit_transaction)
        except confluent_kafka.KafkaException as error:
            if not error.args[0].txn_requires_abort():
                raise
            return False
        return True

    def _read_confluent(self) -> None:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "none",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "isolation.level": "read_committed",
                **QUICK_S,
            }
        )
        received = self._received["librdkafka"] = {place: [] for place in self._places}
        consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for topic, number in self._places])
        try:
            while not self._read.is_set():
                for message in consumer.consume(500, timeout=0.1):
                    if message.error() is None:
                        received[_place(message)].append(_stored(message))
        finally:
            consumer.close()

    # aiokafka.

    async def _produce_aio(self) -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            enable_idempotence=True,
            linger_ms=5,
            request_timeout_ms=GIVEN_UP_S * 1000,
            retry_backoff_ms=50,
        )
        await producer.start()
        try:
            numbers: dict[Place, int] = defaultdict(int)
            under_way: deque[tuple[bytes, asyncio.Future[Any]]] = deque()
            while not self._done.is_set():
                for place in self._places:
                    key = _key("aiokafka", place)
                    for _ in range(BURST):
                        value = customer(numbers[place])
                        numbers[place] += 1
                        under_way.append((key, await producer.send(place[0], value=value, key=key, partition=place[1])))
                while under_way and (len(under_way) > WINDOW or under_way[0][1].done()):
                    await self._acknowledge(*under_way.popleft())
                await asyncio.sleep(PACE_S)
            for waiting in under_way:
                await self._acknowledge(*waiting)
        finally:
            await producer.stop()

    async def _acknowledge(self, key: bytes, result: asyncio.Future[Any]) -> None:
        await result
        self._sent[key] += 1

    async def _read_aio(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
            retry_backoff_ms=50,
        )
        received = self._received["aiokafka"] = {place: [] for place in self._places}
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, number) for topic, number in self._places])
            await consumer.seek_to_beginning()
            while not self._read.is_set():
                for place, records in (await consumer.getmany(timeout_ms=100)).items():
                    received[place.topic, place.partition] += [(record.key, record.value) for record in records]
        finally:
            await consumer.stop()


def _key(producer: str, place: Place) -> bytes:
    return f"{producer} {place[0].partition('-')[0]} {place[1]}".encode()


def _producer(key: bytes) -> bytes:
    """Whose record it is: the first word of its key."""
    return key.partition(b" ")[0]


def _place(message: confluent_kafka.Message) -> Place:
    topic, partition = message.topic(), message.partition()
    assert topic is not None
    assert partition is not None
    return topic, partition


def _stored(message: confluent_kafka.Message) -> Stored:
    key, value = message.key(), message.value()
    assert isinstance(key, bytes)
    assert isinstance(value, bytes)
    return key, value


def _read_all(bootstrap: str, topics: tuple[str, ...]) -> dict[Place, list[Stored]]:
    """All committed records of the topics, up to the end of each partition."""
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "none",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            **QUICK_S,
        }
    )
    found: dict[Place, list[Stored]] = defaultdict(list)
    try:
        places = [
            (topic, number) for topic in topics for number in consumer.list_topics(topic, 10).topics[topic].partitions
        ]
        consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for topic, number in places])
        unfinished = set(places)
        deadline = time.monotonic() + GIVEN_UP_S
        while unfinished:
            assert time.monotonic() < deadline, f"no end of {unfinished}"
            for message in consumer.consume(500, timeout=0.1):
                error = message.error()
                if error is None:
                    found[_place(message)].append(_stored(message))
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    unfinished.discard(_place(message))
    finally:
        consumer.close()
    return dict(found)
