"""Three brokers under load, and all that an operator or a fault does to them: records arrive once, in order and masked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from support.kafka import KafkaBroker, KafkaCluster
from support.leaders import elect_preferred, leaders, move_leader, reassign, replicas, wait_in_sync
from support.load import Load
from support.proxy import ProxyProcess
from support.tripwire import Tripwires, hidden_upstream, strangers

pytestmark = [
    pytest.mark.broker,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("nobody_goes_round"),
]

Front = Callable[..., ProxyProcess]
Topics = tuple[str, str]

PARTITIONS = 3


@pytest.fixture
def topics(replicated: Callable[..., str]) -> Topics:
    """One that is masked at produce and one that is masked at fetch."""
    return replicated("stored", partitions=PARTITIONS), replicated("viewed", partitions=PARTITIONS)


@asynccontextmanager
async def load(cluster: KafkaCluster, topics: Topics, *proxies: ProxyProcess, **options: bool) -> AsyncIterator[Load]:
    """Runs a load through the proxies, checks it, and checks that nobody but they spoke to the brokers."""
    running = Load(
        bootstrap=",".join(proxy.bootstrap for proxy in proxies),
        direct=cluster.bootstrap,
        stored=topics[0],
        viewed=topics[1],
        partitions=PARTITIONS,
        **options,
    )
    async with running:
        yield running
        await running.progress()
        assert not strangers(cluster, *(proxy.pid for proxy in proxies if proxy.running))
    figures = await asyncio.to_thread(running.check)
    print(f"{figures.acknowledged} records acknowledged, {figures.transactions} transactions")


async def test_leaders_move(front: Front, cluster: KafkaCluster, topics: Topics) -> None:
    proxy = front()

    async with load(cluster, topics, proxy) as running:
        for node in (12, 5, 7):
            for topic in topics:
                for partition in range(PARTITIONS):
                    await asyncio.to_thread(move_leader, cluster, topic, partition, node)
            await running.progress()

    assert {leaders(cluster, topic)[partition] for topic in topics for partition in range(PARTITIONS)} == {7}


async def test_rolling_restart_and_preferred_election(front: Front, cluster: KafkaCluster, topics: Topics) -> None:
    proxy = front()

    async with load(cluster, topics, proxy) as running:
        for broker in cluster.brokers.values():
            await asyncio.to_thread(broker.restart)
            await asyncio.to_thread(wait_in_sync, cluster, *topics)
        for topic in topics:
            await asyncio.to_thread(elect_preferred, cluster, topic, range(PARTITIONS))
        await running.progress()

    for topic in topics:
        assert leaders(cluster, topic) == {partition: nodes[0] for partition, nodes in replicas(cluster, topic).items()}


async def test_broker_killed_and_brought_back(front: Front, cluster: KafkaCluster, topics: Topics) -> None:
    proxy = front()
    victim = cluster.brokers[leaders(cluster, topics[0])[0]]

    async with load(cluster, topics, proxy) as running:
        await asyncio.to_thread(victim.kill)
        await running.progress()
        await asyncio.to_thread(victim.start)
        await asyncio.to_thread(wait_in_sync, cluster, *topics)

    assert victim.running
