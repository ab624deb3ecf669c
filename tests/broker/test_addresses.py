"""Where clients are told that brokers are, where the proxy finds them, and that nothing else gets through."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from support import ports
from support.batches import write_batch
from support.capture import RawClient, Relay
from support.clients import Client
from support.customers import is_masked, messages
from support.forwarder import Forwarder
from support.kafka import PASSWORD, USER, KafkaCluster
from support.leaders import leaders, move_leader
from support.proxy import ProxyProcess
from support.requests import ask_produce, brokers_told, plain_frame, produce_frame, read_endpoints, read_produced
from support.wait import eventually

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("cluster"), pytest.mark.usefixtures("nobody_goes_round")]

StartProxy = Callable[..., ProxyProcess]
MakeTopic = Callable[..., str]

NOT_LEADER = 6


# What clients are told.


def test_every_node_is_told_to_be_at_the_port_of_its_own(front: StartProxy, cluster: KafkaCluster) -> None:
    proxy = front()

    with RawClient(proxy.bootstrap) as client:
        told = brokers_told(client)

    assert told == {node: ("127.0.0.1", proxy.port + 1 + node - 5) for node in cluster.brokers}


@pytest.mark.parametrize("version", [9, 10, 12])
def test_broker_that_leads_no_more_names_the_leader_by_the_proxys_address(
    version: int, front: StartProxy, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy, topic = front(), replicated("stored")
    leader = leaders(cluster, topic)[0]
    other = next(node for node in cluster.brokers if node != leader)

    with RawClient(f"127.0.0.1:{proxy.port_of(other)}") as client:
        answer = client.ask(produce_frame(topic, write_batch([b"{}"]), version=version))

    assert read_produced(answer, version)[0].error_code == NOT_LEADER
    assert read_endpoints(answer, version) == ({leader: ("127.0.0.1", proxy.port_of(leader))} if version >= 10 else {})


async def test_advertised_address_differs_from_the_bound_one_and_leaders_move(
    client: Client, front: StartProxy, block: ports.PortBlock, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    seen = block.take(9)
    proxy = front(listener={"advertisedHost": "localhost", "advertisedPort": seen})
    topic = replicated("stored")
    relays = {node: Relay(listen=seen + 1 + node - 5, target=proxy.port_of(node)) for node in cluster.brokers}

    with relays[5], relays[7], relays[12]:
        async with client.producer(proxy.bootstrap, idempotent=True) as producer:
            for number, node in enumerate((5, 7, 12, 5)):
                move_leader(cluster, topic, 0, node)
                await producer.send(topic, messages(5, first=number * 5))
        received = await client.consume(proxy.bootstrap, topic, 20)
        refused = [
            answer
            for relay in relays.values()
            for answer in relay.answers(0)
            if read_produced(answer.data[4:], answer.version)[0].error_code == NOT_LEADER
        ]

    assert [is_masked(message.value or b"", number) for number, message in enumerate(received)] == [True] * 20
    assert all(relay.requests(0) for relay in relays.values()), "a node's forwarder saw no Produce"
    assert refused, "no broker said that it leads no more"
    if client.name == "confluent":
        told = [read_endpoints(answer.data[4:], answer.version) for answer in refused]
        assert all(endpoint == ("localhost", seen + 1 + node - 5) for nodes in told for node, endpoint in nodes.items())
        assert any(told), "no answer named the new leader's address"


async def test_several_listeners_tell_each_client_their_own_addresses(
    client: Client, front: StartProxy, block: ports.PortBlock, replicated: MakeTopic
) -> None:
    second = block.take(9)
    proxy = front(
        more_listeners=[
            {
                "name": "second",
                "address": f"127.0.0.1:{second}",
                "advertisedHost": "localhost",
                "nodes": {"first": 5, "last": 12},
            }
        ]
    )
    topic = replicated("stored")

    async with client.producer(f"localhost:{second}") as producer:
        await producer.send(topic, messages(5))
    received = await client.consume(proxy.bootstrap, topic, 5)
    with RawClient(proxy.bootstrap) as one, RawClient(f"127.0.0.1:{second}") as other:
        told = brokers_told(one), brokers_told(other)

    assert [is_masked(message.value or b"", number) for number, message in enumerate(received)] == [True] * 5
    assert told == (
        {node: ("127.0.0.1", proxy.port_of(node)) for node in (5, 7, 12)},
        {node: ("localhost", second + 1 + node - 5) for node in (5, 7, 12)},
    )


async def test_node_outside_the_range_is_no_address_and_the_others_work(
    client: Client, front: StartProxy, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    proxy = front(node_ports=7)  # 5 to 11
    topic = replicated("stored")
    move_leader(cluster, topic, 0, 7)

    async with client.producer(proxy.bootstrap) as producer:
        await producer.send(topic, messages(5))
    received = await client.consume(proxy.bootstrap, topic, 5)
    with RawClient(proxy.bootstrap) as raw:
        told = brokers_told(raw)

    assert len(received) == 5
    assert told[7] == ("127.0.0.1", proxy.port_of(7))
    assert told[12][0] == "node-12-is-outside-listener-nodes.invalid"
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo(told[12][0], told[12][1])
    assert proxy.metric("wiremask_nodes_outside_range_total", listener="default") > 0
    (line,) = [line for line in proxy.logs() if line["event"] == "broker node has no port on this listener"]
    assert (line["node"], line["listener"]) == (12, "default")
    assert "set listeners.nodes" in line["error"]


# Where the proxy finds a broker.


@pytest.mark.parametrize("node", [5, 7, 12])
def test_client_comes_straight_to_a_broker_port_while_the_proxy_starts(
    node: int, start_proxy_of: StartProxy, cluster: KafkaCluster, replicated: MakeTopic
) -> None:
    topic = replicated("stored")
    move_leader(cluster, topic, 0, node)
    proxy = start_proxy_of(upstream=cluster.bootstrap, first_node=5, start=False)

    proxy.start(wait=False)
    with eventually(lambda: RawClient(f"127.0.0.1:{proxy.port_of(node)}"), step_s=0.002, what="a port") as client:
        answer = ask_produce(client, topic, write_batch([b"{}"]))

    assert answer[0].error_code == 0
    assert proxy.metric("wiremask_nodes_unknown_total") == 0


def test_named_nodes_go_before_the_pattern_and_the_pattern_before_what_brokers_tell(
    forwarder: Forwarder, block: ports.PortBlock, start_proxy_of: StartProxy, cluster: KafkaCluster
) -> None:
    port = block.take()
    for node in cluster.brokers:
        forwarder.forward(f"127.0.0.{node}:{port}", cluster.brokers[node].port)
    forwarder.forward(f"127.0.0.77:{port}", cluster.brokers[7].port)
    upstream = {
        "bootstrapServers": cluster.bootstrap.split(","),
        "nodePattern": f"127.0.0.{{node}}:{port}",
        "nodes": {"7": f"127.0.0.77:{port}"},
    }
    proxy = start_proxy_of(upstream=cluster.bootstrap, first_node=5, settings={"upstream": upstream})

    told = {}
    for node in cluster.brokers:
        with RawClient(f"127.0.0.1:{proxy.port_of(node)}") as client:
            told[node] = brokers_told(client)

    assert forwarder.connections == {f"127.0.0.5:{port}": 1, f"127.0.0.77:{port}": 1, f"127.0.0.12:{port}": 1}
    assert told[5] == told[7] == told[12] == {n: ("127.0.0.1", proxy.port_of(n)) for n in cluster.brokers}


@pytest.mark.parametrize("source", ["nodes", "nodePattern"])
def test_configured_source_serves_a_broker_port_where_brokers_tell_nothing_before_a_login(
    source: str,
    forwarder: Forwarder,
    block: ports.PortBlock,
    start_proxy_of: StartProxy,
    cluster: KafkaCluster,
    replicated: MakeTopic,
) -> None:
    topic, port = replicated("stored"), block.take()
    move_leader(cluster, topic, 0, 12)
    forwarder.forward(f"127.0.0.12:{port}", cluster.brokers[12].sasl_port)
    value = f"127.0.0.{{node}}:{port}" if source == "nodePattern" else {"12": f"127.0.0.12:{port}"}
    upstream = {"bootstrapServers": cluster.sasl_bootstrap.split(","), source: value}
    proxy = start_proxy_of(upstream=cluster.sasl_bootstrap, first_node=5, settings={"upstream": upstream})

    with RawClient(f"127.0.0.1:{proxy.port_of(12)}") as client:
        log_in(client)
        answer = ask_produce(client, topic, write_batch([b"{}"]))

    assert answer[0].error_code == 0


def test_node_that_no_source_knows_is_closed_until_a_client_taught_it(
    start_proxy_of: StartProxy, cluster: KafkaCluster
) -> None:
    proxy = start_proxy_of(upstream=cluster.sasl_bootstrap, first_node=5)

    with RawClient(f"127.0.0.1:{proxy.port_of(7)}") as client:
        closed = client.is_closed()
    with RawClient(proxy.bootstrap) as client:
        log_in(client)
        told = brokers_told(client)
    with RawClient(f"127.0.0.1:{proxy.port_of(7)}") as client:
        log_in(client)
        again = brokers_told(client)

    assert closed
    assert proxy.metric("wiremask_nodes_unknown_total") == 1
    (line,) = [line for line in proxy.logs() if line["event"] == "upstream unavailable"]
    assert line["node"] == 7
    assert "set upstream.nodes or upstream.nodePattern" in line["error"]
    assert told == again == {node: ("127.0.0.1", proxy.port_of(node)) for node in cluster.brokers}


def test_port_of_a_node_that_the_cluster_lacks_reaches_no_other_broker(
    start_proxy_of: StartProxy, cluster: KafkaCluster
) -> None:
    proxy = start_proxy_of(upstream=cluster.bootstrap, first_node=5)

    with RawClient(f"127.0.0.1:{proxy.port_of(9)}") as client:
        closed = client.is_closed()

    assert closed
    assert proxy.metric("wiremask_nodes_unknown_total") == 1


def log_in(client: RawClient) -> None:
    token = f"\0{USER}\0{PASSWORD}".encode()
    client.ask(plain_frame(17, 1, struct.pack(">h", 5) + b"PLAIN"))
    answer = client.ask(plain_frame(36, 1, struct.pack(">i", len(token)) + token))
    assert answer[4:6] == b"\x00\x00", "the login was refused"
