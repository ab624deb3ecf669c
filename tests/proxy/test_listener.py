"""Addresses that stand for brokers."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest
from pydantic import ValidationError

from wiremask.proxy import metrics
from wiremask.proxy.listener import Listener, ListenerConfig


def listener(**settings: object) -> Listener:
    return Listener(ListenerConfig.model_validate({"address": "127.0.0.1:9092", **settings}))


@pytest.mark.parametrize(
    ("settings", "node", "told"),
    [
        ({}, 0, ("127.0.0.1", 9093)),
        ({}, 99, ("127.0.0.1", 9192)),
        ({"nodes": {"first": 5, "last": 12}}, 5, ("127.0.0.1", 9093)),
        ({"nodes": {"first": 5, "last": 12}}, 12, ("127.0.0.1", 9100)),
        ({"advertisedHost": "proxy.example"}, 1, ("proxy.example", 9094)),
        ({"advertisedHost": "proxy.example", "advertisedPort": 19000}, 1, ("proxy.example", 19002)),
    ],
    ids=["first", "last", "first of a range", "last of a range", "advertised host", "advertised host and port"],
)
def test_tells_the_port_of_a_node(settings: dict[str, object], node: int, told: tuple[str, int]) -> None:
    assert listener(**settings).advertise(node, "kafka.internal", 9092) == told


def test_leaves_an_entry_that_stands_for_no_node() -> None:
    assert listener().advertise(-1, "", -1) == ("", -1)


def test_sends_nobody_round_the_proxy_to_a_node_without_a_port() -> None:
    outside = listener(name="outside", nodes={"first": 5, "last": 7})

    host, _ = outside.advertise(8, "kafka-8.internal", 9092)
    outside.advertise(4, "kafka-4.internal", 9092)

    assert host == "node-8-is-outside-listener-nodes.invalid"
    assert metrics.nodes_outside_range.labels("outside").value == 2


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"nodes": {"first": 7, "last": 5}}, "nodes.last is below nodes.first"),
        ({"address": "127.0.0.1:65500"}, "node 99 would need port 65600"),
        ({"address": "0.0.0.0:9092"}, "set advertisedHost"),
        ({"address": "[::]:9092"}, "set advertisedHost"),
        ({"address": "9092"}, '"host:port"'),
        ({"address": "::1:9092"}, "brackets"),
        ({"address": "localhost:99999"}, "port from 0 to 65535"),
    ],
    ids=["range", "ports run out", "all interfaces", "all interfaces v6", "no host", "bare IPv6", "port"],
)
def test_refuses_settings_that_cannot_work(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        listener(**settings)


class Ports:
    """Stands where the acceptor stands."""

    def __init__(self) -> None:
        self.families: list[int] = []

    def listen(self, port: socket.socket, _: object) -> None:
        self.families.append(port.family)
        port.close()


@pytest.mark.parametrize("unknown", [{socket.AF_INET6}, {socket.AF_INET6, socket.AF_INET}], ids=["one", "both"])
async def test_a_family_that_the_kernel_does_not_know_is_left_out_where_there_is_another(
    unknown: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, ports = socket.create_server, Ports()

    def create(address: Any, *, family: int, backlog: int) -> socket.socket:
        if family in unknown:
            raise OSError(errno.EAFNOSUPPORT, "no such family")
        return make(("127.0.0.1", 0), backlog=backlog)

    async def both(*_: object, **__: object) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        ]

    monkeypatch.setattr(socket, "create_server", create)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both, raising=False)
    opened = listener(nodes={"first": 0, "last": 0}).open(ports, lambda *_: asyncio.Protocol())  # type: ignore[arg-type]

    if len(unknown) == 2:
        with pytest.raises(OSError, match="no such family"):
            await opened
    else:
        await opened
        assert ports.families == [socket.AF_INET, socket.AF_INET]
