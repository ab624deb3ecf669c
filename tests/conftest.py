"""Fixtures of the whole suite: one real broker a worker, proxies and topics a test."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from support.kafka import KafkaBroker, KafkaCluster, running_cluster
from support.proxy import ProxyProcess
from support.required import needed

StartProxy = Callable[..., ProxyProcess]
MakeTopic = Callable[..., str]

# How long an example takes to be made says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile(
    "patient", hypothesis.settings(), suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, save the one that kafka-python raises when it loads its schemas on Python 3.11 and 3.12."""
    config.addinivalue_line("filterwarnings", r"ignore:(read|open)_text is deprecated:DeprecationWarning")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what tests measured, and loudly what was left out for want of a program: a green run is not taken for more."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.stats.get(outcome, [])]
    measured = [told for report in reports for name, told in report.user_properties if name == "measured"]
    if measured:
        terminalreporter.section("measured")
        for told in measured:
            terminalreporter.write_line(told)
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", [])
    )
    if missing := {reason: count for reason, count in reasons.items() if reason.startswith("no ")}:
        terminalreporter.section("NOT TESTED: THIS MACHINE LACKS WHAT IT NEEDS", sep="!", red=True, bold=True)
        for reason, count in missing.items():
            terminalreporter.write_line(f"{count} tests: {reason}", red=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A running Apache Kafka of one node (id 3); a test may restart it and must leave it running."""
    with needed("real broker"), running_cluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three nodes, with gaps between their ids and none near 0; a test may restart them and must leave them running.

    Replicas serve readers of their own rack (KIP-392), what is acknowledged is on two of them, and ACLs apply to whoever
    logs in. Tests that use it share one by `xdist_group("cluster")`.
    """
    settings = {
        "replica_selector_class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
        "min_insync_replicas": "2",
        "auto_leader_rebalance_enable": "false",
        "auto_create_topics_enable": "false",
        "authorizer_class_name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super_users": "User:ANONYMOUS",
        "allow_everyone_if_no_acl_found": "true",
    }
    home = tmp_path_factory.mktemp("cluster")
    with needed("real broker"), running_cluster(home, node_ids=(5, 7, 12), **settings) as cluster:
        yield cluster


@pytest.fixture
def broker(kafka: KafkaCluster) -> Iterator[KafkaBroker]:
    """The node, for tests that stop it; it runs again afterwards."""
    yield kafka.broker
    kafka.broker.resume()
    if not kafka.broker.running:
        kafka.broker.start()


_numbers = itertools.count(1)


@pytest.fixture
def topic_name() -> Callable[[str], str]:
    """Makes topic names that no other test uses, all of one length for one stem."""

    def make(stem: str = "topic") -> str:
        return f"{stem}-{os.getpid():07d}-{next(_numbers):05d}"

    return make


@pytest.fixture
def make_topic(kafka: KafkaCluster, topic_name: Callable[[str], str]) -> MakeTopic:
    """Creates a topic of its own for a test: `make_topic("stem", partitions=1, cleanup_policy=...)`."""

    def make(stem: str = "topic", **options: Any) -> str:
        return kafka.create_topic(topic_name(stem), **options)

    return make


@pytest.fixture
def start_proxy_of(tmp_path: Path) -> Iterator[StartProxy]:
    """Starts proxies: `start_proxy_of(upstream=..., rules=..., ...)` with the arguments of `ProxyProcess`.

    `start=False` leaves the start to the test. At the end each is stopped, must not have crashed, and if the test failed
    its output is in the report's temporary folder.
    """
    started: list[ProxyProcess] = []

    def make(*, start: bool = True, **options: Any) -> ProxyProcess:
        proxy = ProxyProcess(home=tmp_path / f"proxy-{len(started)}", **options)
        started.append(proxy)
        if start:
            proxy.start()
        return proxy

    yield make
    for proxy in started:
        proxy.dispose()
    for proxy in started:
        faults = [line for line in proxy.output().splitlines() if "internal fault" in line or "Fatal Python" in line]
        assert not faults, faults[:3]


@pytest.fixture
def start_proxy(kafka: KafkaCluster, start_proxy_of: StartProxy) -> StartProxy:
    """The same in front of the broker."""

    def make(**options: Any) -> ProxyProcess:
        return start_proxy_of(**{"upstream": kafka.bootstrap, **options})

    return make
