"""The broker of the demo, and a topic that nobody else uses."""

from __future__ import annotations

import contextlib
import secrets
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code
from rich.prompt import Confirm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import Console

EMBEDDED_TOPIC = "customers"
MOST_NODES = 1_000
REPLICAS = 3
WAIT_S = 20.0


class DemoFailed(Exception):
    """The demo cannot be shown; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What the proxy stands before.

    Attributes:
        bootstrap: `host:port,...` of the brokers themselves.
        nodes: the least and the greatest broker node id.
        kind: what to call it.
    """

    bootstrap: str
    nodes: tuple[int, int]
    topic: str
    kind: str


@contextlib.asynccontextmanager
async def embedded_cluster() -> AsyncIterator[Cluster]:
    """The mock cluster of librdkafka: one broker in this process, in memory.

    Raises:
        DemoFailed: confluent-kafka is not installed.
    """
    try:
        from confluent_kafka import Producer  # noqa: PLC0415 - an extra; a real cluster is shown without it
    except ImportError:
        raise DemoFailed(
            'the embedded broker needs confluent-kafka: pip install "wiremask[demo]"\n'
            "or show it on a cluster that you have: wiremask demo --bootstrap HOST:PORT"
        ) from None
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(EMBEDDED_TOPIC, timeout=WAIT_S).brokers.values()  # to ask for a topic makes it
    try:
        yield Cluster(
            bootstrap=f"{broker.host}:{broker.port}",
            nodes=(broker.id, broker.id),
            topic=EMBEDDED_TOPIC,
            kind="embedded, in memory",
        )
    finally:
        del owner  # the broker ends with the client that owns it


@contextlib.asynccontextmanager
async def real_cluster(console: Console, bootstrap: str) -> AsyncIterator[Cluster]:
    """A new topic on a cluster that is there, deleted at the end.

    Raises:
        DemoFailed: the cluster does not answer or does not take the topic, or the user said no.
        KafkaError: the cluster stopped to answer.
    """
    topic = f"wiremask-demo-{secrets.token_hex(4)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        try:
            await admin.start()
        except KafkaError:
            raise DemoFailed(f"no broker answers at {bootstrap}") from None
        console.print(f"This creates topic {topic} on {bootstrap} and deletes it at the end.", style="yellow")
        if sys.stdin.isatty() and not Confirm.ask("Go on?", console=console, default=True):
            raise DemoFailed("nothing was created")
        nodes = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
        if max(nodes) - min(nodes) >= MOST_NODES:
            raise DemoFailed(f"a port for each node id from {min(nodes)} to {max(nodes)} is too many for a demo")
        await _create_topic(admin, topic, replicas=min(REPLICAS, len(nodes)))
        try:
            yield Cluster(bootstrap=bootstrap, nodes=(min(nodes), max(nodes)), topic=topic, kind="your cluster")
        finally:
            await _delete_topic(admin, topic)
    finally:
        await admin.close()


async def _create_topic(admin: AIOKafkaAdminClient, topic: str, *, replicas: int) -> None:
    created = await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=replicas)])
    for _, code, *_ in created.topic_errors:
        if code:
            raise DemoFailed(f"the cluster did not create topic {topic}: {for_code(code).__name__}")


async def _delete_topic(admin: AIOKafkaAdminClient, topic: str) -> None:
    try:
        deleted = await admin.delete_topics([topic])
        failure = next((for_code(code).__name__ for _, code in deleted.topic_error_codes if code), None)
    except KafkaError as error:
        failure = type(error).__name__
    if failure is not None:
        sys.stderr.write(f"demo: topic {topic} could not be deleted ({failure}) and is still there\n")
