"""`make soak`: masked traffic for twenty minutes, after which the process has as much memory as after two.

Raw clients on 20 connections produce masked batches of 16 KB, two of them batches of 1 MB; after every 2,000 requests all are
closed and opened again. The level is the mean of the resident memory over a minute: the last one may be at most 5 %
above that after the warm-up.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import kernel, raw, records
from bench.rows import Bar, Row
from bench.stage import RULE
from bench.stats import spread
from bench.traffic import CpuClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stage import Stage

SECONDS = 1_200
WARM_UP_PART = 0.1
LEVEL_PART = 0.05
CONNECTIONS = 20
ROUND_REQUESTS = 2_000
TOPIC = "masked-produce-soak"
BAR = Bar(kind="at most", limit=1.05)
_MIB = 1024 * 1024


def measure(stage: Stage, *, seconds: float = SECONDS, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """One row: the level at the end, by that after the first tenth of the time."""
    stage.kafka.create_topic(TOPIC, retention_bytes="50000000", segment_bytes="20000000")
    lane = stage.lane(RULE)
    small = raw.request(TOPIC, {0: kernel.build_batch(records.values(15))})
    large = raw.request(TOPIC, {0: kernel.build_batch(records.values(900))})
    frames = [large if number % 10 == 0 else small for number in range(CONNECTIONS)]
    clock = CpuClock(lane.pid)
    seen: list[tuple[float, int]] = []
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        progress(f"soak: {passed:.0f} of {seconds:.0f} s")
        raw.closed_loop(lane.port, frames, requests=ROUND_REQUESTS, clock=clock)
        seen.append((time.monotonic() - begin, stage.proxy.resident_bytes()))
    first = _level(seen, seconds * WARM_UP_PART, seconds * (WARM_UP_PART + LEVEL_PART))
    last = _level(seen, seconds * (1 - LEVEL_PART), seconds * 2)
    return [
        Row(
            part="soak",
            name=f"resident after {seconds:.0f} s",
            unit="MiB",
            figure=spread([last / _MIB]),
            ratio=spread([last / first]),
            to="after the warm-up",
            bar=BAR,
        )
    ]


def _level(seen: list[tuple[float, int]], start_s: float, end_s: float) -> float:
    """The mean of what was seen in a stretch of time; of the nearest look if there was none in it."""
    inside = [size for at, size in seen if start_s <= at <= end_s]
    return sum(inside) / len(inside) if inside else min(seen, key=lambda one: abs(one[0] - start_s))[1]
