"""Few file descriptors: fewer connections, and a process that goes on."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from support.capture import RawClient
from support.proxy import NODE_PORTS, ProxyProcess
from support.requests import plain_frame
from support.rulefolder import rule, ruleset
from support.threaded import LIST_GROUPS, ThreadedBroker
from support.wait import eventually
from wiremask.proxy import descriptors
from wiremask.proxy.descriptors import SPARE, room_for

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


def test_takes_fewer_connections_and_goes_on(broker: ThreadedBroker, start_proxy_of: StartProxy) -> None:
    proxy = start_proxy_of(upstream=broker.address, open_files=OWN + 2 * 20)

    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(20)]
        answered = [len(client.ask(ASK)) for client in clients]
        refused = [is_refused(stack, proxy) for _ in range(30)]
        proxy.change_rules(ruleset(rule("another", "one-more-topic", {"$.ssn": "redact"})), name="more.yaml")
        ready, _ = proxy.ready()
        answered_still = [len(client.ask(ASK)) for client in clients]
    eventually(lambda: proxy.metric("wiremask_open_connections") == 0, what="the connections closed")
    with RawClient(proxy.bootstrap) as client:
        answered_again = len(client.ask(ASK))

    assert answered == answered_still == [104] * 20
    assert refused == [True] * 30
    assert ready
    assert answered_again == 104
    assert proxy.metric("wiremask_connections_closed_total", reason="too many connections") == 30
    assert proxy.says("fewer connections than limits.connections", '"count":20')


def test_descriptors_that_run_out_all_the_same_cost_no_open_connection(
    broker: ThreadedBroker, start_proxy_of: StartProxy
) -> None:
    proxy = start_proxy_of(upstream=broker.address)

    with RawClient(proxy.bootstrap) as alive:
        alive.ask(ASK)
        low = proxy.descriptors() + 10
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (low, low))
        with ExitStack() as stack:
            refused = [is_refused(stack, proxy) for _ in range(40)]
            answered = len(alive.ask(ASK))
        eventually(lambda: is_served(proxy), what="a connection taken again")
        answered_still = len(alive.ask(ASK))

    assert refused[0] is False
    assert refused[-1] is True
    assert (answered, answered_still) == (104, 104)
    assert proxy.running


def is_refused(stack: ExitStack, proxy: ProxyProcess) -> bool:
    """Whether one more connection is closed instead of an answer; it stays open until the stack ends."""
    client = stack.enter_context(RawClient(proxy.bootstrap))
    try:
        return len(client.ask(ASK)) != 104
    except ConnectionError:
        return True


def is_served(proxy: ProxyProcess) -> bool:
    with suppress(ConnectionError), RawClient(proxy.bootstrap) as client:
        return len(client.ask(ASK)) == 104
    return False
