"""Where the proxy looks for a broker node, and what it says when it finds none."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from wiremask.proxy.address import Address
from wiremask.proxy.upstream import Upstream, UpstreamConfig, UpstreamUnavailable


def upstream(**settings: object) -> Upstream:
    return Upstream(UpstreamConfig.model_validate(settings), connect_seconds=1)


@contextlib.contextmanager
def silent(host: str, port: int) -> Iterator[None]:
    """An address that never answers: its queue of connections that nobody takes is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((host, port), backlog=0))
        stack.enter_context(socket.create_connection(listening.getsockname()))
        yield


def refused_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("settings", "told", "found"),
    [
        ({"nodes": {"7": "named:1"}, "nodePattern": "pattern-{node}:2"}, {"look-up", "client"}, "named:1"),
        ({"nodePattern": "pattern-{node}:2"}, {"look-up", "client"}, "pattern-7:2"),
        ({"nodes": {"8": "other:1"}}, {"look-up"}, "looked-up:3"),
        ({}, {"look-up", "client"}, "looked-up:3"),
        ({}, {"client"}, "taught:4"),
        ({}, set(), None),
    ],
    ids=["a named node", "the pattern", "another node is named", "the look-up", "what clients were told", "nothing"],
)
def test_takes_the_first_source_that_knows_the_node(
    settings: dict[str, object], told: set[str], found: str | None
) -> None:
    cluster = upstream(**settings)
    if "look-up" in told:
        cluster.learn_looked_up(7, "looked-up", 3)
    if "client" in told:
        cluster.learn(7, "taught", 4)

    assert [str(address) for address in cluster.addresses(7)] == ([] if found is None else [found])


def test_follows_a_broker_that_moved() -> None:
    cluster = upstream()
    cluster.learn(7, "before", 1)
    cluster.learn(7, "after", 2)

    assert cluster.addresses(7) == (Address("after", 2),)


def test_what_clients_are_told_counts_once_brokers_answer_no_look_up() -> None:
    cluster = upstream()
    cluster.learn_looked_up(7, "looked-up", 3)
    cluster.learn(7, "taught", 4)
    cluster.forget_looked_up()

    assert cluster.addresses(7) == (Address("taught", 4),)


async def test_tries_the_next_bootstrap_server() -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster = upstream(bootstrapServers=[f"127.0.0.1:{refused_port()}", f"127.0.0.1:{port}"])

    leg = _Remembers()
    await cluster.connect(None, leg)
    leg.transport.close()
    server.close()

    assert leg.transport.get_extra_info("peername")[1] == port


async def test_tries_every_address_of_a_name_though_the_first_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    resolved: list[str] = []

    async def two_addresses(host: str, asked: int, **_: object) -> list[tuple[object, ...]]:
        resolved.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, asked)) for place in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(loop, "getaddrinfo", two_addresses)
    leg = _Remembers()
    with silent("127.0.0.2", port):
        reached = await upstream(bootstrapServers=[f"brokers.test:{port}"]).connect(None, leg)
    leg.transport.close()
    server.close()

    assert (resolved, reached.host) == (["brokers.test"], "brokers.test")
    assert leg.transport.get_extra_info("peername") == ("127.0.0.1", port)


async def test_says_of_every_address_of_a_name_how_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    port = refused_port()

    async def two_addresses(host: str, asked: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (place, asked)) for place in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two_addresses)
    cluster = upstream(bootstrapServers=[f"brokers.test:{port}"])

    with (
        silent("127.0.0.2", port),
        pytest.raises(UpstreamUnavailable, match=rf"brokers.test:{port}: no answer within 0.5 s, .*refused"),
    ):
        await cluster.connect(None, _Remembers())


async def test_says_that_a_name_is_not_known() -> None:
    cluster = upstream(bootstrapServers=["no-such-host.invalid:9092"])

    with pytest.raises(UpstreamUnavailable, match=r"no-such-host\.invalid:9092: .*(not known|resolution)"):
        await cluster.connect(None, _Remembers())


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
        cluster.learn_looked_up(7, *server.sockets[0].getsockname()[:2])

    cluster.look_up = look_up
    for _ in range(2):
        leg = _Remembers()
        await cluster.connect(7, leg)
        leg.transport.close()
    with pytest.raises(UpstreamUnavailable, match="no source knows the address of node 9"):
        await cluster.connect(9, _Remembers())

    assert asked == [0, 1]
    server.close()


@pytest.mark.parametrize("taught", [True, False], ids=["clients were told where", "nobody was told"])
async def test_asks_again_where_a_node_is_that_moved(taught: bool) -> None:
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    cluster = upstream()
    cluster.learn_looked_up(7, "127.0.0.1", refused_port())
    asked: list[int] = []

    async def look_up() -> None:
        asked.append(len(asked))
        cluster.learn_looked_up(7, "127.0.0.1", port)

    cluster.look_up = look_up
    if taught:
        cluster.learn(7, "127.0.0.1", port)
    for _ in range(2):
        leg = _Remembers()
        await cluster.connect(7, leg)
        leg.transport.close()
    server.close()

    assert asked == [0]


@pytest.mark.parametrize(("settings", "asked_again"), [({}, 1), ({"nodes": {"7": "127.0.0.1:2"}}, 0)])
async def test_gives_up_on_a_node_that_is_nowhere_else(settings: dict[str, object], asked_again: int) -> None:
    cluster = upstream(**settings)
    cluster.learn_looked_up(7, "127.0.0.1", 1)
    asked: list[int] = []

    async def look_up() -> None:
        asked.append(len(asked))

    cluster.look_up = look_up
    with pytest.raises(UpstreamUnavailable, match=r"no broker took the connection: 127\.0\.0\.1:[12]: "):
        await cluster.connect(7, _Remembers())

    assert len(asked) == asked_again
