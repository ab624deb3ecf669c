"""Groups whose members come and go while brokers and proxies restart: every record is read, and masked."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable

import pytest

from support.clients import Confluent, Member, Message, Producer
from support.customers import customer, is_masked
from support.kafka import KafkaCluster
from support.leaders import wait_in_sync
from support.proxy import ProxyProcess
from support.wait import eventually_async

pytestmark = [
    pytest.mark.broker,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("nobody_goes_round"),
]

PARTITIONS = 4
PACE_S = 0.1
PATIENCE_S = 90
PROTOCOLS = ["classic", "consumer"]
LIBRDKAFKA = Confluent()

Front = Callable[..., ProxyProcess]


class Group:
    """Members of one group; those that left still tell what they read."""

    def __init__(self, proxy: ProxyProcess, topic: str, protocol: str) -> None:
        self._proxy, self._topic, self._protocol = proxy, topic, protocol
        self._running: dict[Member, contextlib.AsyncExitStack] = {}
        self._all: list[Member] = []

    async def join(self) -> None:
        """One more member; returns before it has a part."""
        stack = contextlib.AsyncExitStack()
        member = await stack.enter_async_context(
            LIBRDKAFKA.member(self._proxy.bootstrap, self._topic, self._topic, protocol=self._protocol)
        )
        self._running[member] = stack
        self._all.append(member)

    async def leave(self) -> None:
        """The member that is there for longest leaves."""
        await self._running.pop(next(iter(self._running))).aclose()

    async def leave_all(self) -> None:
        """Ends all members."""
        while self._running:
            await self.leave()

    async def share_all(self) -> None:
        """Waits until each partition has one owner, and each member a part."""

        async def is_shared() -> bool:
            parts = [member.assigned for member in self._running]
            return all(parts) and sorted(number for part in parts for number in part) == list(range(PARTITIONS))

        await eventually_async(is_shared, timeout_s=PATIENCE_S, what="every partition with one owner")

    def read(self) -> dict[int, bytes]:
        """The values that came, by the number of the customer in them."""
        values = [message.value or b"" for member in self._all for message in list(member.received)]
        return {int(json.loads(value)["id"]): value for value in values}

    async def have_read(self, count: int) -> None:
        """Waits until the members have read all of so many customers."""

        async def is_read() -> bool:
            return len(self.read()) >= count

        await eventually_async(is_read, timeout_s=PATIENCE_S, what="every record read")


class Feed:
    """Numbered customers, sent without an end."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self.sent = 0
        self._producer, self._topic = producer, topic
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Sends a few at a time until `stop`; each is acknowledged before the next."""
        for first in itertools.count(step=PARTITIONS):
            numbers = range(first, first + PARTITIONS)
            values = [Message(value=customer(number), partition=number % PARTITIONS) for number in numbers]
            await self._producer.send(self._topic, values)
            self.sent += PARTITIONS
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._done.wait(), PACE_S)
            if self._done.is_set():
                return

    def stop(self) -> None:
        """Sends no more."""
        self._done.set()


@contextlib.asynccontextmanager
async def group_under_load(proxy: ProxyProcess, topic: str, protocol: str) -> AsyncIterator[Group]:
    """Two members of a group that share a topic which fills; afterwards all of it must have been read, masked."""
    group = Group(proxy, topic, protocol)
    async with LIBRDKAFKA.producer(proxy.bootstrap, idempotent=True) as producer:
        feed = Feed(producer, topic)
        feeding = asyncio.ensure_future(feed.run())
        try:
            for _ in range(2):
                await group.join()
            await group.share_all()
            yield group
            await group.share_all()
            feed.stop()
            await feeding
            await group.have_read(feed.sent)
        finally:
            feed.stop()
            await asyncio.gather(feeding, return_exceptions=True)
            await group.leave_all()
    values = group.read()
    assert sorted(values) == list(range(feed.sent))
    assert all(is_masked(value, number) for number, value in values.items())


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_group_rebalances_while_brokers_restart(
    protocol: str, front: Front, cluster: KafkaCluster, replicated: Callable[..., str]
) -> None:
    topic = replicated("viewed", partitions=PARTITIONS)

    async with group_under_load(front(), topic, protocol) as group:
        for number, broker in enumerate(cluster.brokers.values()):
            # Members come and go while the broker is down, so that it may be the coordinator which they lack.
            await asyncio.gather(asyncio.to_thread(broker.restart), group.leave() if number % 2 else group.join())
            await group.share_all()
            await asyncio.to_thread(wait_in_sync, cluster, topic, "__consumer_offsets")


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_group_rebalances_while_the_proxy_restarts(
    protocol: str, front: Front, replicated: Callable[..., str]
) -> None:
    proxy, topic = front(), replicated("viewed", partitions=PARTITIONS)

    async with group_under_load(proxy, topic, protocol) as group:
        for number, kill in enumerate((False, True)):
            await asyncio.gather(
                asyncio.to_thread(proxy.restart, kill=kill), group.leave() if number % 2 else group.join()
            )
            await group.share_all()
