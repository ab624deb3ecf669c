"""Kafka's own command-line tools through the proxy: what an operator types works, and masks like any client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from support.customers import customer, is_masked, secrets
from support.javatools import JAVA_TOOLS, ConsoleTools, java_tool
from support.kafka import VERSION, KafkaCluster
from support.proxy import ProxyProcess, assert_absent
from support.required import needed

pytestmark = pytest.mark.broker

COUNT = 50
MANY = 20_000


@pytest.fixture
def tools(version: str) -> ConsoleTools:
    """The tools of a version; those that cannot be had here are left out, loudly, unless they are required."""
    with needed(f"Java tools {version}"):
        JAVA_TOOLS[version].classpath()
    return JAVA_TOOLS[version]


@pytest.mark.parametrize("version", JAVA_TOOLS)
def test_the_tools_are_of_the_version_that_they_should_be(version: str, tools: ConsoleTools) -> None:
    told = tools.run("org.apache.kafka.tools.consumer.ConsoleConsumer", "--version")

    assert told.split()[0] == version


@pytest.mark.parametrize(
    ("version", "protocol"),
    [(VERSION, "classic"), (VERSION, "consumer"), ("4.4.0", "consumer"), ("3.9.2", "classic")],
)
def test_what_the_console_producer_sends_the_console_consumer_reads_masked(
    protocol: str,
    tools: ConsoleTools,
    masking_proxy: ProxyProcess,
    kafka: KafkaCluster,
    make_topic: Callable[..., str],
) -> None:
    topic = make_topic("stored")
    server = ("--bootstrap-server", masking_proxy.bootstrap, "--topic", topic)
    lines = [customer(number).decode() for number in range(COUNT)]  # a line is a record

    tools.run(
        tools.console_producer,
        *(*server, "--compression-codec", "zstd", tools.producer_setting, "enable.idempotence=true"),
        text="\n".join(lines) + "\n",
    )
    read = tools.run(
        "org.apache.kafka.tools.consumer.ConsoleConsumer",
        *(*server, "--from-beginning", "--max-messages", str(COUNT), "--timeout-ms", "30000", "--group", topic),
        *(tools.consumer_setting, f"group.protocol={protocol}"),
    ).splitlines()

    assert [json.loads(line)["id"] for line in read] == list(range(COUNT))
    assert all(is_masked(line.encode(), number) for number, line in enumerate(read))
    assert_absent(kafka.segments(topic)[0], secrets(0))


@pytest.mark.parametrize("version", JAVA_TOOLS)
def test_the_performance_tools_move_all_their_records(
    tools: ConsoleTools, plain_proxy: ProxyProcess, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("many", partitions=3)
    option, prefix = tools.producer_server

    sent = tools.run(
        "org.apache.kafka.tools.ProducerPerformance",
        *(option, prefix + plain_proxy.bootstrap, "--topic", topic, "--num-records", str(MANY)),
        *("--record-size", "500", "--throughput", "-1"),
        *("--transactional-id", topic, "--transaction-duration-ms", "200"),
    )
    read = tools.run(
        "org.apache.kafka.tools.ConsumerPerformance",
        *("--bootstrap-server", plain_proxy.bootstrap, "--topic", topic, tools.count, str(MANY)),
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
