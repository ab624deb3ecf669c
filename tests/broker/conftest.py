"""Fixtures of the end-to-end tests: the client libraries, and two proxies that many tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from support import ports
from support.authority import Authority
from support.clients import CLIENTS, Client
from support.customers import KEY_ENV, MASKING_RULES
from support.forwarder import Forwarder
from support.kafka import KafkaCluster
from support.ports import PortBlock
from support.proxy import ProxyProcess
from support.required import needed
from support.rulefolder import IDLE_RULES
from support.secure import secure_cluster
from support.tripwire import Tripwires, hidden_upstream


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    """Each client library in turn."""
    return cast("Client", request.param)


@pytest.fixture(scope="session")
def plain_proxy(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy that masks nothing, for tests that neither stop nor change it."""
    yield from _serve(kafka, tmp_path_factory, IDLE_RULES["for others"])


@pytest.fixture(scope="session")
def masking_proxy(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy with `MASKING_RULES`, for tests that neither stop nor change it."""
    yield from _serve(kafka, tmp_path_factory, MASKING_RULES)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs what the secure broker and the proxies before it show."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def secure(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A broker whose SASL listener speaks TLS. Tests that use it share one by `xdist_group("trust")`."""
    with needed("real broker"), secure_cluster(tmp_path_factory.mktemp("secure"), authority) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def tripwires(cluster: KafkaCluster) -> Iterator[Tripwires]:
    """Where the brokers of the cluster say that they are, for clients that should not know."""
    wires = Tripwires()
    for broker in cluster.brokers.values():
        wires.guard(broker)
    yield wires
    wires.close()


@pytest.fixture
def nobody_goes_round(tripwires: Tripwires) -> Iterator[None]:
    """No client of the test connects to an address that a broker gave."""
    yield
    assert tripwires.touched == 0, "a client went round the proxy"


@pytest.fixture
def front(cluster: KafkaCluster, start_proxy_of: Callable[..., ProxyProcess]) -> Callable[..., ProxyProcess]:
    """Starts proxies with `MASKING_RULES` in front of the cluster that hide where its brokers are."""

    def start(**options: Any) -> ProxyProcess:
        settings = {"upstream": hidden_upstream(cluster), **options.pop("settings", {})}
        usual = {"upstream": cluster.recorded_bootstrap, "rules": MASKING_RULES, "env": KEY_ENV, "first_node": 5}
        return start_proxy_of(settings=settings, **{**usual, **options})

    return start


@pytest.fixture
def replicated(cluster: KafkaCluster, topic_name: Callable[[str], str]) -> Callable[..., str]:
    """Creates a topic with three replicas: `replicated("stem", partitions=1, ...)`."""

    def make(stem: str, **options: Any) -> str:
        return cluster.create_topic(topic_name(stem), replication=3, **options)

    return make


@pytest.fixture
def forwarder() -> Iterator[Forwarder]:
    """Forwards ports until the test ends."""
    with Forwarder() as running:
        yield running


@pytest.fixture
def block() -> Iterator[PortBlock]:
    """Fifteen free ports."""
    reserved = ports.reserve()
    yield reserved
    reserved.release()


def _serve(kafka: KafkaCluster, folders: pytest.TempPathFactory, rules: str) -> Iterator[ProxyProcess]:
    proxy = ProxyProcess(home=folders.mktemp("proxy"), upstream=kafka.bootstrap, rules=rules, env=KEY_ENV)
    try:
        proxy.start()
        yield proxy
        assert proxy.terminate() == 0
        assert "internal fault" not in proxy.output()
    finally:
        proxy.dispose()
