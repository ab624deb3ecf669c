"""Kafka's own command-line tools, with the Java client of several versions on the class path."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from support import kafka, toolchains
from support.programs import JVM, RUN_S, Command, finish


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleTools:
    """The console and performance tools as one version of the Java client comes with them.

    Attributes:
        classpath: makes it ready; raises `ToolchainMissing` or `KafkaUnavailable`.
        console_producer: the class of that tool, which moved in 4.0.
        producer_setting, consumer_setting: what comes before a setting of a client.
        producer_server: what comes before the address in the performance tool for producers.
        count: what comes before the number of records in the performance tool for consumers.
    """

    classpath: Callable[[], str]
    console_producer: str = "org.apache.kafka.tools.ConsoleProducer"
    producer_setting: str = "--command-property"
    consumer_setting: str = "--command-property"
    producer_server: tuple[str, str] = ("--bootstrap-server", "")
    count: str = "--num-records"

    def run(
        self,
        name: str,
        *arguments: str,
        text: str = "",
        timeout_s: float = RUN_S,
        system: Mapping[str, str] | None = None,
    ) -> str:
        """The standard output of the tool with the class `name`, which reads `text`; `system` are Java's system properties.

        Raises:
            AssertionError: it failed or hung.
        """
        java = shutil.which("java") or "java"
        defined = [f"-D{key}={value}" for key, value in (system or {}).items()]
        command = Command(arguments=(java, *JVM, *defined, "-cp", self.classpath(), name, *arguments))
        done = finish(command, text, timeout_s)
        assert done.returncode == 0, (
            f"{name} ended with {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
        )
        return done.stdout


def _of_the_broker() -> str:
    return f"{kafka.libraries()}/*"


def _with_a_newer_client() -> str:
    """The tools of the broker's version; of the two clients on the path Java takes the first."""
    return f"{toolchains.java_jars('4.4.0')}/kafka-clients-4.4.0.jar:{_of_the_broker()}"


JAVA_TOOLS = {
    kafka.VERSION: ConsoleTools(classpath=_of_the_broker),
    "4.4.0": ConsoleTools(classpath=_with_a_newer_client),
    "3.9.2": ConsoleTools(
        classpath=lambda: f"{toolchains.java_tools('3.9.2')}/*",
        console_producer="kafka.tools.ConsoleProducer",
        producer_setting="--producer-property",
        consumer_setting="--consumer-property",
        producer_server=("--producer-props", "bootstrap.servers="),
        count="--messages",
    ),
}

java_tool = JAVA_TOOLS[kafka.VERSION].run
"""Runs a tool of the broker's version, as `ConsoleTools.run` says."""


def share_from_the_start(bootstrap: str, group: str) -> None:
    """Has a share group begin at the start of its topics; without that it begins at their end."""
    java_tool(
        "kafka.admin.ConfigCommand",
        *("--bootstrap-server", bootstrap, "--alter", "--entity-type", "groups", "--entity-name", group),
        *("--add-config", "share.auto.offset.reset=earliest"),
    )
