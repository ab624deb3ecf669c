"""Where the proxy looks for a broker node, and what it says when it finds none."""

from __future__ import annotations

import asyncio
import socket

import pytest
from pydantic import ValidationError

from wiremask.proxy.address import Address
from wiremask.proxy.upstream import Upstream, UpstreamConfig, UpstreamUnavailable


def upstream(**settings: object) -> Upstream:
    return Upstream(UpstreamConfig.model_validate(settings), connect_seconds=1)


def refused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("settings", "known", "found"),
    [
        ({"nodes": {"7": "named:1"}, "nodePattern": "pattern-{node}:2"}, True, "named:1"),
        ({"nodePattern": "pattern-{node}:2"}, True, "pattern-7:2"),
        ({"nodes": {"8": "other:1"}}, True, "told:3"),
        ({}, True, "told:3"),
        ({}, False, None),
    ],
    ids=["a named node", "the pattern", "another node is named", "what a broker told", "nothing"],
)
def test_takes_the_first_source_that_knows_the_node(
    settings: dict[str, object], known: bool, found: str | None
) -> None:
    cluster = upstream(**settings)
    if known:
        cluster.learn(7, "told", 3)

    assert [str(address) for address in cluster.addresses(7)] == ([] if found is None else [found])


def test_follows_a_broker_that_moved() -> None:
    cluster = upstream()
    cluster.learn(7, "before", 1)
    cluster.learn(7, "after", 2)

    assert cluster.addresses(7) == (Address("after", 2),)


async def test_tries_the_next_bootstrap_server() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster = upstream(bootstrapServers=[f"127.0.0.1:{refused_port()}", f"127.0.0.1:{port}"])

    leg = _Remembers()
    await cluster.connect(None, leg)
    leg.transport.close()
    server.close()

    assert leg.transport.get_extra_info("peername")[1] == port


async def test_says_what_it_tried() -> None:
    port = refused_port()

    with pytest.raises(UpstreamUnavailable, match=f"127.0.0.1:{port}"):
        await upstream(bootstrapServers=[f"127.0.0.1:{port}"]).connect(None, asyncio.Protocol())


async def test_says_what_to_set_for_a_node_that_no_source_knows() -> None:
    with pytest.raises(UpstreamUnavailable, match=r"node 7.*upstream\.nodePattern"):
        await upstream().connect(7, asyncio.Protocol())


@pytest.mark.parametrize("pattern", ["broker:9092", "broker-{node}", "broker-{node}:port"])
def test_refuses_a_pattern_that_gives_no_address(pattern: str) -> None:
    with pytest.raises(ValidationError):
        upstream(nodePattern=pattern)


class _Remembers(asyncio.Protocol):
    transport: asyncio.BaseTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


async def test_asks_once_more_where_a_node_is_before_it_gives_up() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    cluster = upstream()
    asked: list[int] = []

    async def look_up() -> None:
        asked.append(len(asked))
        cluster.learn(7, *server.sockets[0].getsockname()[:2])

    cluster.look_up = look_up
    for _ in range(2):
        leg = _Remembers()
        await cluster.connect(7, leg)
        leg.transport.close()
    with pytest.raises(UpstreamUnavailable, match="no source knows the address of node 9"):
        await cluster.connect(9, _Remembers())

    assert asked == [0, 1]
    server.close()
