"""Medians of ratios, with an interval that assumes nothing of how the measurements are distributed."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The middle of some measurements, and how far they reach.

    `low` and `high` enclose the true median with probability `confidence`: 0.95 or more where there are enough
    measurements (six), else what the least and the greatest of them give.
    """

    median: float
    minimum: float
    maximum: float
    low: float
    high: float
    confidence: float
    count: int


def spread(measurements: Sequence[float]) -> Spread:
    """Sums up measurements that are independent of each other.

    The interval runs from the k-th least to the k-th greatest, with the largest k that keeps the confidence: the true
    median lies outside only if fewer than k of n measurements fell on one side of it, which has the probability of fewer
    than k heads in n throws of a coin, for each side.

    Raises:
        ValueError: there are no measurements.
    """
    ordered = sorted(measurements)
    count = len(ordered)
    if not count:
        raise ValueError("nothing was measured")
    rank, confidence = 1, _confidence(1, count)
    while _confidence(rank + 1, count) >= CONFIDENCE:
        rank += 1
        confidence = _confidence(rank, count)
    return Spread(
        median=statistics.median(ordered),
        minimum=ordered[0],
        maximum=ordered[-1],
        low=ordered[rank - 1],
        high=ordered[-rank],
        confidence=max(confidence, 0.0),
        count=count,
    )


def _confidence(rank: int, count: int) -> float:
    tail = sum(math.comb(count, heads) for heads in range(rank))
    return 1.0 - tail / (1 << (count - 1))
