"""Kafka's own command-line tools through the proxy: what an operator types works, and masks like any client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from support.customers import customer, is_masked, secrets
from support.kafka import KafkaCluster
from support.programs import java_tool
from support.proxy import ProxyProcess, assert_absent

pytestmark = pytest.mark.broker

COUNT = 50
MANY = 20_000


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_what_the_console_producer_sends_the_console_consumer_reads_masked(
    protocol: str, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("stored")
    lines = [customer(number).decode() for number in range(COUNT)]  # a line is a record

    java_tool(
        "org.apache.kafka.tools.ConsoleProducer",
        *("--bootstrap-server", masking_proxy.bootstrap, "--topic", topic, "--compression-codec", "zstd"),
        text="\n".join(lines) + "\n",
    )
    read = java_tool(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *("--bootstrap-server", masking_proxy.bootstrap, "--topic", topic, "--from-beginning"),
        *("--max-messages", str(COUNT), "--timeout-ms", "30000", "--group", topic),
        *("--command-property", f"group.protocol={protocol}"),
    ).splitlines()

    assert [json.loads(line)["id"] for line in read] == list(range(COUNT))
    assert all(is_masked(line.encode(), number) for number, line in enumerate(read))
    assert_absent(kafka.segments(topic)[0], secrets(0))


def test_the_performance_tools_move_all_their_records(
    plain_proxy: ProxyProcess, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("many", partitions=3)

    sent = java_tool(
        "org.apache.kafka.tools.ProducerPerformance",
        *("--bootstrap-server", plain_proxy.bootstrap, "--topic", topic, "--num-records", str(MANY)),
        *("--record-size", "500", "--throughput", "-1"),
        *("--transactional-id", topic, "--transaction-duration-ms", "200"),
    )
    read = java_tool(
        "org.apache.kafka.tools.ConsumerPerformance",
        *("--bootstrap-server", plain_proxy.bootstrap, "--topic", topic, "--num-records", str(MANY)),
        *("--timeout", "30000"),
    )

    assert re.search(rf"^{MANY} records sent", sent, re.MULTILINE)
    # The fields of the last line: start, end, MB, MB/s, records, ...
    assert int(read.splitlines()[-1].split(",")[4]) == MANY


def test_the_admin_tools_show_the_proxy_and_no_broker(
    plain_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("described", partitions=2)
    server = ("--bootstrap-server", plain_proxy.bootstrap)

    told = [
        java_tool("org.apache.kafka.tools.TopicCommand", *server, "--describe", "--topic", topic),
        java_tool(
            "kafka.admin.ConfigCommand",
            *server,
            "--describe",
            "--all",
            "--entity-type",
            "topics",
            "--entity-name",
            topic,
        ),
        java_tool("org.apache.kafka.tools.ClusterTool", "list-endpoints", *server),
    ]

    node = kafka.broker.node_id
    assert "PartitionCount: 2" in told[0]
    assert f"Leader: {node}" in told[0]
    assert "cleanup.policy=delete" in told[1]
    assert re.search(rf"^{node}\s+127\.0\.0\.1\s+{plain_proxy.port_of(node)}\b", told[2], re.MULTILINE)
    assert f"{kafka.broker.port}" not in "".join(told)
