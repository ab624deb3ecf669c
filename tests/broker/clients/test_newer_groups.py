"""Groups whose members the broker assigns (KIP-848) and share groups (KIP-932), with every client that has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.customers import customer
from support.javatools import share_from_the_start
from support.kafka import KafkaCluster
from support.programs import CONSUMER_PROTOCOL, PROGRAMS_BY_NAME, SHARE, Program
from support.proxy import ProxyProcess
from support.workload import as_read, record

pytestmark = [pytest.mark.broker, pytest.mark.timeout(1200)]

PARTITIONS = 4
COUNT = 40


@pytest.mark.parametrize("name", [name for name, known in PROGRAMS_BY_NAME.items() if CONSUMER_PROTOCOL in known.can])
def test_members_that_the_broker_assigns_read_everything_and_rebalance(
    name: str, available: Callable[[str], Program], plain_proxy: ProxyProcess, make_topic: Callable[..., str]
) -> None:
    program = available(name)
    topic = make_topic("assigned", partitions=PARTITIONS)
    sent = [record(number, partition=number % PARTITIONS) for number in range(COUNT)]

    placed, read, owned = program.run(
        plain_proxy.bootstrap, [_produce(topic, sent), _consume(topic, topic), _rebalance(topic, f"{topic}-members")]
    )

    assert placed == [[partition, offset] for partition in range(PARTITIONS) for offset in range(COUNT // PARTITIONS)]
    assert read == [
        as_read(item, offset=offset)
        for partition in range(PARTITIONS)
        for offset, item in enumerate(sent[partition::PARTITIONS])
    ]
    assert owned == {"alone": PARTITIONS, "shared": PARTITIONS, "again": PARTITIONS}


@pytest.mark.parametrize("name", [name for name, known in PROGRAMS_BY_NAME.items() if SHARE in known.can])
def test_members_of_a_share_group_read_masked_values_also_when_they_come_again(
    name: str,
    available: Callable[[str], Program],
    masking_proxy: ProxyProcess,
    kafka: KafkaCluster,
    make_topic: Callable[..., str],
) -> None:
    program = available(name)
    topic = make_topic("viewed")
    sent = [{**record(number), "value": customer(number).decode()} for number in range(COUNT)]
    share_from_the_start(masking_proxy.bootstrap, topic)

    # Each record is released once and accepted when it is delivered again.
    _, shared = program.run(
        masking_proxy.bootstrap,
        [_produce(topic, sent), {"do": "share", "topic": topic, "group": topic, "count": COUNT}],
    )
    (grouped,) = program.run(masking_proxy.bootstrap, [_consume(topic, f"{topic}-group")])
    (stored,) = program.run(kafka.bootstrap, [_consume(topic, f"{topic}-stored")])

    assert [item["offset"] for item in shared] == list(range(COUNT))
    assert shared == grouped
    assert stored == [as_read(item, offset=offset) for offset, item in enumerate(sent)]
    assert not {item["sha256"] for item in shared} & {item["sha256"] for item in stored}


def _produce(topic: str, records: list[dict[str, Any]]) -> dict[str, Any]:
    settings = {"acks": "all", "codec": "none", "idempotent": False, "linger": 20}
    return {"do": "produce", "topic": topic, "records": records, **settings}


def _consume(topic: str, group: str) -> dict[str, Any]:
    settings = {"isolation": "read_uncommitted", "protocol": "consumer"}
    return {"do": "consume", "topic": topic, "count": COUNT, "group": group, **settings}


def _rebalance(topic: str, group: str) -> dict[str, Any]:
    return {"do": "rebalance", "topic": topic, "group": group, "partitions": PARTITIONS, "protocol": "consumer"}
