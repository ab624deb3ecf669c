"""Every client follows a leader that moves, by what the answers through the proxy say, and none goes round the proxy.

All of them work at the same time, each with a topic of its own: one producer and one reader that live through all moves. Every
second topic is masked when it is stored, the others when they are read. Clients that have share groups do it in one, too. aiokafka and librdkafka are in `test_cluster_load.py`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support import broker_schemas, ports
from support.batches import read_batches
from support.capture import RawClient, Relay
from support.customers import KEY_ENV, MASKING_RULES, customer, is_masked
from support.javatools import share_from_the_start
from support.kafka import KafkaCluster
from support.leaders import move_leader
from support.programs import PROGRAMS_BY_NAME, SHARE, Program, ToolchainMissing
from support.proxy import ProxyProcess
from support.requests import ask_fetch, topic_id
from support.tripwire import Tripwires, hidden_upstream, strangers
from support.wait import eventually
from support.workload import record

pytestmark = [pytest.mark.broker, pytest.mark.timeout(1200), pytest.mark.xdist_group("cluster")]

FOLLOWERS = {name: (name, "classic") for name in PROGRAMS_BY_NAME if name not in ("aiokafka", "confluent")} | {
    f"{name}-sharing": (name, "share") for name, known in PROGRAMS_BY_NAME.items() if SHARE in known.can
}
"""Client libraries, and whether they read by themselves or in a share group."""

MOVES, BURST = (7, 12, 5), 5
MOVED = {6, 74}
"""NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH: what is told who asks where the leader was."""

SHARE_FETCH = 78
LISTS = {0: ("Name", "PartitionResponses"), 1: ("Topic", "Partitions"), SHARE_FETCH: ("Topic", "Partitions")}
"""In the answers to Produce, Fetch and ShareFetch: the name of a topic, if it has no id there, and its partitions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How the moves were for one client.

    Attributes:
        read: the records as the program told of them.
        stored: their values, read once more through the proxy.
        told: the error codes of the answers to all that it produced and fetched, each with the key of the api.
    """

    read: list[dict[str, Any]]
    stored: list[bytes]
    told: set[tuple[int, int]]


@pytest.fixture(scope="module")
def followed(
    cluster: KafkaCluster, tripwires: Tripwires, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Followed]]:
    """What became of every client that can be had here, by its name."""
    home, block = tmp_path_factory.mktemp("moves"), ports.reserve()
    seen = block.take(9)
    proxy = ProxyProcess(
        home=home / "proxy",
        upstream=cluster.recorded_bootstrap,
        rules=MASKING_RULES,
        env=KEY_ENV,
        first_node=5,
        listener={"advertisedPort": seen},
        settings={"upstream": hidden_upstream(cluster)},
    )
    topics = {
        name: cluster.create_topic(f"{('stored', 'viewed')[place % 2]}-moves-{name}-{os.getpid()}", replication=3)
        for place, name in enumerate(_to_be_had())
    }
    for name, topic in topics.items():
        if FOLLOWERS[name][1] == "share":
            share_from_the_start(cluster.bootstrap, topic)
    try:
        proxy.start()
        with contextlib.ExitStack() as stack:
            relays = [
                stack.enter_context(Relay(listen=seen + 1 + node - 5, target=proxy.port_of(node)))
                for node in cluster.brokers
            ]
            read = _run(cluster, proxy, topics, home)
            told = _told(cluster, relays, topics)
        yield {
            name: Followed(read=records, told=told[topics[name]], stored=_values(proxy, topics[name]))
            for name, records in read.items()
        }
        assert tripwires.touched == 0, "a client went round the proxy"
        assert proxy.terminate() == 0
        assert "internal fault" not in proxy.output()
    finally:
        proxy.dispose()
        block.release()


@pytest.mark.parametrize("name", FOLLOWERS)
def test_a_client_follows_the_leader(
    name: str, available: Callable[[str], Program], followed: dict[str, Followed]
) -> None:
    library, reading = FOLLOWERS[name]
    available(library)

    found = followed[name]

    count = len(MOVES) * BURST
    assert [item["offset"] for item in found.read] == list(range(count))
    assert [item["sha256"] for item in found.read] == [hashlib.sha256(value).hexdigest() for value in found.stored]
    assert [is_masked(value, number) for number, value in enumerate(found.stored)] == [True] * count
    apis = LISTS.keys() if reading == "classic" else {SHARE_FETCH}
    assert {code for key, code in found.told if key in apis} & MOVED, "it was never told that the leader had moved"


def _to_be_had() -> Iterator[str]:
    """Those of `FOLLOWERS` that can be had here; `available` speaks of the others."""
    for name, (library, _) in FOLLOWERS.items():
        with contextlib.suppress(ToolchainMissing):
            PROGRAMS_BY_NAME[library].build()
            yield name


def _run(
    cluster: KafkaCluster, proxy: ProxyProcess, topics: dict[str, str], home: Path
) -> dict[str, list[dict[str, Any]]]:
    """Moves all leaders, has every program send and read after each move, and gives what the programs told."""
    running: dict[str, Future[list[Any]]] = {}
    with ThreadPoolExecutor(len(topics)) as threads:
        for name, topic in topics.items():
            (home / name).mkdir()
            library, reading = FOLLOWERS[name]
            step = {
                "do": "follow",
                "topic": topic,
                "group": topic,
                "rounds": [{"records": _customers(turn * BURST)} for turn in range(len(MOVES))],
                "folder": str(home / name),
                "protocol": reading,
            }
            running[name] = threads.submit(PROGRAMS_BY_NAME[library].run, proxy.bootstrap, [step])
        for turn, node in enumerate(MOVES):
            for name, topic in topics.items():
                move_leader(cluster, topic, 0, node)
                (home / name / f"{turn}.go").touch()
            for name, program in running.items():
                done = home / name / f"{turn}.done"
                eventually(
                    lambda done=done, program=program: done.exists() or program.done(),  # type: ignore[misc]
                    timeout_s=120,
                    what=f"{name} done after move {turn}",
                )
            assert not strangers(cluster, proxy.pid)
        return {name: program.result()[0] for name, program in running.items()}


def _customers(first: int) -> list[dict[str, Any]]:
    return [record(number, value=customer(number).decode()) for number in range(first, first + BURST)]


def _told(cluster: KafkaCluster, relays: list[Relay], topics: dict[str, str]) -> dict[str, set[tuple[int, int]]]:
    """The error codes that the answers had for each topic."""
    names: dict[Any, str] = {topic: topic for topic in topics.values()}
    with RawClient(f"127.0.0.1:{cluster.brokers[5].port}") as direct:
        names |= {topic_id(direct, topic): topic for topic in topics.values()}
    codes: dict[str, set[tuple[int, int]]] = {topic: set() for topic in topics.values()}
    for relay, (key, (name, partitions)) in itertools.product(relays, LISTS.items()):
        for answer in relay.answers(key):
            body = broker_schemas.decode("response", key, answer.version, answer.data[4:])
            for found in body["Responses"]:
                topic = names[found.get(name) or found["TopicId"]]
                codes[topic] |= {(key, partition["ErrorCode"]) for partition in found[partitions]}
    return codes


def _values(proxy: ProxyProcess, topic: str) -> list[bytes]:
    with RawClient(f"127.0.0.1:{proxy.port_of(MOVES[-1])}") as client:
        batches = read_batches(ask_fetch(client, topic).records)
    return [item.value or b"" for batch in batches for item in batch.records]
