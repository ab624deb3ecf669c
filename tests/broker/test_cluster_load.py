"""Three brokers under load, and all that an operator or a fault does to them: records arrive once, in order and masked."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from support.batches import write_batch
from support.capture import RawClient
from support.forwarder import Forwarder
from support.kafka import KafkaCluster
from support.leaders import elect_preferred, leaders, move_leader, reassign, replicas, wait_in_sync
from support.load import Load
from support.ports import PortBlock
from support.proxy import ProxyProcess
from support.requests import ask_produce, brokers_told
from support.tripwire import Tripwires, strangers

pytestmark = [
    pytest.mark.broker,
    pytest.mark.xdist_group("cluster"),
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("nobody_goes_round"),
]

Front = Callable[..., ProxyProcess]
Topics = tuple[str, str]

PARTITIONS = 3
ENOUGH = 500
"""Records, for a load to be one."""


@pytest.fixture
def topics(replicated: Callable[..., str]) -> Topics:
    """One that is masked at produce and one that is masked at fetch."""
    return replicated("stored", partitions=PARTITIONS), replicated("viewed", partitions=PARTITIONS)


@asynccontextmanager
async def load(
    cluster: KafkaCluster,
    topics: Topics,
    *proxies: ProxyProcess,
    bootstrap: str = "",
    rebootstraps: bool = False,
    beside: tuple[int, ...] = (),
) -> AsyncIterator[Load]:
    """Runs a load through the proxies, checks it, and checks that nobody but they (and `beside`) spoke to the brokers."""
    running = Load(
        bootstrap=bootstrap or ",".join(proxy.bootstrap for proxy in proxies),
        direct=cluster.bootstrap,
        stored=topics[0],
        viewed=topics[1],
        partitions=PARTITIONS,
        rebootstraps=rebootstraps,
    )
    async with running:
        yield running
        await running.progress()
        assert not strangers(cluster, *beside, *(proxy.pid for proxy in proxies if proxy.running))
    figures = await asyncio.to_thread(running.check)
    assert figures.acknowledged > ENOUGH
    assert figures.transactions > 1


async def test_leaders_move(front: Front, cluster: KafkaCluster, topics: Topics) -> None:
    proxy = front()

    async with load(cluster, topics, proxy) as running:
        for node in (12, 7):
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


async def test_broker_added_and_taken_away(
    front: Front,
    forwarder: Forwarder,
    block: PortBlock,
    start_proxy_of: Front,
    cluster: KafkaCluster,
    tripwires: Tripwires,
    topics: Topics,
    replicated: Callable[..., str],
) -> None:
    led_by_14, led_by_others = replicated("stored"), replicated("stored")
    port = block.take()
    by_pattern = {
        "bootstrapServers": cluster.recorded_bootstrap.split(","),
        "nodePattern": f"127.0.0.{{node}}:{port}",
    }
    for node, broker in cluster.brokers.items():
        forwarder.forward(f"127.0.0.{node}:{port}", broker.recorded_port)
    inside = front(settings={"upstream": by_pattern})
    outside = front(settings={"upstream": by_pattern}, node_ports=9)  # 5 to 13
    by_look_up = start_proxy_of(upstream=cluster.bootstrap, first_node=5)

    # The forwarder is in this process: here the tripwires alone watch the clients.
    async with load(cluster, topics, inside, beside=(os.getpid(), outside.pid)) as running:
        added = await asyncio.to_thread(cluster.add, 14)
        try:
            tripwires.guard(added)
            forwarder.forward(f"127.0.0.14:{port}", added.recorded_port)
            for topic in (*topics, led_by_14):
                await asyncio.to_thread(move_leader, cluster, topic, 0, 14)
            await running.progress()
            told = {proxy: await asyncio.to_thread(told_by, proxy) for proxy in (inside, outside)}
            codes = [
                await asyncio.to_thread(produce_straight, by_look_up, 14, led_by_14),
                await asyncio.to_thread(produce_straight, outside, leaders(cluster, led_by_others)[0], led_by_others),
            ]
        finally:
            for topic in (*topics, led_by_14):
                await asyncio.to_thread(reassign, cluster, topic, {0: [5, 7, 12]})
            await asyncio.to_thread(cluster.remove, 14)
        await running.progress()

    assert told[inside][14] == ("127.0.0.1", inside.port_of(14))
    assert told[outside][14][0] == "node-14-is-outside-listener-nodes.invalid"
    assert codes == [0, 0]
    assert outside.says("broker node has no port on this listener", "14")
    assert by_look_up.metric("wiremask_nodes_unknown_total") == 0


@pytest.mark.parametrize("kill", [False, True], ids=["terminated", "killed"])
async def test_proxy_restarted(kill: bool, front: Front, cluster: KafkaCluster, topics: Topics) -> None:
    proxy = front()

    async with load(cluster, topics, proxy) as running:
        for _ in range(2):
            await asyncio.to_thread(proxy.restart, kill=kill)
            await running.progress()


async def test_one_of_two_proxies_behind_one_bootstrap_list_is_killed(
    front: Front, cluster: KafkaCluster, topics: Topics
) -> None:
    one, other = front(), front()

    async with load(cluster, topics, one, other, rebootstraps=True) as running:
        for victim in (one, other):
            await asyncio.to_thread(victim.kill)
            await running.progress()
            await asyncio.to_thread(victim.start)


async def test_one_of_two_proxies_behind_one_address_is_killed(
    front: Front, forwarder: Forwarder, block: PortBlock, cluster: KafkaCluster, topics: Topics
) -> None:
    seen = block.take(9)
    listener = {"advertisedHost": "localhost", "advertisedPort": seen}
    one, other = front(listener=listener), front(listener=listener)
    forwarder.forward(f"127.0.0.1:{seen}", one.port, other.port)
    for node in cluster.brokers:
        forwarder.forward(f"127.0.0.1:{seen + 1 + node - 5}", one.port_of(node), other.port_of(node))

    async with load(cluster, topics, one, other, bootstrap=f"127.0.0.1:{seen}") as running:
        for victim in (one, other):
            await asyncio.to_thread(victim.kill)
            await running.progress()
            await asyncio.to_thread(victim.start)

    assert min(forwarder.connections.values()) > 0


def told_by(proxy: ProxyProcess) -> dict[int, tuple[str, int]]:
    with RawClient(proxy.bootstrap) as client:
        return brokers_told(client)


def produce_straight(proxy: ProxyProcess, node: int, topic: str) -> int:
    """The code that a Produce gets at the port of a node."""
    with RawClient(f"127.0.0.1:{proxy.port_of(node)}") as client:
        return ask_produce(client, topic, write_batch([b"{}"]))[0].error_code
