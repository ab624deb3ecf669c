"""What a run of the bench prints, and writes as JSON and as a picture."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

import psutil
from rich import box
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.rows import Failed, Row
    from bench.stats import Spread

COLUMNS = ("part", "what", "median", "min", "max", "unit", "ratio", "to", "95 % interval", "bar", "")
_LEFT = frozenset({"part", "what", "unit", "to", "bar", ""})
_BAR_COLOURS = {True: "#4a7a4a", False: "#b04a3a"}


def table(rows: Sequence[Row], *, title: str) -> Table:
    """One line for each row."""
    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in COLUMNS:
        made.add_column(column, justify="left" if column in _LEFT else "right", overflow="fold")
    for row in rows:
        ratio = row.ratio
        made.add_row(
            row.part,
            escape(row.name),
            _figure(row.figure.median),
            _figure(row.figure.minimum),
            _figure(row.figure.maximum),
            row.unit,
            "" if ratio is None else f"{ratio.median:.2f}",
            row.to,
            "" if ratio is None else _interval(ratio),
            "" if row.bar is None else str(row.bar),
            "" if row.bar is None else "reached" if row.passed else "MISSED",
        )
    return made


def _figure(figure: float) -> str:
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def _interval(ratio: Spread) -> str:
    text = f"{ratio.low:.2f} - {ratio.high:.2f}"
    return text if ratio.confidence >= 0.95 else f"{text} ({ratio.confidence:.0%})"


def write_json(file: Path, *, rows: Sequence[Row], failed: Sequence[Failed]) -> None:
    """Everything that was measured, and on what."""
    content: dict[str, Any] = {
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": _processor(),
            "cores": psutil.cpu_count(),
            "load": psutil.getloadavg(),
            "python": platform.python_version(),
        },
        "rows": [row.as_json() for row in rows],
        "failed": [one.as_json() for one in failed],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")


def write_picture(file: Path, rows: Sequence[Row]) -> bool:
    """All ratios with their intervals and bars, by part; False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    compared = [row for row in rows if row.ratio is not None]
    figure = Figure(figsize=(11, 1.5 + 0.24 * len(compared)))
    axes = figure.add_subplot()
    for at, row in enumerate(reversed(compared)):
        assert row.ratio is not None
        ratio, colour = row.ratio, "#55606e" if row.bar is None else _BAR_COLOURS[row.passed]
        axes.plot([ratio.low, ratio.high], [at, at], color=colour, linewidth=2)
        axes.plot([ratio.median], [at], "o", color=colour, markersize=4)
        if row.bar is not None:
            axes.plot([row.bar.limit], [at], "|", color="black", markersize=10)
    axes.set_yticks(
        range(len(compared)), [f"{row.part}: {row.name} / {row.to}" for row in reversed(compared)], fontsize=7
    )
    axes.set_xscale("log")
    axes.set_xlabel("ratio: median and interval; the stroke is the bar")
    axes.grid(visible=True, axis="x", which="both", linewidth=0.3)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
    return True


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a pseudo-file
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
