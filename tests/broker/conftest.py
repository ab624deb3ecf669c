"""Fixtures of the end-to-end tests: the client libraries, and two proxies that many tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pytest
from support.clients import CLIENTS, Client
from support.customers import KEY_ENV, MASKING_RULES
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.rulefolder import IDLE_RULES


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


def _serve(kafka: KafkaCluster, folders: pytest.TempPathFactory, rules: str) -> Iterator[ProxyProcess]:
    proxy = ProxyProcess(home=folders.mktemp("proxy"), upstream=kafka.bootstrap, rules=rules, env=KEY_ENV)
    try:
        proxy.start()
        yield proxy
        assert proxy.terminate() == 0
        assert "internal fault" not in proxy.output()
    finally:
        proxy.dispose()
