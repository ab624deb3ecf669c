"""Java clients on a cluster whose leaders move: they follow by what the brokers' answers name, and never round the proxy."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.batches import read_batches
from support.capture import RawClient, Relay
from support.customers import customer, is_masked
from support.kafka import JVM_FLAGS, KafkaCluster, libraries
from support.leaders import leaders, move_leader
from support.ports import PortBlock
from support.proxy import ProxyProcess
from support.requests import ask_fetch, read_endpoints, read_fetch_endpoints, read_fetched, read_produced
from support.wait import eventually

pytestmark = [pytest.mark.broker, pytest.mark.xdist_group("cluster"), pytest.mark.usefixtures("nobody_goes_round")]

PRODUCE, FETCH = 0, 1
NOT_LEADER, FENCED_EPOCH = 6, 74
MOVES, BURST = (7, 12, 5, 7), 5


@contextlib.contextmanager
def tool(name: str, *arguments: str, output: Path) -> Iterator[subprocess.Popen[str]]:
    """One of Kafka's console tools, which reads what the test types; ended with the block."""
    command = ["java", *JVM_FLAGS, "-Xmx128m", "-cp", f"{libraries()}/*", name, *arguments]
    with output.open("w") as to, output.with_suffix(".err").open("w") as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=to, stderr=errors, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


@pytest.mark.parametrize("stem", ["stored", "viewed"])
def test_java_clients_follow_the_leader_through_the_proxy(
    stem: str,
    front: Callable[..., ProxyProcess],
    block: PortBlock,
    cluster: KafkaCluster,
    replicated: Callable[..., str],
    tmp_path: Path,
) -> None:
    seen, topic, count = block.take(9), replicated(stem), len(MOVES) * BURST
    proxy = front(listener={"advertisedHost": "localhost", "advertisedPort": seen})
    relays = {node: Relay(listen=seen + 1 + node - 5, target=proxy.port_of(node)) for node in cluster.brokers}
    server = ("--bootstrap-server", proxy.bootstrap, "--topic", topic)
    isolation = ("--isolation-level", "read_committed", "--from-beginning", "--max-messages", str(count))
    idempotence = ("--command-property", "enable.idempotence=true", "--timeout", "5")
    told = tmp_path / "read.txt"

    with (
        contextlib.ExitStack() as stack,
        tool("org.apache.kafka.tools.consumer.ConsoleConsumer", *server, *isolation, output=told) as reader,
        tool("org.apache.kafka.tools.ConsoleProducer", *server, *idempotence, output=tmp_path / "sent.txt") as writer,
    ):
        for relay in relays.values():
            stack.enter_context(relay)
        for turn, node in enumerate(MOVES):
            move_leader(cluster, topic, 0, node)
            sent = (turn + 1) * BURST
            type_in(writer, *(customer(number) for number in range(sent - BURST, sent)))
            eventually(lambda sent=sent: stored(cluster, topic) == sent, what=f"{sent} records stored")  # type: ignore[misc]
            eventually(lambda sent=sent: len(lines(told)) == sent, what=f"{sent} records read")  # type: ignore[misc]
        ended = reader.wait(20)
        produced = [(answer.data[4:], answer.version) for relay in relays.values() for answer in relay.answers(PRODUCE)]
        fetched = [(answer.data[4:], answer.version) for relay in relays.values() for answer in relay.answers(FETCH)]

    assert ended == 0
    assert [json.loads(line)["id"] for line in lines(told)] == list(range(count))
    assert [is_masked(line, number) for number, line in enumerate(lines(told))] == [True] * count
    moved = [
        *(read_endpoints(*answer) for answer in produced if read_produced(*answer)[0].error_code == NOT_LEADER),
        *(read_fetch_endpoints(*answer) for answer in fetched),
    ]
    named = {place for endpoints in moved for place in endpoints.items()}
    assert named, "no broker named a leader in its answer"
    assert named <= {(node, ("localhost", seen + 1 + node - 5)) for node in cluster.brokers}
    refused = {found.error_code for answer in fetched for found in read_fetched(*answer).values()}
    assert refused & {NOT_LEADER, FENCED_EPOCH}, "no reader was told that the leader had moved"


def type_in(process: subprocess.Popen[str], *values: bytes) -> None:
    """One line for each value, without waiting for more."""
    assert process.stdin is not None
    process.stdin.write("".join(value.decode() + "\n" for value in values))
    process.stdin.flush()


def lines(file: Path) -> list[bytes]:
    """The whole lines of a file so far."""
    return file.read_bytes().split(b"\n")[:-1]


def stored(cluster: KafkaCluster, topic: str) -> int:
    """How many records the leader has."""
    with RawClient(f"127.0.0.1:{cluster.brokers[leaders(cluster, topic)[0]].port}") as client:
        return sum(len(batch.records) for batch in read_batches(ask_fetch(client, topic).records))
