"""The proxy on the wire, next to a plain relay: CPU seconds per gigabyte of record values, produced and fetched.

The lanes are those of `bench.stage`: one broker, a real Apache Kafka on the same machine, the same clients and records.

Method: for produce, a new topic each time; for fetch, topics that were filled directly before, read from the beginning. After
a warm-up that is not measured, each round runs all lanes one after the other, and each round begins with another lane, so
that what the machine does besides falls on all of them. A ratio is one lane by the relay in the same round. CPU is
that of the lane's process alone, user and system; what clients and broker cost is the same for all and does not count.
Amounts are fixed. After each run the stored or received records are checked to be masked, or clear, as the lane should have
them, and the batches to be of the size that the row says. A lane that fails is reported and left out of later rounds.

The cost of a mask is what the lane `rule` takes more than the relay in the same round, by what the kernel alone takes for the
same bytes (`bench.kernel`, measured in the same run; the bar counts no kernel as faster than 1 GB/s).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from bench import records, traffic
from bench.rows import Bar, Failed, Row
from bench.stage import BASELINE, NO_RULE, RULE, in_turn
from bench.stats import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.stage import Lane, Stage
    from support.kafka import KafkaCluster

Direction = Literal["produce", "fetch"]
DIRECTIONS: tuple[Direction, ...] = ("produce", "fetch")

SECRET = b"@example.com"
WARM_UP = 10
KERNEL_S_PER_GB = 1.0  # of the reference kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much is sent: batches of `batch_bytes`, `count` records a run."""

    name: str
    batch_bytes: int
    count: int

    def topic_settings(self) -> dict[str, str]:
        """Of a topic: what was deleted leaves the disk at once."""
        return {"file_delete_delay_ms": "0", "max_message_bytes": str(2 * max(self.batch_bytes, 1_000_000))}


FULL = (Load(name="1 MB", batch_bytes=1_000_000, count=150_000), Load(name="16 KB", batch_bytes=16_384, count=50_000))
SMOKE = (Load(name="1 MB", batch_bytes=1_000_000, count=60_000), Load(name="16 KB", batch_bytes=16_384, count=25_000))
FULL_ROUNDS, SMOKE_ROUNDS = 9, 1
NO_RULE_BARS = {"1 MB": Bar(kind="at most", limit=1.15), "16 KB": Bar(kind="at most", limit=1.3)}
RULE_BARS = {"1 MB": Bar(kind="at most", limit=1.3), "16 KB": Bar(kind="at most", limit=2.2)}


def topic_of(lane: Lane, direction: Direction, load: Load, label: str) -> str:
    """A topic that this lane's rules match, or not."""
    kind = "masked" if lane.masked else "clear"
    return f"{kind}-{direction}-{load.name.replace(' ', '')}-{label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WireResult:
    """One row of the table. CPU is in seconds per 10^9 bytes of record values."""

    load: str
    direction: Direction
    lane: str
    cpu_per_gb: Spread
    ratio: Spread
    above_relay: list[float]
    mb_per_s: Spread

    def as_json(self) -> dict[str, Any]:
        """For `out/bench.json`."""
        return asdict(self)


Runs = dict[tuple[Load, Direction, str], list[traffic.Run]]
"""The runs of each row, in the order of the rounds; the last part is the lane's name."""


def count_runs(loads: tuple[Load, ...], rounds: int, lanes: int) -> int:
    """How often `measure` calls `progress`."""
    return len(loads) * len(DIRECTIONS) * lanes * (rounds + 1)


def measure(
    stage: Stage, *, loads: tuple[Load, ...], rounds: int, progress: Callable[[str], None] = lambda _: None
) -> tuple[list[WireResult], list[Failed]]:
    """Runs all lanes; `progress` is told of each run before it begins.

    Raises:
        BadRun: the relay did not do what it should, so there is nothing to compare with.
    """
    lanes = list(stage.lanes)
    runs: Runs = {}
    failed: list[Failed] = []
    for load in loads:
        _fill(stage.kafka, load, lanes)
    for number in range(rounds + 1):
        for load in loads:
            for direction in DIRECTIONS:
                for lane in in_turn(lanes, number):
                    what = "warm-up" if number == 0 else f"round {number}"
                    progress(f"{what}: {lane.name}, {direction}, {load.name}")
                    label = f"round-{number}"
                    try:
                        run = _run(stage.kafka, lane, direction, load, label=label, warming=number == 0)
                    except Exception as error:
                        if lane.name == BASELINE:
                            raise
                        failed.append(Failed(part=f"wire: {lane.name}, {direction}, {load.name}", why=str(error)))
                        lanes.remove(lane)
                        continue
                    if number:
                        runs.setdefault((load, direction, lane.name), []).append(run)
    return [
        _sum_up(load, direction, lane, these, runs[load, direction, BASELINE])
        for (load, direction, lane), these in runs.items()
    ], failed


def rows(results: list[WireResult], kernel_s_per_gb: Mapping[str, float]) -> list[Row]:
    """The table: each lane by the relay, and the cost of masks by the kernel's own, in seconds per GB, by load."""
    table = []
    for result in results:
        name = f"{result.direction}, {result.load}, {result.lane}"
        bar = NO_RULE_BARS[result.load] if result.lane == NO_RULE else None
        table.append(
            Row(
                part="wire",
                name=name,
                unit="CPU s/GB",
                figure=result.cpu_per_gb,
                ratio=result.ratio,
                to="relay",
                bar=bar,
            )
        )
        kernel = kernel_s_per_gb.get(result.load)
        if result.lane == RULE and kernel is not None:
            ratio = spread([above / max(kernel, KERNEL_S_PER_GB) for above in result.above_relay])
            table.append(
                Row(
                    part="wire",
                    name=f"{name}: above the relay",
                    unit="CPU s/GB",
                    figure=spread(result.above_relay),
                    ratio=ratio,
                    to="kernel",
                    bar=RULE_BARS[result.load],
                )
            )
    return table


def _fill(kafka: KafkaCluster, load: Load, lanes: list[Lane]) -> None:
    """Makes the topics that are fetched, in clear; each is read by all lanes that have the same rules."""
    clock = traffic.CpuClock(kafka.broker.pid)
    for topic in sorted({topic_of(lane, "fetch", load, "filled") for lane in lanes}):
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
        topic = topic_of(lane, "fetch", load, "filled")
        count = load.count // WARM_UP if warming else load.count
        run = traffic.fetch(lane.bootstrap, topic, count=count, clock=clock, samples=samples, exactly=not warming)
        if any((SECRET in value) == lane.masked for value in samples):
            raise traffic.BadRun(f"{lane.name}: fetched records are {'clear' if lane.masked else 'masked'}")
        return run
    topic = kafka.create_topic(
        topic_of(lane, "produce", load, f"{lane.name.replace(' ', '-')}-{label}"), **load.topic_settings()
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
    load: Load, direction: Direction, lane: str, runs: list[traffic.Run], baseline: list[traffic.Run]
) -> WireResult:
    pairs = list(zip(runs, baseline, strict=False))  # a lane that failed has fewer
    return WireResult(
        load=load.name,
        direction=direction,
        lane=lane,
        cpu_per_gb=spread([run.cpu_per_gb for run in runs]),
        ratio=spread([run.cpu_per_gb / base.cpu_per_gb for run, base in pairs]),
        above_relay=[run.cpu_per_gb - base.cpu_per_gb for run, base in pairs],
        mb_per_s=spread([run.value_bytes / run.wall_s / 1e6 for run in runs]),
    )
