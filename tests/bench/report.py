"""What a run of the bench prints, and writes as JSON."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

import psutil
from rich import box
from rich.table import Table

from bench import kernel, wire

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.stats import Spread


def kernel_table(results: Sequence[kernel.KernelResult]) -> Table:
    """The kernel against aiokafka and orjson."""
    table = Table(
        title=f"Kernel against aiokafka + orjson: 1 KB records, four masks, at least {kernel.BAR:g} times faster",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for title in (
        "batches",
        "kernel ns/record",
        "other ns/record",
        "kernel GB/s",
        "times faster",
        "95 % interval",
        "pairs",
        "",
    ):
        table.add_column(title, justify="left" if title in ("batches", "") else "right")
    for result in results:
        table.add_row(
            result.batch,
            f"{result.ours_ns.median:,.0f}",
            f"{result.theirs_ns.median:,.0f}",
            f"{result.rate / 1e9:.2f}",
            f"{result.ratio.median:.1f}",
            _interval(result.ratio),
            str(result.ratio.count),
            "reached" if result.passed else "MISSED",
        )
    return table


def wire_table(report: wire.WireReport) -> Table:
    """The lanes next to the relay."""
    confidence = report.results[0].ratio.confidence
    table = Table(
        title="Proxy on the wire: its CPU seconds per GB of record values, and the ratio to a plain relay",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    for title in (
        "batches",
        "direction",
        "lane",
        "CPU s/GB",
        "min",
        "max",
        "times relay",
        f"{confidence:.0%} interval",
        "MB/s",
    ):
        table.add_column(title, justify="left" if title in ("batches", "direction", "lane") else "right")
    for result in report.results:
        table.add_row(
            result.load,
            result.direction,
            result.lane,
            f"{result.cpu_per_gb.median:.2f}",
            f"{result.cpu_per_gb.minimum:.2f}",
            f"{result.cpu_per_gb.maximum:.2f}",
            f"{result.ratio.median:.2f}",
            "" if result.lane == wire.BASELINE else _interval(result.ratio),
            f"{result.mb_per_s.median:.0f}",
            end_section=result.lane == report.results[-1].lane,
        )
    return table


def _interval(spread: Spread) -> str:
    return f"{spread.low:.2f} - {spread.high:.2f}"


def write_json(file: Path, *, kernels: Sequence[kernel.KernelResult], on_the_wire: wire.WireReport | None) -> None:
    """Everything that was measured, and on what."""
    content: dict[str, Any] = {
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": _processor(),
            "cores": psutil.cpu_count(),
            "python": platform.python_version(),
        },
        "kernel": [result.as_json() for result in kernels],
        "wire": None if on_the_wire is None else [result.as_json() for result in on_the_wire.results],
        "resident_bytes": None if on_the_wire is None else on_the_wire.resident_bytes,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - a pseudo-file
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
