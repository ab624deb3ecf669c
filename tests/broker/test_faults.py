"""Networks that fail on either side of the proxy: nothing is lost, doubled or unmasked, and all is given back afterwards."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from support import ports
from support.batches import read_batches
from support.clients import CLIENTS, Client
from support.customers import KEY_ENV, MASKING_RULES, customer, is_masked, messages
from support.faults import Act, Fault, FaultProxy, Way
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.wait import eventually

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]

BATCH = 20
ENOUGH, MOST = 6, 200
"""Batches that a producer sends at least, and at most until the faults have struck."""
FETCH_BYTES = 20_000
GROWTH_BYTES = 6 << 20
"""What a process that has done something for the first time may keep."""
NEAR, FAR = "between client and proxy", "between proxy and broker"


FAULTS = {act: 2 if act is Act.DOUBLE else 6 for act in Act}
"""As many strike producers, and as many consumers; for there to be more connections, they must break."""


def faults_of(act: Act) -> list[Fault]:
    """Faults of one kind at places that are the same in every run: both ways in turn, in the middle of frames."""
    chosen = random.Random(act.value)
    return [Fault(act=act, way=list(Way)[number % 2], at=chosen.randrange(6_000)) for number in range(FAULTS[act])]


class Crossing:
    """A proxy, and the fault proxies through which alone clients reach it, and it the broker of the cluster.

    Only connections to the broker's node have faults: a client that cannot even ask where the brokers are gives up.
    """

    def __init__(self, proxy: ProxyProcess, kafka: KafkaCluster, block: ports.PortBlock) -> None:
        self.proxy = proxy
        self._kafka = kafka
        self._first = block.first
        self.bootstrap = f"127.0.0.1:{block.first}"

    @asynccontextmanager
    async def open(self, side: str) -> AsyncIterator[FaultProxy]:
        """Opens the way; gives the fault proxy of one side of it."""
        broker = self._kafka.broker
        async with (
            FaultProxy(self.proxy.port, port=self._first),
            FaultProxy(self.proxy.port_of(broker.node_id), port=self._first + 1) as near,
            FaultProxy(broker.port, port=self._first + 2) as far,
        ):
            yield {NEAR: near, FAR: far}[side]

    def level(self) -> tuple[int, int]:
        """Open descriptors and resident bytes of the proxy, once it has no client and holds no frame."""
        eventually(self._is_idle, what="no connection, and no memory held")
        return self.proxy.descriptors(), self.proxy.resident_bytes()

    def returns_to(self, descriptors: int, resident: int) -> None:
        """Waits until the proxy has no more than that again."""
        eventually(lambda: self.level()[0] <= descriptors, what="descriptors given back")
        grown = self.proxy.resident_bytes() - resident
        assert grown < GROWTH_BYTES, f"{grown} bytes more than before"

    def _is_idle(self) -> bool:
        return not any(
            self.proxy.metric(name)
            for name in ("wiremask_open_connections", "wiremask_buffered_bytes", "wiremask_frames_waiting")
        )


@pytest.fixture(scope="module")
def crossing(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossing]:
    block, node = ports.reserve(), kafka.broker.node_id
    proxy = ProxyProcess(
        home=tmp_path_factory.mktemp("proxy"),
        upstream=kafka.bootstrap,
        rules=MASKING_RULES,
        env=KEY_ENV,
        first_node=node,
        node_ports=1,
        listener={"advertisedPort": block.first},
        settings={"upstream": {"nodes": {str(node): f"127.0.0.1:{block.first + 2}"}}, "log": {"level": "info"}},
    )
    try:
        proxy.start()
        yield Crossing(proxy, kafka, block)
        assert proxy.terminate() == 0
        assert not proxy.says("internal fault")
    finally:
        proxy.dispose()
        block.release()


async def write(client: Client, bootstrap: str, topics: list[str], faults: FaultProxy, wanted: int) -> int:
    """Sends the same customers to both topics until all faults have struck; gives how many."""
    number = 0
    async with client.producer(bootstrap, idempotent=True) as producer:
        while number < ENOUGH or faults.struck.total() < wanted:
            assert number < MOST, "the faults do not strike"
            for topic in topics:
                await producer.send(topic, messages(BATCH, first=number * BATCH))
            number += 1
    return number * BATCH


async def read(client: Client, bootstrap: str, topic: str, count: int, faults: FaultProxy, wanted: int) -> None:
    """Reads a topic, again until all faults have struck, and finds all customers in it in order, once and masked."""
    while True:
        received = await client.consume(bootstrap, topic, count, fetch_bytes=FETCH_BYTES)
        assert [message.offset for message in received] == list(range(count))
        assert all(is_masked(message.value or b"", number) for number, message in enumerate(received))
        if faults.struck.total() >= wanted:
            return


@pytest.mark.parametrize("act", Act, ids=lambda act: act.value)
@pytest.mark.parametrize("side", [NEAR, FAR])
async def test_nothing_is_lost_doubled_or_unmasked(
    side: str, act: Act, crossing: Crossing, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topics = {client: [make_topic("stored"), make_topic("viewed")] for client in CLIENTS}
    descriptors, resident = crossing.level()

    async with crossing.open(side) as faults:
        faults.plan(*faults_of(act))
        counts = await asyncio.gather(
            *(write(client, crossing.bootstrap, topics[client], faults, FAULTS[act]) for client in CLIENTS)
        )
        faults.plan(*faults_of(act))
        await asyncio.gather(
            *(
                read(client, crossing.bootstrap, topic, count, faults, 2 * FAULTS[act])
                for client, count in zip(CLIENTS, counts, strict=True)
                for topic in topics[client]
            )
        )

    assert faults.struck == {act: 2 * FAULTS[act]}
    for client, count in zip(CLIENTS, counts, strict=True):
        stored, viewed = (values(kafka, topic) for topic in topics[client])
        assert len(stored) == count
        assert all(is_masked(value, number) for number, value in enumerate(stored))
        assert viewed == [customer(number) for number in range(count)]
    crossing.returns_to(descriptors, resident)


def values(kafka: KafkaCluster, topic: str) -> list[bytes]:
    """What is stored, in order."""
    return [record.value or b"" for batch in read_batches(kafka.segments(topic)[0]) for record in batch.records]
