"""The proxy on the wire, next to a plain relay: CPU seconds per gigabyte of record values, produced and fetched.

Three lanes lead to one broker, a real Apache Kafka on the same machine, with the same clients and the same records:

- `relay`: `bench.relay`. The broker has a listener that advertises the relay's port, so clients stay on it and no byte has
  to be rewritten.
- `no rule`: the proxy with rules loaded, on topics that none of them matches.
- `rule`: the same process, on topics with one rule that masks four fields.

Method: for produce, a new topic each time; for fetch, topics that were filled directly before, read from the beginning. After
a warm-up that is not measured, each round runs all lanes one after the other, and each round begins with another lane, so
that what the machine does besides falls on all of them. A ratio is one lane by the relay in the same round. CPU is
that of the lane's process alone, user and system; what clients and broker cost is the same for all and does not count.
Amounts are fixed. After each run the stored or received records are checked to be masked, or clear, as the lane should have
them, and the batches to be of the size that the row says.
"""

from __future__ import annotations

import contextlib
import socket
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil

from bench import records, traffic
from bench.stats import Spread, spread
from support.kafka import running_cluster
from support.process import Child
from support.proxy import ProxyProcess
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.kafka import KafkaCluster

Direction = Literal["produce", "fetch"]
DIRECTIONS: tuple[Direction, ...] = ("produce", "fetch")

SECRET = b"@example.com"
WARM_UP = 10
BASELINE = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is sent: batches of `batch_bytes`, `count` records a run."""

    name: str
    batch_bytes: int
    count: int

    def topic_settings(self) -> dict[str, str]:
        """Of a topic: what was deleted leaves the disk at once."""
        return {"file_delete_delay_ms": "0", "max_message_bytes": str(2 * max(self.batch_bytes, 1_000_000))}


FULL = (Load(name="1 MB", batch_bytes=1_000_000, count=300_000), Load(name="16 KB", batch_bytes=16_384, count=100_000))
SMOKE = (Load(name="1 MB", batch_bytes=1_000_000, count=60_000), Load(name="16 KB", batch_bytes=16_384, count=25_000))
FULL_ROUNDS, SMOKE_ROUNDS = 9, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One way to the broker. `masked` says which topics its clients use, and what comes of the records."""

    name: str
    bootstrap: str
    pid: int
    masked: bool

    def topic(self, direction: Direction, load: Load, label: str) -> str:
        """A topic that this lane's rules match, or not."""
        kind = "masked" if self.masked else "clear"
        return f"{kind}-{direction}-{load.name.replace(' ', '')}-{label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireResult:
    """One row of the table. CPU is in seconds per 10^9 bytes of record values."""

    load: str
    direction: Direction
    lane: str
    cpu_per_gb: Spread
    ratio: Spread
    mb_per_s: Spread

    def as_json(self) -> dict[str, Any]:
        """For `out/bench.json`."""
        return asdict(self)


@dataclass(slots=True)
class _Tally:
    """The runs of one row, in the order of the rounds."""

    runs: list[traffic.Run] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireReport:
    """All rows, and what the processes held at the end (bytes, by process)."""

    results: list[WireResult]
    resident_bytes: dict[str, int]


def count_runs(loads: tuple[Load, ...], rounds: int) -> int:
    """How often `measure` calls `progress`."""
    return len(loads) * len(DIRECTIONS) * 3 * (rounds + 1)


def measure(
    home: Path, *, loads: tuple[Load, ...], rounds: int, progress: Callable[[str], None] = lambda _: None
) -> WireReport:
    """Starts a broker, a relay and a proxy, and runs all lanes; `progress` is told of each run before it begins.

    Args:
        home: an empty folder, for what all of them write; it needs room for about a gigabyte.

    Raises:
        KafkaUnavailable: there is no Java, Maven or Kafka here.
        BadRun: a run did not do what it should measure.
    """
    with running_cluster(home / "kafka") as kafka, _running_lanes(home, kafka) as lanes:
        tallies = {(load, direction, lane): _Tally() for load in loads for direction in DIRECTIONS for lane in lanes}
        for load in loads:
            _fill(kafka, load, lanes)
        for number in range(rounds + 1):
            for load in loads:
                for direction in DIRECTIONS:
                    for lane in lanes[number % len(lanes) :] + lanes[: number % len(lanes)]:
                        warming = number == 0
                        progress(
                            f"{'warm-up' if warming else f'round {number}'}: {lane.name}, {direction}, {load.name}"
                        )
                        run = _run(kafka, lane, direction, load, label=f"round-{number}", warming=warming)
                        if not warming:
                            tallies[load, direction, lane].runs.append(run)
        baseline = next(lane for lane in lanes if lane.name == BASELINE)
        return WireReport(
            results=[
                _sum_up(load, direction, lane, tally.runs, tallies[load, direction, baseline].runs)
                for (load, direction, lane), tally in tallies.items()
            ],
            resident_bytes={
                "relay": psutil.Process(baseline.pid).memory_info().rss,
                "wiremask": psutil.Process(lanes[-1].pid).memory_info().rss,
            },
        )


