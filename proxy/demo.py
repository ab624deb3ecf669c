"""`wiremask demo`: records leave a producer in clear, lie masked on a broker, and reach a consumer masked.

What runs is the real thing: `wiremask run` as a process of its own, and aiokafka clients that know nothing of it but its
address. The broker is the mock cluster inside confluent-kafka, or with `--bootstrap` a real one. The demo checks what it
shows: it reads the broker directly, and fails if a secret is stored there or if any byte changed that no rule names.

    broker, proxy -> send -> read at the broker, read through the proxy -> table -> change a rule -> the same once more

All records are invented: test card numbers, social security numbers of the block that is reserved for advertisements.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code
from rich import box
from rich.console import Console
from rich.prompt import Confirm
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

HOST = "127.0.0.1"
WAIT_S = 20.0
STEP_S = 0.02
PIPED_COLUMNS = 100
MOST_NODES = 1_000
FAILED, TERMINATED = 1, 143

_RULES = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: demo}
rules:
  - name: never-stored          # masked on the way in: the broker never has them in clear
    topics: [TOPIC]
    at: [produce]
    value:
      format: json
      fields:
        - {path: $.card.number, mask: {partial: {keepLast: 4}}}
        - {path: $.customer.ssn, mask: {partial: {keepLast: 4}}}
  - name: not-for-readers       # masked on the way out: stored in clear
    topics: [TOPIC]
    at: [fetch]
    value:
      format: json
      fields:
        - {path: $.customer.name, mask: {partial: {keepFirst: 1}}}
        - {path: $.customer.email, mask: redact}
"""
_BEFORE = "{path: $.customer.ssn, mask: {partial: {keepLast: 4}}}"
_AFTER = "{path: $.customer.ssn, mask: redact}"

_FIELDS = {
    "name": ("customer", "name"),
    "e-mail": ("customer", "email"),
    "ssn": ("customer", "ssn"),
    "card": ("card", "number"),
    "amount": ("amount",),
}
_STORED_MASKED = ("ssn", "card")
_READ_MASKED = ("name", "e-mail", "ssn", "card")

_PEOPLE = (
    ("Ada Example", "ada@example.com", "987-65-4320", "4111 1111 1111 1111", "1250.00"),
    ("Bo Sample", "bo@example.org", "987-65-4321", "5555 5555 5555 4444", "19.90"),
    ("Zoë Muster", "zoe@example.net", "987-65-4322", "3782 822463 10005", "1e3"),
)
_NEWCOMER = ("Noa Placeholder", "noa@example.com", "987-65-4323", "6011 1111 1111 1117", "0.10")


class DemoFailed(Exception):
    """The demo could not be shown; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The broker behind the proxy.

    Attributes:
        nodes: the least and the greatest broker node id.
        topic: where the records go; nobody else uses it.
    """

    bootstrap: str
    nodes: tuple[int, int]
    topic: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One value at three places: as the producer sent it, as the broker stores it, as the consumer got it."""

    sent: bytes
    stored: bytes
    read: bytes


@dataclass(slots=True, kw_only=True)
class Findings:
    """What the demo found when it checked what it showed."""

    faults: list[str] = field(default_factory=list)
    secrets: int = 0

    def check(self, journeys: Sequence[Journey]) -> None:
        """Looks for secrets where they must not be, and for changes where none should be."""
        for number, journey in enumerate(journeys, start=1):
            for place, value, masked in (
                ("stored on the broker", journey.stored, _STORED_MASKED),
                ("given to the consumer", journey.read, _READ_MASKED),
            ):
                self._check_value(f"record {number}, as it was {place}", journey.sent, value, masked)
            self.secrets += len(_STORED_MASKED)

    def _check_value(self, what: str, sent: bytes, value: bytes, masked: Sequence[str]) -> None:
        before, after = _leaves(sent), _leaves(value)
        restored = value.decode()
        for name in masked:
            if before[name] in value.decode():
                self.faults.append(f"{what}: {name} is in clear")
            restored = restored.replace(_quoted(after[name]), _quoted(before[name]), 1)
        if restored.encode() != sent:
            self.faults.append(f"{what}: a byte changed that no rule names")


def main(bootstrap: str | None) -> int:
    """Shows the demo on standard output; 0 if all that it showed was as it should be, else 1.

    Args:
        bootstrap: `host:port,...` of a real cluster to show it against, in a topic of its own; None for the embedded broker.
    """
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)
    # The clients warn of what is normal here, such as a topic that has just been made.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        return asyncio.run(_until_stopped(console, bootstrap))
    except asyncio.CancelledError:
        return TERMINATED
    except (DemoFailed, KafkaError, OSError) as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"demo: {error}", style="red", markup=False)
        return FAILED


async def _until_stopped(console: Console, bootstrap: str | None) -> int:
    """Has SIGTERM and a closed terminal end the demo as Ctrl-C does: everything is cleared away first."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await _show(console, bootstrap)


