"""Few file descriptors: fewer connections, and a process that goes on."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.capture import RawClient
from support.proxy import NODE_PORTS, ProxyProcess
from support.requests import plain_frame
from support.rulefolder import rule, ruleset
from support.threaded import LIST_GROUPS, ThreadedBroker
from support.wait import eventually
from wiremask.proxy import descriptors
from wiremask.proxy.descriptors import KEPT, SPARE, has_room, room_for

StartProxy = Callable[..., ProxyProcess]

UNLIMITED = resource.RLIM_INFINITY
ASK = plain_frame(LIST_GROUPS, 2)
OWN = 1 + NODE_PORTS + SPARE


@pytest.fixture
def broker() -> Iterator[ThreadedBroker]:
    broker = ThreadedBroker()
    yield broker
    broker.stop()


LIMITS = {
    # soft, hard -> connections of 100 that there is room for, soft limit afterwards; 10 ports
    "enough": ((1000, 1000), 100, 1000),
    "exactly enough": ((274, 274), 100, 274),
    "enough if raised": ((100, 100_000), 100, 274),
    "enough if raised, without a hard limit": ((100, UNLIMITED), 100, 274),
    "no limit": ((UNLIMITED, UNLIMITED), 100, UNLIMITED),
    "one too few": ((273, 273), 99, 273),
    "too few, raised": ((50, 174), 50, 174),
    "next to none": ((20, 20), 1, 20),
}


@pytest.mark.parametrize(("limits", "room", "raised"), LIMITS.values(), ids=LIMITS)
def test_finds_room_within_the_limit_of_open_files(
    limits: tuple[int, int], room: int, raised: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [limits]
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: found[-1])
    monkeypatch.setattr(descriptors.resource, "setrlimit", lambda _, now: found.append(now))

    counted = room_for(100, ports=10)

    assert counted == room
    assert found[-1] == (raised, limits[1])


def test_a_limit_that_may_not_be_raised_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (174, 4000))
    monkeypatch.setattr(descriptors.resource, "setrlimit", refuse)

    assert room_for(100, ports=10) == 50


ROOM = {
    # soft limit, connections that are open, of how many -> whether one more can be opened; 10,000 ports
    "enough": (20_000, 99, 100, True),
    "exactly enough": (10_000 + SPARE + 200, 99, 100, True),
    "one too few": (10_000 + SPARE + 199, 99, 100, False),
    "one beyond the limit, to be closed": (10_000 + SPARE + 200, 100, 100, True),
    "the first, always": (1_000, 0, 100, True),
    "the only one": (1_000, 1, 1, True),
    "no limit": (UNLIMITED, 10**9, 10**9, True),
}


@pytest.mark.parametrize(("soft", "connections", "limit", "has"), ROOM.values(), ids=ROOM)
def test_one_more_connection_is_opened_where_there_is_room(
    soft: int, connections: int, limit: int, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (soft, UNLIMITED))

    assert has_room(connections, limit=limit, ports=10_000) == has


def test_clients_that_there_is_no_room_for_wait_until_others_have_left(
    broker: ThreadedBroker, start_proxy_of: StartProxy
) -> None:
    proxy = start_proxy_of(upstream=broker.address, open_files=OWN + 2 * 20)

    with ExitStack() as late:
        with ExitStack() as early:
            clients = [early.enter_context(RawClient(proxy.bootstrap)) for _ in range(20)]
            answered = [len(client.ask(ASK)) for client in clients]
            waiting = [late.enter_context(asking(proxy)) for _ in range(20)]
            eventually(lambda: pauses(proxy) >= 2, what="clients kept waiting twice")
            proxy.change_rules(ruleset(rule("another", "one-more-topic", {"$.ssn": "redact"})), name="more.yaml")
            ready, _ = proxy.ready()
            answered_still = [len(client.ask(ASK)) for client in clients]
            taken = proxy.metric("wiremask_connections_total")
        answered_late = [len(client.read() or b"") for client in waiting]

    assert answered == answered_still == answered_late == [104] * 20
    assert taken == 20
    assert ready
    assert said(proxy, "fewer connections than limits.connections") == ["20"]
    assert said(proxy, "clients wait to be taken") == ["too few file descriptors are left"]


def test_a_limit_that_is_lowered_costs_no_open_connection(broker: ThreadedBroker, start_proxy_of: StartProxy) -> None:
    proxy = start_proxy_of(upstream=broker.address)

    with RawClient(proxy.bootstrap) as alive:
        alive.ask(ASK)
        soft, hard = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (proxy.descriptors() + 10, hard))
        with asking(proxy) as late:
            eventually(lambda: pauses(proxy) >= 2, what="a client kept waiting twice")
            answered = len(alive.ask(ASK))
            resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (soft, hard))
            answered_late = len(late.read() or b"")
        answered_still = len(alive.ask(ASK))

    assert (answered, answered_still, answered_late) == (104, 104, 104)


def test_sockets_that_are_no_connections_yet_leave_descriptors_for_those_that_are(
    broker: ThreadedBroker, start_proxy_of: StartProxy
) -> None:
    proxy = start_proxy_of(
        upstream=broker.address,
        open_files=OWN + 2 * 20,
        listener={"proxyProtocol": {"trusted": ["127.0.0.1"]}},
        settings={"limits": {"handshakeSeconds": 3600}},
    )

    with RawClient(proxy.bootstrap) as alive, ExitStack() as late:
        alive.send(HEADER)
        alive.ask(ASK)
        with ExitStack() as silent:
            for _ in range(OWN + 2 * 20):
                silent.enter_context(RawClient(proxy.bootstrap))
            waiting = late.enter_context(asking(proxy, HEADER))
            eventually(lambda: pauses(proxy) >= 2, what="clients kept waiting twice")
            open_then = proxy.descriptors()
            proxy.change_rules(ruleset(rule("another", "one-more-topic", {"$.ssn": "redact"})), name="more.yaml")
            answered = len(alive.ask(ASK))
        answered_late = len(waiting.read() or b"")

    assert (answered, answered_late) == (104, 104)
    assert open_then <= OWN + 2 * 20 - KEPT + 1


HEADER = b"PROXY TCP4 10.1.2.3 10.9.9.9 40000 9092\r\n"


def asking(proxy: ProxyProcess, first: bytes = b"") -> RawClient:
    """A client that has sent a request and waits for its answer."""
    client = RawClient(proxy.bootstrap)
    client.send(first + ASK)
    return client


def pauses(proxy: ProxyProcess) -> float:
    return proxy.metric("wiremask_accept_pauses_total")


def said(proxy: ProxyProcess, event: str) -> list[str]:
    """What each line of this event gives as count, or else as reason."""
    return [str(line.get("count", line["reason"])) for line in proxy.logs() if line["event"] == event]
