"""Programs of Kubernetes for the tests of the chart; without Go they are left out, loudly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import kubetools
from support.chart import Chart
from support.installation import Installation, installed_chart
from support.kafka import KafkaCluster
from support.kubernetes import ApiServer, running_api_server


@pytest.fixture(scope="session")
def helm() -> Path:
    return kubetools.program("helm")


@pytest.fixture(scope="session")
def chart(helm: Path) -> Chart:
    return Chart(helm)


@pytest.fixture(scope="session")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A running Kubernetes API server."""
    programs = kubetools.program("etcd"), kubetools.program("kube-apiserver")
    with running_api_server(*programs, tmp_path_factory.mktemp("kubernetes")) as server:
        yield server


@pytest.fixture(scope="session")
def installed(
    api_server: ApiServer, chart: Chart, kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """The chart's injector, installed on the API server, with its webhook running; its sidecars lead to a real Kafka."""
    folder, node = tmp_path_factory.mktemp("webhook"), kafka.broker.node_id
    with installed_chart(api_server, chart, folder, brokers=kafka.bootstrap, node=node) as installation:
        yield installation
