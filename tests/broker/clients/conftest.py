"""Fixtures of the tests that drive every client library as a program, directly and through a proxy."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import pytest

from support import ports, workload
from support.conversation import Conversation, Recorder, recording
from support.javatools import share_from_the_start
from support.kafka import KafkaCluster
from support.programs import CONSUMER_PROTOCOL, PROGRAMS_BY_NAME, SHARE, Program
from support.proxy import ProxyProcess
from support.required import needed
from support.rulefolder import IDLE_RULES

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The workload as one program did it: its results by the names of the steps, and what was said on the wire.

    Attributes:
        broker: the address at which the client was told that the broker is.
    """

    results: dict[str, Any]
    conversation: Conversation
    broker: str


RunWorkload = Callable[..., Run]


def _one_worker_each(*names: str) -> list[Any]:
    """Client libraries as parameters; all tests of one run where its workload has been recorded."""
    return [pytest.param(name, marks=pytest.mark.xdist_group(f"client-{name}")) for name in names]


@pytest.fixture(params=_one_worker_each(*PROGRAMS_BY_NAME))
def program(request: pytest.FixtureRequest, available: Callable[[str], Program]) -> Program:
    """Each client library in turn, ready to run."""
    return available(cast("str", request.param))


@pytest.fixture(
    params=_one_worker_each(*(name for name, known in PROGRAMS_BY_NAME.items() if CONSUMER_PROTOCOL in known.can))
)
def newer_program(request: pytest.FixtureRequest, available: Callable[[str], Program]) -> Program:
    """Each client library that has groups whose members the broker assigns, ready to run."""
    return available(cast("str", request.param))


@pytest.fixture(scope="session")
def available() -> Callable[[str], Program]:
    """The client library of a name, ready to run; one that cannot be had here is left out, loudly, unless it is required."""

    def make(name: str) -> Program:
        wanted = PROGRAMS_BY_NAME[name]
        with needed(f"client {name}", required_by=wanted.required_by):
            wanted.build()
        return wanted

    return make


@pytest.fixture(scope="session")
def run_workload(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunWorkload]:
    """Runs the workload, or that of the newer groups, `direct` or `through` a proxy; each once, for all tests that look at it.

    The proxy has no rule for its topics, and for some of the clients none that acts at produce, or none at fetch.
    """
    block, shown = ports.reserve(), ports.reserve()
    bootstrap_port = block.take()
    shown_port = shown.take(5)  # the proxy's bootstrap port and those of nodes 0 to 3, as clients are told
    proxy = ProxyProcess(
        home=tmp_path_factory.mktemp("shown"), upstream=kafka.bootstrap, listener={"advertisedPort": shown_port}
    )
    node = kafka.broker.node_id

    def recorder(way: str) -> contextlib.AbstractContextManager[Recorder]:
        if way == "direct":
            target = kafka.broker.recorded_port
            return recording(bootstrap=(bootstrap_port, target), broker=(kafka.broker.relay_port, target))
        return recording(bootstrap=(shown_port, proxy.port), broker=(shown_port + 1 + node, proxy.port_of(node)))

    @cache
    def run(program: Program, way: str, *, newer_groups: bool = False) -> Run:
        stem = f"{program.name}-{way}-{os.getpid()}-{next(_numbers)}"
        rules = _idle_rules(program)
        if way == "through" and (proxy.rules.path / "rules.yaml").read_text() != rules:
            assert proxy.terminate() == 0
            proxy.rules.write(rules)
            proxy.start()
        steps = workload.steps(stem)
        if newer_groups:
            steps = workload.steps_of_newer_groups(stem, share=SHARE in program.can)
        if "share" in steps:
            share_from_the_start(kafka.bootstrap, workload.share_group(stem))
        create, rest = steps["create"], {name: step for name, step in steps.items() if name != "create"}
        with recorder(way) as wire:
            results = {"create": program.run(wire.bootstrap, [create])[0]}
            # A client that produces at once meets NOT_LEADER_OR_FOLLOWER now and then, which is for another test.
            for topic in create["topics"]:
                kafka.wait_led(topic["name"], topic["partitions"])
            results |= dict(zip(rest, program.run(wire.bootstrap, list(rest.values())), strict=True))
            return Run(results=results, conversation=wire.conversation(), broker=wire.broker)

    try:
        proxy.start()
        yield run
        assert proxy.terminate() == 0
        assert "internal fault" not in proxy.output()
    finally:
        proxy.dispose()
        for reserved in (block, shown):
            reserved.release()


def _idle_rules(program: Program) -> str:
    """One of `IDLE_RULES`, always the same for a client, so that each is there for some of them."""
    kinds = list(IDLE_RULES.values())
    return kinds[list(PROGRAMS_BY_NAME).index(program.name) % len(kinds)]