async def _show(console: Console, bootstrap: str | None) -> int:
    cluster = _embedded_cluster() if bootstrap is None else _real_cluster(console, bootstrap)
    async with cluster as broker:
        with tempfile.TemporaryDirectory(prefix="wiremask-demo-") as folder:
            async with _running_proxy(Path(folder), broker) as proxy:
                findings = await _tell(console, broker, proxy)
    if findings.faults:
        console.print()
        for fault in findings.faults:
            console.print(f"FAILED: {fault}", style="bold red")
        return FAILED
    _print_end(console, findings)
    return 0


async def _tell(console: Console, cluster: Cluster, proxy: Proxy) -> Findings:
    findings = Findings()
    console.print(Text("wiremask demo", style="bold"))
    console.print(f"  broker  {cluster.bootstrap}  ({cluster.kind}, topic {cluster.topic})", soft_wrap=True)
    console.print(
        f"  proxy   {proxy.bootstrap}  (producer and consumer have this address, else nothing is new to them)"
    )

    _print_heading(console, "The rules")
    rules = _RULES.replace("TOPIC", cluster.topic)
    _print_yaml(console, rules)

    _print_heading(console, "Three records on their way")
    sent = [_value(*person) for person in _PEOPLE]
    journeys = await _travel(cluster, proxy, sent, already=0)
    findings.check(journeys)
    _print_journeys(console, journeys)

    _print_heading(console, "One rule changes, the proxy runs on, one more record")
    console.print(Text(f"  - {_BEFORE}", style="red"))
    console.print(Text(f"  + {_AFTER}", style="green"))
    await proxy.change_rules(rules.replace(_BEFORE, _AFTER))
    newcomer = await _travel(cluster, proxy, [_value(*_NEWCOMER)], already=len(sent))
    findings.check(newcomer)
    if _leaves(newcomer[0].stored)["ssn"] != "[redacted]":
        findings.faults.append("the changed rule was not applied")
    _print_journeys(console, newcomer)
    return findings


async def _travel(cluster: Cluster, proxy: Proxy, sent: Sequence[bytes], *, already: int) -> list[Journey]:
    """Sends through the proxy, then reads directly and through the proxy; `already` records are in the topic."""
    producer = AIOKafkaProducer(bootstrap_servers=proxy.bootstrap)
    await producer.start()
    try:
        for value in sent:
            await asyncio.wait_for(producer.send_and_wait(cluster.topic, value, partition=0), WAIT_S)
    finally:
        await producer.stop()
    total = already + len(sent)
    stored = await _read(cluster.bootstrap, cluster.topic, total)
    read = await _read(proxy.bootstrap, cluster.topic, total)
    return [
        Journey(sent=clear, stored=kept, read=seen)
        for clear, kept, seen in zip(sent, stored[already:], read[already:], strict=True)
    ]


async def _read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", fetch_max_wait_ms=100)
    await consumer.start()
    try:
        records = [await asyncio.wait_for(consumer.getone(), WAIT_S) for _ in range(count)]
    except TimeoutError:
        raise DemoFailed(f"of {count} records not all came from {bootstrap} within {WAIT_S:g} s") from None
    finally:
        await consumer.stop()
    return [record.value or b"" for record in records]


@contextlib.asynccontextmanager
async def _embedded_cluster() -> AsyncIterator[Cluster]:
    """The mock cluster of librdkafka: a broker in this process, in memory."""
    try:
        from confluent_kafka import Producer  # noqa: PLC0415 - an extra; a real cluster is shown without it
    except ImportError:
        raise DemoFailed(
            'the embedded broker needs confluent-kafka: pip install "wiremask[demo]"; '
            "or show a real cluster: wiremask demo --bootstrap HOST:PORT"
        ) from None
    owner = Producer({"test.mock.num.brokers": 1, "log_level": 0})
    topic = "customers"
    (broker,) = owner.list_topics(topic, timeout=WAIT_S).brokers.values()  # asking for a topic makes it
    try:
        yield Cluster(
            bootstrap=f"{broker.host}:{broker.port}",
            nodes=(broker.id, broker.id),
            topic=topic,
            kind="embedded, in memory",
        )
    finally:
        del owner  # the broker ends with the client that owns it


