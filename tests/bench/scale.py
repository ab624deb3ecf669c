"""Cost per gigabyte as connections and partitions grow: it should hardly change.

Raw clients send produces of 16 KB batches through the proxy, the same amount at each step. Connections: 1 to 500 of them, with
ten requests of one partition each under way. Partitions: one connection, whose requests have 1 to 1,000 batches, with about a
megabyte under way, so that no step waits for its answers more than another. The ratio of a step is its cost by the least
of all steps of the same round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from confluent_kafka.cimpl import NewTopic

from bench import kernel, raw, records
from bench.rows import Bar, Row
from bench.stage import NO_RULE, RULE
from bench.stats import spread
from bench.traffic import BadRun, CpuClock
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stage import Lane, Stage

BATCH_RECORDS = 15
PIPELINED = 10
UNDER_WAY = 60  # batches, with one connection
CONNECTIONS = (1, 10, 100, 500)
PARTITIONS = (1, 10, 1_000)
BAR = Bar(kind="at most", limit=1.5)


def measure(
    stage: Stage, *, rounds: int, value_bytes: int, progress: Callable[[str], None] = lambda _: None
) -> list[Row]:
    """Both kinds of growth, for topics with and without a rule; `value_bytes` are sent at each step."""
    for kind in ("clear", "masked"):
        _create(stage, f"{kind}-produce-scale")
    table = []
    for name in (NO_RULE, RULE):
        lane = stage.lane(name)
        for what, steps in (("connections", CONNECTIONS), ("partitions", PARTITIONS)):
            costs: dict[int, list[float]] = {step: [] for step in steps}
            for number in range(rounds):
                for step in steps:
                    progress(f"{step} {what}, round {number + 1}: {name}")
                    costs[step].append(_cost(lane, what, step, value_bytes))
            best = [min(of_round) for of_round in zip(*costs.values(), strict=True)]
            table += [
                Row(
                    part="scale",
                    name=f"{step} {what}, {name}",
                    unit="CPU s/GB",
                    figure=spread(costs[step]),
                    ratio=spread([cost / least for cost, least in zip(costs[step], best, strict=True)]),
                    to="best",
                    bar=BAR,
                )
                for step in steps
            ]
    return table


def _create(stage: Stage, topic: str) -> None:
    """A topic whose thousand partitions all take records."""
    made = NewTopic(topic, num_partitions=max(PARTITIONS), replication_factor=1)
    for result in stage.kafka.admin.create_topics([made], operation_timeout=30).values():
        result.result(timeout=60)
    frame = raw.request(topic, dict.fromkeys(range(max(PARTITIONS)), kernel.build_batch(records.values(1))))
    broker = stage.kafka.broker

    def takes_records() -> bool:
        try:
            raw.closed_loop(broker.port, [frame], requests=1, clock=CpuClock(broker.pid), warm_up=0)
        except BadRun:
            return False
        return True

    eventually(takes_records, timeout_s=60, what=f"{topic} led")


def _cost(lane: Lane, what: str, step: int, value_bytes: int) -> float:
    """CPU seconds of the lane's process for a gigabyte."""
    topic = f"{'masked' if lane.masked else 'clear'}-produce-scale"
    batch = kernel.build_batch(records.values(BATCH_RECORDS))
    if what == "connections":
        frames, batches, pipelined = [raw.request(topic, {number: batch}) for number in range(step)], 1, PIPELINED
    else:
        frames, batches = [raw.request(topic, dict.fromkeys(range(step), batch))], step
        pipelined = max(UNDER_WAY // step, 1)
    of_turn = pipelined * batches * BATCH_RECORDS * records.VALUE_BYTES
    turns = max(value_bytes // of_turn, 2 * len(frames))
    loop = raw.closed_loop(lane.port, frames, requests=turns, clock=CpuClock(lane.pid), pipelined=pipelined)
    return loop.cpu_s / (turns * of_turn) * 1e9
