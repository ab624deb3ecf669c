"""The one metric that names clients, for those who ask for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support.capture import RawClient
from support.login import log_in, plain
from support.proxy import ProxyProcess
from support.requests import plain_frame
from support.scripted import proxied
from support.threaded import LIST_GROUPS, ThreadedBroker
from wiremask.proxy.measures import METRICS
from wiremask.proxy.principals import OTHERS, UNKNOWN, PrincipalConnections


@dataclass(frozen=True)
class Someone:
    principal: str | None


@pytest.fixture(autouse=True)
def _metrics_of_the_test_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wiremask.proxy.measures.METRICS", list(METRICS))


def told(metric: PrincipalConnections) -> dict[str, float]:
    return {principal: count for (principal,), count in metric.samples()}


async def test_counts_connections_by_who_has_logged_in() -> None:
    async with proxied() as stage:
        metric = PrincipalConnections(stage.shared.open, limit=10)
        for user in ("alice", "bob", "alice"):
            await log_in(stage, await stage.connect(), "PLAIN", [(plain(user), b"")])
        leaves = await stage.connect()
        await log_in(stage, leaves, "PLAIN", [(plain("carol"), b"")])

        before = told(metric)
        leaves.close()
        await leaves.read()

        assert before == {"User:alice": 2, "User:bob": 1, "User:carol": 1}
        assert told(metric) == {"User:alice": 2, "User:bob": 1}


def test_names_no_more_than_it_was_asked_for() -> None:
    names = ["User:a", "User:a", "User:c", "User:b", None, "User:d"]
    metric = PrincipalConnections([Someone(name) for name in names], limit=3)

    assert told(metric) == {"User:a": 2, UNKNOWN: 1, "User:b": 1, OTHERS: 2}


@pytest.mark.parametrize(("settings", "expected"), [({}, 0), ({"admin": {"principals": 5}}, 2)], ids=["usual", "asked"])
def test_a_scrape_names_clients_only_where_it_was_asked_for(
    settings: dict[str, dict[str, int]], expected: int, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    broker = ThreadedBroker()
    try:
        proxy = start_proxy_of(upstream=broker.address, settings=settings)
        with RawClient(proxy.bootstrap) as one, RawClient(proxy.bootstrap) as other:
            for client in (one, other):
                client.ask(plain_frame(LIST_GROUPS, 2))
            counted = proxy.metric("wiremask_principal_connections", principal="User:ANONYMOUS")
    finally:
        broker.stop()

    assert counted == expected