@contextlib.contextmanager
def _running_lanes(home: Path, kafka: KafkaCluster) -> Iterator[list[Lane]]:
    broker = kafka.broker
    relay = Child(
        [sys.executable, str(Path(__file__).with_name("relay.py")), str(broker.relay_port), str(broker.recorded_port)],
        log=home / "relay.log",
    )
    proxy = ProxyProcess(
        home=home / "proxy",
        upstream=kafka.bootstrap,
        rules=records.rules(produce="masked-produce-*", fetch="masked-fetch-*"),
        settings={"log": {"level": "info"}},
    )
    try:
        relay.start()
        proxy.start()
        eventually(lambda: _listens(broker.relay_port), what=f"the relay listening\n{relay.tail()}")
        yield [
            Lane(name=BASELINE, bootstrap=f"127.0.0.1:{broker.relay_port}", pid=relay.pid, masked=False),
            Lane(name="no rule", bootstrap=proxy.bootstrap, pid=proxy.pid, masked=False),
            Lane(name="rule", bootstrap=proxy.bootstrap, pid=proxy.pid, masked=True),
        ]
    finally:
        relay.stop()
        proxy.dispose()


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True


def _fill(kafka: KafkaCluster, load: Load, lanes: list[Lane]) -> None:
    """Makes the topics that are fetched, in clear; each is read by all lanes that have the same rules."""
    clock = traffic.CpuClock(kafka.broker.pid)
    for topic in sorted({lane.topic("fetch", load, "filled") for lane in lanes}):
        kafka.create_topic(topic, **load.topic_settings())
        traffic.produce(
            kafka.bootstrap, topic, records.values(), count=load.count, batch_bytes=load.batch_bytes, clock=clock
        )
        _check_stored(kafka, topic, load, masked=False)


def _run(
    kafka: KafkaCluster, lane: Lane, direction: Direction, load: Load, *, label: str, warming: bool
) -> traffic.Run:
    clock = traffic.CpuClock(lane.pid)
    if direction == "fetch":
        samples: list[bytes] = []
        topic = lane.topic("fetch", load, "filled")
        count = load.count // WARM_UP if warming else load.count
        run = traffic.fetch(lane.bootstrap, topic, count=count, clock=clock, samples=samples, exactly=not warming)
        if any((SECRET in value) == lane.masked for value in samples):
            raise traffic.BadRun(f"{lane.name}: fetched records are {'clear' if lane.masked else 'masked'}")
        return run
    topic = kafka.create_topic(
        lane.topic("produce", load, f"{lane.name.replace(' ', '-')}-{label}"), **load.topic_settings()
    )
    run = traffic.produce(
        lane.bootstrap,
        topic,
        records.values(),
        count=load.count // WARM_UP if warming else load.count,
        batch_bytes=load.batch_bytes,
        clock=clock,
    )
    _check_stored(kafka, topic, load, masked=lane.masked)
    kafka.delete_topic(topic)
    return run


def _check_stored(kafka: KafkaCluster, topic: str, load: Load, *, masked: bool) -> None:
    """Raises `BadRun` if batches are of another size than the row says, or values clear that should not be."""
    segments = sorted((kafka.broker.data / f"{topic}-0").glob("*.log"))
    mean = traffic.mean_batch_bytes(segments)
    if not 0.9 * load.batch_bytes <= mean <= 1.02 * load.batch_bytes:
        raise traffic.BadRun(f"batches of {mean:.0f} bytes on average are not {load.name}")
    if any(traffic.holds(segment, SECRET) for segment in segments) == masked:
        raise traffic.BadRun(f"what is stored in {topic} is {'clear' if masked else 'masked'}")


def _sum_up(
    load: Load, direction: Direction, lane: Lane, runs: list[traffic.Run], baseline: list[traffic.Run]
) -> WireResult:
    return WireResult(
        load=load.name,
        direction=direction,
        lane=lane.name,
        cpu_per_gb=spread([run.cpu_per_gb for run in runs]),
        ratio=spread([run.cpu_per_gb / base.cpu_per_gb for run, base in zip(runs, baseline, strict=True)]),
        mb_per_s=spread([run.value_bytes / run.wall_s / 1e6 for run in runs]),
    )