@contextlib.asynccontextmanager
async def _real_cluster(console: Console, bootstrap: str) -> AsyncIterator[Cluster]:
    """A topic of the demo's own on a cluster that is there."""
    topic = f"wiremask-demo-{secrets.token_hex(4)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        console.print(f"This creates topic {topic} on {bootstrap}, and deletes it at the end.", style="yellow")
        if sys.stdin.isatty() and not Confirm.ask("Go on?", console=console, default=True):
            raise DemoFailed("nothing was created")
        nodes = [broker["node_id"] for broker in (await admin.describe_cluster())["brokers"]]
        if max(nodes) - min(nodes) >= MOST_NODES:
            raise DemoFailed(f"broker node ids from {min(nodes)} to {max(nodes)} are too many ports for a demo")
        created = await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=-1)])
        for _, code, *words in created.topic_errors:
            if code:
                raise DemoFailed(
                    f"{bootstrap} did not create topic {topic}: {for_code(code).__name__} {words[0] or ''}"
                )
        try:
            yield Cluster(bootstrap=bootstrap, nodes=(min(nodes), max(nodes)), topic=topic, kind="your cluster")
        finally:
            await _delete_topic(admin, topic)
    finally:
        await admin.close()


async def _delete_topic(admin: AIOKafkaAdminClient, topic: str) -> None:
    try:
        deleted = await admin.delete_topics([topic])
        failure = next((for_code(code).__name__ for _, code in deleted.topic_error_codes if code), None)
    except KafkaError as error:
        failure = type(error).__name__
    if failure is not None:
        Console(stderr=True).print(f"demo: topic {topic} is still there, deleting it failed: {failure}", style="yellow")


