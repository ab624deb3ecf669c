"""Every client library as a program: one JSON specification in, one JSON line out for each of its steps.

The sources are in `tests/clients/`; what the steps are is said in `tests/clients/README.md`. A program knows nothing of a
proxy: it gets a bootstrap address and does as it is told.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from support import kafka, toolchains
from support.toolchains import PROGRAMS, ToolchainMissing

RUN_S = 240.0

Step = Mapping[str, Any]

CONSUMER_PROTOCOL, SHARE, NEW_TRANSACTIONS = "consumer protocol", "share", "new transactions"
_EVERYTHING = frozenset({CONSUMER_PROTOCOL, SHARE, NEW_TRANSACTIONS})

# Short runs: the quick compiler, and no second thread of the collector.
JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """How a program is started."""

    arguments: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One client library at one version.

    Attributes:
        build: makes it ready, on the first call on a machine; raises `ToolchainMissing`.
        can: what not every library can do: `consumer protocol` (KIP-848), `share` (KIP-932), `new transactions` (KIP-890).
        partitions_a_produce: how many of 200 partitions that all have a record a Produce request takes; librdkafka sends one
            request for each.
        required_by: the environment variable that makes a missing program a failure.
    """

    name: str
    build: Callable[[], Command]
    can: frozenset[str] = frozenset()
    partitions_a_produce: int = 200
    required_by: str = "WIREMASK_REQUIRE_CLIENTS"

    def run(
        self,
        bootstrap: str,
        steps: Sequence[Step],
        *,
        settings: Mapping[str, str] | None = None,
        timeout_s: float = RUN_S,
    ) -> list[Any]:
        """What the library says to each step; `settings` are the library's own, where its program takes them.

        Raises:
            ToolchainMissing: the program cannot be had here.
            AssertionError: the program failed or hung; the text has its error output.
        """
        command = self.build()
        specification = {"bootstrap": bootstrap, "settings": dict(settings or {}), "steps": list(steps)}
        done = finish(command, json.dumps(specification), timeout_s)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert (done.returncode, len(lines)) == (0, len(steps)), (
            f"{self.name} ended with {done.returncode} after {len(lines)} of {len(steps)} steps\n{done.stderr[-3000:]}"
        )
        return [line["result"] for line in lines]


def finish(command: Command, text: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Runs a program, which reads `text`, to its end. The kernel ends it with us, also after a SIGKILL of the test process.

    The signal comes when the thread that started the program ends, and this one waits for it.
    """
    setpriv = shutil.which("setpriv")
    prefix = (setpriv, "--pdeathsig", "KILL") if setpriv else ()
    child = subprocess.Popen(
        (*prefix, *command.arguments),
        env={**os.environ, **dict(command.env)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = child.communicate(text, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        out, err = child.communicate()
        err = f"it hung for {timeout_s:g} s\n{err}"
    finally:
        child.kill()
        child.wait()
    return subprocess.CompletedProcess(command.arguments, child.returncode, out, err)


def _python(script: str, requirement: str | None = None) -> Command:
    path = () if requirement is None else (("PYTHONPATH", str(toolchains.python_packages(requirement))),)
    return Command(arguments=(sys.executable, str(PROGRAMS / "python" / script)), env=path)


def _java(version: str) -> Command:
    java = shutil.which("java") or "java"
    return Command(arguments=(java, *JVM, "-cp", toolchains.java_classpath(version), "Client"))


def _go(name: str) -> Command:
    return Command(arguments=(str(toolchains.go_program(name)),))


def _node() -> Command:
    modules = toolchains.node_modules()
    return Command(arguments=("node", str(PROGRAMS / "node" / "use_kafkajs.js")), env=(("NODE_PATH", str(modules)),))


_ALWAYS = "WIREMASK_REQUIRE_BROKER"
PROGRAMS_BY_NAME: dict[str, Program] = {
    program.name: program
    for program in (
        Program(name="aiokafka", build=partial(_python, "use_aiokafka.py"), required_by=_ALWAYS),
        Program(
            name="confluent",
            build=partial(_python, "use_confluent.py"),
            can=frozenset({CONSUMER_PROTOCOL}),
            partitions_a_produce=1,
            required_by=_ALWAYS,
        ),
        Program(name="kafka-python-3", build=partial(_python, "use_kafka_python.py"), required_by=_ALWAYS),
        Program(
            name="kafka-python-2.3",
            build=partial(_python, "use_kafka_python.py", "kafka-python==2.3.3"),
            required_by=_ALWAYS,
        ),
        Program(name="java-4.4", build=partial(_java, "4.4.0"), can=_EVERYTHING, required_by=_ALWAYS),
        Program(name="java-4.3", build=partial(_java, kafka.VERSION), can=_EVERYTHING, required_by=_ALWAYS),
        Program(
            name="java-3.9", build=partial(_java, "3.9.2"), can=frozenset({CONSUMER_PROTOCOL}), required_by=_ALWAYS
        ),
        Program(name="franz-go", build=partial(_go, "franz"), can=_EVERYTHING),
        Program(name="sarama", build=partial(_go, "sarama")),
        Program(name="kafkajs", build=_node),
    )
}

__all__ = [
    "CONSUMER_PROTOCOL",
    "JVM",
    "NEW_TRANSACTIONS",
    "PROGRAMS_BY_NAME",
    "RUN_S",
    "SHARE",
    "Command",
    "Program",
    "Step",
    "ToolchainMissing",
    "finish",
]
