"""What every part of the bench comes to: rows of one table, some of them with a bar to meet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.stats import Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What the ratio of a row must reach, by the lower end of its interval.

    So "at least" claims something only if the whole interval is there, and "at most" is missed only if the whole interval
    is beyond.
    """

    kind: Literal["at least", "at most"]
    limit: float

    def is_met(self, ratio: Spread) -> bool:
        """Whether the interval reaches the limit."""
        return ratio.low >= self.limit if self.kind == "at least" else ratio.low <= self.limit

    def __str__(self) -> str:
        return f"{self.kind} {self.limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        part: which part of the bench measured it.
        name: what was measured.
        unit: of `figure`.
        figure: what came out, over all rounds.
        ratio: to what `to` names, of the same round; None where there is nothing to compare with.
        bar: what the ratio must reach.
    """

    part: str
    name: str
    unit: str
    figure: Spread
    ratio: Spread | None = None
    to: str = ""
    bar: Bar | None = None

    @property
    def passed(self) -> bool:
        """Whether the bar is met, or there is none."""
        return self.bar is None or (self.ratio is not None and self.bar.is_met(self.ratio))

    def as_json(self) -> dict[str, Any]:
        """For `out/bench.json`."""
        return {**asdict(self), "passed": self.passed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A part, or a lane of it, that could not be measured; the others went on.

    Attributes:
        is_excused: this machine lacks what is needed, and nobody said that it must have it.
    """

    part: str
    why: str
    is_excused: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `out/bench.json`."""
        return asdict(self)
