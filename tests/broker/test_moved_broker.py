"""A broker that comes back under another address: the proxy finds it there, and clients notice nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.batches import write_batch
from support.capture import RawClient, Relay
from support.kafka import KafkaCluster, running_cluster
from support.ports import PortBlock
from support.proxy import ProxyProcess
from support.requests import ask_produce, brokers_told
from support.required import needed

pytestmark = pytest.mark.broker

PRODUCE = 0


@pytest.fixture
def moving(tmp_path: Path) -> Iterator[KafkaCluster]:
    """A broker of its own, which the proxy reaches where the broker says that it is."""
    with needed("real broker"), running_cluster(tmp_path / "kafka") as cluster:
        yield cluster


def test_a_broker_that_moved_is_found_by_who_comes_straight_to_its_port(
    moving: KafkaCluster, block: PortBlock, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    broker, topic = moving.broker, moving.create_topic("moved")
    proxy = start_proxy_of(upstream=moving.recorded_bootstrap)

    with Relay(listen=broker.relay_port, target=broker.recorded_port) as before:
        first, told_before = _produce(proxy, broker.node_id, topic)
    broker.move(block.take())
    with Relay(listen=broker.relay_port, target=broker.recorded_port) as after:
        second, told_after = _produce(proxy, broker.node_id, topic)

    assert (first, second) == ((0, 0), (0, 1))
    assert told_before == told_after == {broker.node_id: ("127.0.0.1", proxy.port_of(broker.node_id))}
    assert [len(relay.requests(PRODUCE)) for relay in (before, after)] == [1, 1]


def _produce(proxy: ProxyProcess, node: int, topic: str) -> tuple[tuple[int, int], dict[int, tuple[str, int]]]:
    """Error code and offset of a record sent straight to the port of a node, and where that says that the brokers are."""
    with RawClient(f"127.0.0.1:{proxy.port_of(node)}") as client:
        answer = ask_produce(client, topic, write_batch([b"{}"]))[0]
        return (answer.error_code, answer.base_offset), brokers_told(client)
