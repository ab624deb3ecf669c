"""Share groups of the Java client through the proxy: what its members read is masked, and acknowledged once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from support.clients import AioKafka
from support.customers import KEY_ENV, MASKING_RULES, is_masked, messages
from support.kafka import JVM_FLAGS, KafkaCluster, libraries
from support.proxy import ProxyProcess

pytestmark = pytest.mark.broker

RECORDS = 40


def run_tool(*arguments: str) -> str:
    """One of Kafka's command line tools; its standard output."""
    command = ["java", *JVM_FLAGS, "-cp", f"{libraries()}/*", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=90).stdout


def read_by_share_group(bootstrap: str, topic: str, group: str, *, timeout_ms: int, count: int) -> list[str]:
    """What a member of a share group reads and accepts, in order of arrival."""
    told = run_tool(
        "org.apache.kafka.tools.consumer.ConsoleShareConsumer",
        *("--bootstrap-server", bootstrap, "--topic", topic, "--group", group),
        *("--timeout-ms", str(timeout_ms), "--max-messages", str(count)),
    )
    return told.splitlines()


def reads_from_the_start(bootstrap: str, group: str) -> None:
    """Share groups begin at the end of a topic, unless told otherwise."""
    run_tool(
        "kafka.admin.ConfigCommand",
        *("--bootstrap-server", bootstrap, "--alter", "--entity-type", "groups", "--entity-name", group),
        *("--add-config", "share.auto.offset.reset=earliest"),
    )


async def test_a_member_of_a_share_group_reads_masked_values_and_none_twice(
    kafka: KafkaCluster, masking_proxy: ProxyProcess, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("viewed")
    async with AioKafka().producer(kafka.bootstrap) as producer:
        await producer.send(topic, messages(RECORDS))
    reads_from_the_start(masking_proxy.bootstrap, topic)

    first = read_by_share_group(masking_proxy.bootstrap, topic, topic, timeout_ms=30_000, count=RECORDS)
    second = read_by_share_group(masking_proxy.bootstrap, topic, topic, timeout_ms=3_000, count=1)

    assert len(first) == RECORDS
    assert all(is_masked(value.encode(), json.loads(value)["id"]) for value in first)
    assert {json.loads(value)["id"] for value in first} == set(range(RECORDS))
    assert second == []


async def test_records_that_the_proxy_cannot_read_are_withheld_and_not_lost_to_the_group(
    kafka: KafkaCluster, start_proxy: Callable[..., ProxyProcess], make_topic: Callable[..., str]
) -> None:
    topic = make_topic("viewed")
    proxy = start_proxy(
        rules=MASKING_RULES, env=KEY_ENV, settings={"limits": {"decompressedBytes": 1024, "workerBytes": 1024}}
    )
    async with AioKafka().producer(kafka.bootstrap, codec="gzip", linger_ms=500) as producer:
        await producer.send(topic, messages(RECORDS))
    reads_from_the_start(proxy.bootstrap, topic)

    through_the_proxy = read_by_share_group(proxy.bootstrap, topic, topic, timeout_ms=12_000, count=RECORDS)
    straight = read_by_share_group(kafka.bootstrap, topic, topic, timeout_ms=30_000, count=RECORDS)

    assert through_the_proxy == []
    assert proxy.metric("wiremask_refused_partitions_total", at="fetch", code="MESSAGE_TOO_LARGE") > 0
    assert len(straight) == RECORDS
