"""Codecs that a version of the protocol does not have yet: the broker's answer is the client's, with rules too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.batches import read_batches, write_batch
from support.capture import RawClient
from support.customers import customer, is_masked
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import ask_fetch, ask_produce

pytestmark = pytest.mark.broker

UNSUPPORTED_COMPRESSION_TYPE = 76


@pytest.mark.parametrize(("version", "expected"), [(6, UNSUPPORTED_COMPRESSION_TYPE), (7, 0)])
def test_zstd_is_produced_from_version_7_on(
    version: int, expected: int, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    batch = write_batch([customer(1)], codec="zstd")

    with RawClient(masking_proxy.bootstrap) as client, RawClient(kafka.bootstrap) as direct:
        codes = [
            ask_produce(one, make_topic("stored"), batch, version=version)[0].error_code for one in (client, direct)
        ]

    assert codes == [expected, expected]


@pytest.mark.parametrize("version", [4, 9, 10])
def test_zstd_is_fetched_in_every_version_that_the_broker_sends_it_in(
    version: int, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("viewed")
    with RawClient(masking_proxy.bootstrap) as client, RawClient(kafka.bootstrap) as direct:
        ask_produce(direct, topic, write_batch([customer(1)], codec="zstd"))

        through, sent = (ask_fetch(one, topic, version=version) for one in (client, direct))

    assert through.error_code == sent.error_code
    assert len(read_batches(through.records)) == len(read_batches(sent.records))
    assert all(is_masked(record.value or b"", 1) for batch in read_batches(through.records) for record in batch.records)
