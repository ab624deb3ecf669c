"""Metrics that a broker asks its clients for (KIP-714): clients that have them push them through the proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import toolchains
from support.javatools import java_tool
from support.kafka import VERSION, KafkaCluster, running_cluster
from support.programs import Program
from support.proxy import ProxyProcess
from support.required import needed
from support.workload import record

pytestmark = [pytest.mark.broker, pytest.mark.timeout(1200), pytest.mark.xdist_group("telemetry")]

INTERVAL_MS = 100


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the broker's plugin writes who pushed."""
    return tmp_path_factory.mktemp("telemetry") / "pushed.txt"


@pytest.fixture(scope="module")
def curious(pushed: Path) -> Iterator[KafkaCluster]:
    """A broker that asks every client for all of its metrics."""
    with needed("real broker"):
        plugin = toolchains.java_classpath(VERSION)
        settings = {"metric_reporters": "TelemetryToFile", "telemetry_file": str(pushed)}
        with running_cluster(pushed.parent / "kafka", plugins=[plugin], **settings) as cluster:
            java_tool(
                "kafka.admin.ConfigCommand",
                *("--bootstrap-server", cluster.bootstrap, "--alter", "--entity-type", "client-metrics"),
                *("--entity-name", "everybody", "--add-config", f"metrics=*,interval.ms={INTERVAL_MS}"),
            )
            yield cluster


@pytest.fixture(scope="module")
def proxy(curious: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy in front of it."""
    running = ProxyProcess(home=tmp_path_factory.mktemp("proxy"), upstream=curious.bootstrap)
    try:
        running.start()
        yield running
        assert running.terminate() == 0
    finally:
        running.dispose()


@pytest.mark.parametrize("name", ["confluent", "java-4.4", "java-4.3", "java-3.9", "franz-go"])
def test_a_client_pushes_its_metrics_through_the_proxy(
    name: str, available: Callable[[str], Program], proxy: ProxyProcess, curious: KafkaCluster, pushed: Path
) -> None:
    program = available(name)
    topic = curious.create_topic(f"measured-{name}")
    pushed.write_text("")

    step = {"do": "produce", "topic": topic, "records": [record(1)]}
    program.run(proxy.bootstrap, [{**step, "acks": "all", "codec": "none", "idempotent": False, "linger": 1000}])

    sizes = [int(line.split()[-1]) for line in pushed.read_text().splitlines()]
    assert sizes, "nothing was pushed"
    assert max(sizes) > 0
