"""Networks that fail on either side of the proxy: nothing is lost, doubled or unmasked, and all is given back afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from support import ports
from support.authority import Authority
from support.batches import read_batches
from support.clients import CLIENTS, Client, Login
from support.customers import KEY_ENV, MASKING_RULES, customer, is_masked, messages
from support.faults import Act, Fault, FaultProxy, Way
from support.kafka import KafkaCluster
from support.programs import PROGRAMS_BY_NAME
from support.proxy import ProxyProcess
from support.readers import Access, java_settings, kafka_python_settings
from support.required import needed
from support.secure import PASSWORD, USERS
from support.wait import eventually
from support.workload import record

pytestmark = pytest.mark.broker

BATCH = 20
ENOUGH, MOST = 6, 200
"""Batches that a producer sends at least, and at most until the faults have struck."""
FETCH_BYTES = 20_000
GROWTH_BYTES = 6 << 20
"""What a process that has done something for the first time may keep."""
NEAR, FAR = "between client and proxy", "between proxy and broker"


def faults_at(count: int, acts: list[Act], *, within_bytes: int = 6_000) -> list[Fault]:
    """These faults in turn at places that are the same in every run, in the middle of frames, both ways in turn."""
    chosen, ways = random.Random(acts[0].value), list(Way)
    return [
        Fault(act=acts[number % len(acts)], way=ways[number % 2], at=chosen.randrange(within_bytes))
        for number in range(count)
    ]


class Crossing:
    """A proxy, and the fault proxies through which alone clients reach it, and it the broker of the cluster.

    Only connections to the broker's node have faults: a client that cannot even ask where the brokers are gives up.
    """

    def __init__(self, proxy: ProxyProcess, *, node: int, broker_port: int, block: ports.PortBlock) -> None:
        self.proxy = proxy
        self._node = node
        self._broker_port = broker_port
        self._first = block.first
        self.bootstrap = f"127.0.0.1:{block.first}"

    @asynccontextmanager
    async def open(self, side: str) -> AsyncIterator[FaultProxy]:
        """Opens the way; gives the fault proxy of one side of it."""
        async with (
            FaultProxy(self.proxy.port, port=self._first),
            FaultProxy(self.proxy.port_of(self._node), port=self._first + 1) as near,
            FaultProxy(self._broker_port, port=self._first + 2) as far,
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


@contextmanager
def crossing_of(
    home: Path,
    kafka: KafkaCluster,
    *,
    broker_port: int,
    listener: Mapping[str, Any] | None = None,
    upstream: Mapping[str, Any] | None = None,
) -> Iterator[Crossing]:
    """Runs the proxy on its ports; `listener` and `upstream` are further keys of its configuration."""
    block, node = ports.reserve(), kafka.broker.node_id
    nodes = {str(node): f"127.0.0.1:{block.first + 2}"}
    proxy = ProxyProcess(
        home=home,
        upstream=f"127.0.0.1:{broker_port}",
        rules=MASKING_RULES,
        env=KEY_ENV,
        first_node=node,
        node_ports=1,
        listener={"advertisedPort": block.first, **(listener or {})},
        settings={"upstream": {"nodes": nodes, **(upstream or {})}, "log": {"level": "info"}},
    )
    try:
        proxy.start()
        yield Crossing(proxy, node=node, broker_port=broker_port, block=block)
        assert proxy.terminate() == 0
        assert not proxy.says("internal fault")
    finally:
        proxy.dispose()
        block.release()


@pytest.fixture(scope="module")
def crossing(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crossing]:
    with crossing_of(tmp_path_factory.mktemp("proxy"), kafka, broker_port=kafka.broker.port) as made:
        yield made


@pytest.fixture(scope="module")
def secure_crossing(
    secure: KafkaCluster, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Crossing]:
    with crossing_of(
        tmp_path_factory.mktemp("proxy"),
        secure,
        broker_port=secure.broker.sasl_port,
        listener={"tls": authority.issue("listener").settings},
        upstream={"tls": {"ca": str(authority.ca)}},
    ) as made:
        yield made


async def write(
    client: Client, crossing: Crossing, login: Login | None, topics: list[str], faults: FaultProxy, wanted: int
) -> int:
    """Sends the same customers to both topics until all faults have struck; gives how many."""
    number = 0
    async with client.producer(crossing.bootstrap, idempotent=True, login=login) as producer:
        while number < ENOUGH or faults.struck.total() < wanted:
            assert number < MOST, "the faults do not strike"
            for topic in topics:
                await producer.send(topic, messages(BATCH, first=number * BATCH))
            number += 1
    return number * BATCH


async def read(
    client: Client, crossing: Crossing, login: Login | None, topic: str, count: int, faults: FaultProxy, wanted: int
) -> None:
    """Reads a topic, again until all faults have struck, and finds all customers in it in order, once and masked."""
    while True:
        received = await client.consume(crossing.bootstrap, topic, count, fetch_bytes=FETCH_BYTES, login=login)
        assert [message.offset for message in received] == list(range(count))
        assert all(is_masked(message.value or b"", number) for number, message in enumerate(received))
        if faults.struck.total() >= wanted:
            return


async def cross(
    side: str, planned: list[Fault], crossing: Crossing, kafka: KafkaCluster, stem: str, login: Login | None = None
) -> None:
    """Writes and then reads under these faults, and looks at what came, what is stored, and what the proxy still holds."""
    topics = {
        client: [kafka.create_topic(f"{kind}-{stem}-{client.name}") for kind in ("stored", "viewed")]
        for client in CLIENTS
    }
    descriptors, resident = crossing.level()

    async with crossing.open(side) as faults:
        faults.plan(*planned)
        counts = await asyncio.gather(
            *(write(client, crossing, login, topics[client], faults, len(planned)) for client in CLIENTS)
        )
        faults.plan(*planned)
        await asyncio.gather(
            *(
                read(client, crossing, login, topic, count, faults, 2 * len(planned))
                for client, count in zip(CLIENTS, counts, strict=True)
                for topic in topics[client]
            )
        )

    assert faults.struck == Counter(fault.act for fault in planned * 2)
    for client, count in zip(CLIENTS, counts, strict=True):
        stored, viewed = (values(kafka, topic) for topic in topics[client])
        assert len(stored) == count
        assert all(is_masked(value, number) for number, value in enumerate(stored))
        assert viewed == [customer(number) for number in range(count)]
    crossing.returns_to(descriptors, resident)


def values(kafka: KafkaCluster, topic: str) -> list[bytes]:
    """What is stored, in order."""
    return [record.value or b"" for batch in read_batches(kafka.segments(topic)[0]) for record in batch.records]


@pytest.mark.parametrize("act", Act, ids=lambda act: act.value)
@pytest.mark.parametrize("side", [NEAR, FAR])
async def test_nothing_is_lost_doubled_or_unmasked(
    side: str, act: Act, crossing: Crossing, kafka: KafkaCluster, topic_name: Callable[[str], str]
) -> None:
    # A connection that does not break is all that a client opens, and each client opens one.
    planned = faults_at(2 if act is Act.DOUBLE else 6, [act])

    await cross(side, planned, crossing, kafka, topic_name("faults"))


@pytest.mark.xdist_group("trust")
@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "OAUTHBEARER"])
@pytest.mark.parametrize("side", [NEAR, FAR])
async def test_nothing_is_lost_doubled_or_unmasked_under_tls_with_logins(
    side: str,
    mechanism: str,
    secure_crossing: Crossing,
    secure: KafkaCluster,
    authority: Authority,
    topic_name: Callable[[str], str],
) -> None:
    # Two connections do not break, one of each client: they come last.
    planned = faults_at(6, [Act.CUT, Act.RESET, Act.HALF_CLOSE]) + faults_at(2, [Act.DELAY, Act.THROTTLE])
    login = Login(user=USERS[0], password=PASSWORD, mechanism=mechanism, ca=authority.ca)

    await cross(side, planned, secure_crossing, secure, topic_name("faults"), login)


@pytest.mark.xdist_group("trust")
@pytest.mark.parametrize(
    ("name", "mechanism", "in_its_words"),
    [("java-4.4", "OAUTHBEARER", java_settings), ("kafka-python-3", "SCRAM-SHA-256", kafka_python_settings)],
    ids=["java", "kafka-python"],
)
@pytest.mark.parametrize("side", [NEAR, FAR])
async def test_other_clients_lose_and_double_nothing_either(
    side: str,
    name: str,
    mechanism: str,
    in_its_words: Callable[[Access], dict[str, Any]],
    secure_crossing: Crossing,
    secure: KafkaCluster,
    authority: Authority,
    topic_name: Callable[[str], str],
) -> None:
    topic, rounds, acts = secure.create_topic(topic_name("stored")), 10, [Act.CUT, Act.RESET, Act.HALF_CLOSE]
    sending = {"do": "produce", "topic": topic, "acks": "all", "codec": "none", "idempotent": True, "linger": 5}
    reading = {"do": "consume", "topic": topic, "group": topic, "isolation": "read_committed", "protocol": "classic"}
    produces = [{**sending, "records": sent(range(start * BATCH, start * BATCH + BATCH))} for start in range(rounds)]
    access = Access(
        bootstrap=secure_crossing.bootstrap, ca=authority.ca, mechanism=mechanism, user=USERS[0], password=PASSWORD
    )
    descriptors, resident = secure_crossing.level()

    with needed(name):
        async with secure_crossing.open(side) as faults:
            faults.plan(*faults_at(9, acts, within_bytes=1_500))
            run = PROGRAMS_BY_NAME[name].run
            *placed, read_by_client = await asyncio.to_thread(
                run, access.bootstrap, [*produces, {**reading, "count": rounds * BATCH}], settings=in_its_words(access)
            )

    stored = values(secure, topic)
    assert faults.struck.total() == 9
    assert [offset for told in placed for _, offset in told] == list(range(rounds * BATCH))
    assert len(stored) == rounds * BATCH
    assert all(is_masked(value, number) for number, value in enumerate(stored))
    assert [record["sha256"] for record in read_by_client] == [hashlib.sha256(value).hexdigest() for value in stored]
    secure_crossing.returns_to(descriptors, resident)


def sent(numbers: range) -> list[dict[str, Any]]:
    """Customers as a client program takes them."""
    return [record(number, value=customer(number).decode()) for number in numbers]