class Proxy:
    """A running `wiremask run`."""

    def __init__(self, process: subprocess.Popen[bytes], *, home: Path, port: int, admin_port: int) -> None:
        self.bootstrap = f"{HOST}:{port}"
        self._process = process
        self._home = home
        self._admin_port = admin_port

    async def wait_ready(self) -> None:
        """Waits until its `/readyz` says so.

        Raises:
            DemoFailed: it ended or did not get ready; the text has the end of its log.
        """
        await self._wait_for(lambda detail: bool(detail["ready"]), "the proxy did not get ready")

    async def change_rules(self, text: str) -> None:
        """Replaces the rule file and waits until the proxy masks by it.

        Raises:
            DemoFailed: it did not take the new rules.
        """
        before = (await asyncio.to_thread(self._detail))["rules"]["generation"]
        _write_rules(self._home, text)
        await self._wait_for(
            lambda detail: bool(detail["rules"]["generation"] > before), "the proxy did not take the new rules"
        )

    async def _wait_for(self, holds: Callable[[dict[str, Any]], bool], otherwise: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if holds(await asyncio.to_thread(self._detail)):
                    return
            await asyncio.sleep(STEP_S)
        said = (self._home / "proxy.log").read_text("utf-8", "replace").splitlines()[-5:]
        raise DemoFailed("\n  ".join([f"{otherwise}; the end of its log:", *said]))

    def _detail(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self._admin_port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            detail: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return detail


@contextlib.asynccontextmanager
async def _running_proxy(home: Path, cluster: Cluster) -> AsyncIterator[Proxy]:
    """`wiremask run` before the cluster, with its files in `home`; ended at the end."""
    first, last = cluster.nodes
    port, admin_port = _free_ports(2 + last - first), _free_ports(1)
    _write_rules(home, _RULES.replace("TOPIC", cluster.topic))
    config = {
        "upstream": {"bootstrapServers": cluster.bootstrap.split(",")},
        "listeners": [{"address": f"{HOST}:{port}", "nodes": {"first": first, "last": last}}],
        "rules": {"path": str(home / "rules")},
        "admin": {"address": f"{HOST}:{admin_port}"},
    }
    (home / "wiremask.yaml").write_text(json.dumps(config))  # JSON is YAML
    with (home / "proxy.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "wiremask", "run", "--config", str(home / "wiremask.yaml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Settings of the user's own proxy are none of the demo's; and Ctrl-C is the demo's to handle.
            env={name: value for name, value in os.environ.items() if not name.startswith("WIREMASK_")},
            start_new_session=True,
        )
    try:
        proxy = Proxy(process, home=home, port=port, admin_port=admin_port)
        await proxy.wait_ready()
        yield proxy
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _write_rules(home: Path, text: str) -> None:
    (home / "rules").mkdir(exist_ok=True)
    partial = home / "rules.partial"
    partial.write_text(text)
    partial.replace(home / "rules" / "demo.yaml")


def _free_ports(count: int) -> int:
    """The first of so many consecutive ports that are free now."""
    for _ in range(200):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            first: int = _bind(held, 0)
            for port in range(first + 1, first + count):
                _bind(held, port)
            return first
    raise DemoFailed(f"found no {count} free consecutive ports on {HOST}")


def _bind(held: contextlib.ExitStack, port: int) -> int:
    sock = held.enter_context(socket.socket())
    sock.bind((HOST, port))
    bound: int = sock.getsockname()[1]
    return bound


def _value(name: str, email: str, ssn: str, card: str, amount: str) -> bytes:
    """A value as some producer writes it; the amount keeps its zeros only if nobody decodes and encodes it."""
    customer = json.dumps({"name": name, "email": email, "ssn": ssn}, ensure_ascii=False)
    return f'{{"customer": {customer}, "card": {{"number": "{card}"}}, "amount": {amount}}}'.encode()


def _leaves(value: bytes) -> dict[str, str]:
    """What a table shows of a value, by name; numbers as they are written."""
    document = json.loads(value, parse_float=str, parse_int=str)
    found = {}
    for name, path in _FIELDS.items():
        leaf = document
        for step in path:
            leaf = leaf[step]
        found[name] = str(leaf)
    return found


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _print_heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold"))


def _print_yaml(console: Console, text: str) -> None:
    highlighted = Syntax(text, "yaml", theme="ansi_dark", background_color="default").highlight(text)
    highlighted.rstrip()
    for line in highlighted.split():
        console.print(Text("  ") + line, soft_wrap=True)


def _print_journeys(console: Console, journeys: Sequence[Journey]) -> None:
    table = Table(box=box.ROUNDED, padding=(0, 1))
    for title in ("", "sent by the producer", "stored on the broker", "read by the consumer"):
        table.add_column(title)
    for journey in journeys:
        sent, stored, read = (_leaves(value) for value in (journey.sent, journey.stored, journey.read))
        for name in _FIELDS:
            clear = Text(sent[name], style="red" if name in _READ_MASKED else "")
            cells = [clear, *(_compare(name, sent[name], place[name]) for place in (stored, read))]
            table.add_row(Text(name, style="dim"), *cells, end_section=name == list(_FIELDS)[-1])
    console.print(table)


def _compare(name: str, sent: str, now: str) -> Text:
    """The value with what was masked in green, and in red what a rule names elsewhere and is in clear here."""
    if now == sent:
        return Text(now, style="red" if name in _READ_MASKED else "")
    if len(now) != len(sent):
        return Text(now, style="bold green")
    return Text.assemble(*_styled(sent, now))


def _styled(sent: str, now: str) -> Iterator[tuple[str, str]]:
    for before, after in zip(sent, now, strict=True):
        yield after, "" if before == after else "bold green"


def _print_end(console: Console, findings: Findings) -> None:
    console.print()
    console.print(
        f"Verified: none of {findings.secrets} card and social security numbers is on the broker, no name or e-mail "
        "address reached the consumer, and every byte that no rule names came through as it was sent.",
        style="bold green",
    )
    program = shlex.quote(_program())
    console.print("Next: save the rules above as rules/demo.yaml, then")
    for command in (
        f"{program} check rules/",
        f"""echo '{{"customer": {{"ssn": "987-65-4320"}}}}' | {program} mask --rules rules/ --topic customers""",
        f"{program} run --upstream kafka:9092 --rules rules/",
    ):
        console.print(Text(f"  {command}", style="cyan"), soft_wrap=True)


def _program() -> str:
    """How to call wiremask from where the user is."""
    beside = Path(sys.executable).with_name("wiremask")
    if shutil.which("wiremask") is not None or not beside.exists():
        return "wiremask"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)
