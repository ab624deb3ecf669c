"""Added latency: one record at a time, acks=all, on one connection; the same on 64 of them; and beside a large batch.

Each round goes direct to the broker and then through every lane, in turns, with raw clients (`bench.raw`). What a lane adds is
its median less the direct one of the same round. The neighbour sends one masked batch of 10 MB after the other while small
produces are timed on another connection; the same through the relay says what the broker itself does to them.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from bench import kernel, raw, records
from bench.rows import Bar, Row
from bench.stage import BASELINE, NO_RULE, RULE, Lane, in_turn
from bench.stats import spread
from bench.traffic import CpuClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.stage import Stage

CONNECTIONS = 64
NEIGHBOUR_BYTES = 10_000_000
NEIGHBOUR_LIMIT_S = 0.010
DIRECT = "direct"
_BARS = {NO_RULE: Bar(kind="at most", limit=1.4)}


def measure(stage: Stage, *, rounds: int, requests: int, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """All three; `requests` are those of one lane in one round."""
    kafka = stage.kafka
    for kind in ("clear", "masked"):
        kafka.create_topic(f"{kind}-produce-latency", max_message_bytes=str(2 * NEIGHBOUR_BYTES))
    lanes = [Lane(name=DIRECT, bootstrap=kafka.bootstrap, pid=kafka.broker.pid, masked=False), *stage.lanes]
    return [
        *_one_at_a_time(lanes, rounds=rounds, requests=requests, progress=progress),
        *_at_once(lanes, rounds=rounds, requests=requests * 4, progress=progress),
        *_beside_a_large_batch(stage, rounds=max(rounds // 3, 1), requests=requests, progress=progress),
    ]


def _frame(lane: Lane, size: int = records.VALUE_BYTES) -> bytes:
    topic = f"{'masked' if lane.masked else 'clear'}-produce-latency"
    return raw.request(topic, {0: kernel.build_batch(records.values(max(size // records.VALUE_BYTES, 1)))})


def _one_at_a_time(lanes: Sequence[Lane], *, rounds: int, requests: int, progress: Callable[[str], None]) -> list[Row]:
    medians: dict[str, list[float]] = {lane.name: [] for lane in lanes}
    cpu: dict[str, list[float]] = {lane.name: [] for lane in lanes}
    for number in range(rounds):
        for lane in in_turn(lanes, number):
            progress(f"one at a time, round {number + 1}: {lane.name}")
            loop = raw.closed_loop(lane.port, [_frame(lane)], requests=requests, clock=CpuClock(lane.pid), warm_up=50)
            medians[lane.name].append(loop.percentile_s(50) * 1e6)
            cpu[lane.name].append(loop.cpu_s / requests * 1e6)
    table = [Row(part="latency", name="one at a time, direct: p50", unit="us", figure=spread(medians[DIRECT]))]
    for name, of_lane in medians.items():
        if name == DIRECT:
            continue
        for what, figures, relay in (
            ("p50 added", _less(of_lane, medians[DIRECT]), _less(medians[BASELINE], medians[DIRECT])),
            ("CPU a request", cpu[name], cpu[BASELINE]),
        ):
            ratio = spread([figure / max(base, 1.0) for figure, base in zip(figures, relay, strict=True)])
            table.append(
                Row(
                    part="latency",
                    name=f"one at a time, {name}: {what}",
                    unit="us",
                    figure=spread(figures),
                    ratio=ratio,
                    to="relay",
                    bar=_BARS.get(name),
                )
            )
    return table


def _less(figures: Sequence[float], base: Sequence[float]) -> list[float]:
    return [figure - of_base for figure, of_base in zip(figures, base, strict=True)]


def _at_once(lanes: Sequence[Lane], *, rounds: int, requests: int, progress: Callable[[str], None]) -> list[Row]:
    tails: dict[str, list[float]] = {lane.name: [] for lane in lanes}
    ratios: dict[str, list[float]] = {lane.name: [] for lane in lanes}
    for number in range(rounds):
        for lane in in_turn(lanes, number):
            progress(f"{CONNECTIONS} connections, round {number + 1}: {lane.name}")
            frames = [_frame(lane)] * CONNECTIONS
            loop = raw.closed_loop(lane.port, frames, requests=requests, clock=CpuClock(lane.pid), warm_up=3)
            tails[lane.name].append(loop.percentile_s(99) * 1e6)
            ratios[lane.name].append(loop.percentile_s(99) / loop.percentile_s(50))
    return [
        Row(
            part="latency",
            name=f"{CONNECTIONS} connections, {name}: p99",
            unit="us",
            figure=spread(tails[name]),
            ratio=spread(ratios[name]),
            to="its p50",
            bar=Bar(kind="at most", limit=3) if name in (NO_RULE, RULE) else None,
        )
        for name in tails
    ]


def _beside_a_large_batch(stage: Stage, *, rounds: int, requests: int, progress: Callable[[str], None]) -> list[Row]:
    delays: dict[str, list[float]] = {BASELINE: [], RULE: []}
    for number in range(rounds):
        for name, of_lane in delays.items():
            lane = stage.lane(name)
            clock, frame = CpuClock(lane.pid), _frame(lane)
            progress(f"beside a batch of 10 MB, round {number + 1}: {name}")
            quiet = raw.closed_loop(lane.port, [frame], requests=requests, clock=clock)
            with _neighbour(lane):
                disturbed = raw.closed_loop(lane.port, [frame], requests=requests, clock=clock)
            of_lane.append(disturbed.percentile_s(99) - quiet.percentile_s(99))
    ours = _less(delays[RULE], delays[BASELINE])
    return [
        Row(
            part="latency",
            name="beside a masked batch of 10 MB: p99 delayed more than by the relay",
            unit="ms",
            figure=spread([delay * 1e3 for delay in ours]),
            ratio=spread([delay / NEIGHBOUR_LIMIT_S for delay in ours]),
            to="10 ms",
            bar=Bar(kind="at most", limit=1),
        )
    ]


@contextlib.contextmanager
def _neighbour(lane: Lane) -> Iterator[None]:
    """Somebody who sends large batches meanwhile."""
    over = threading.Event()
    frame, clock = _frame(lane, NEIGHBOUR_BYTES), CpuClock(lane.pid)
    raw.closed_loop(lane.port, [frame], requests=1, clock=clock)
    failures: list[BaseException] = []

    def send() -> None:
        try:
            while not over.is_set():
                raw.closed_loop(lane.port, [frame], requests=1, clock=clock, warm_up=0)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]
