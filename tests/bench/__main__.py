"""`make bench`: what masking costs, as ratios in one run. `make bench-smoke` is a short form of it.

    PYTHONPATH=tests python -m bench [--smoke] [--kernel-only] [--json FILE]

Two parts, each with its method in its own module: `bench.kernel` (record batches in, masked record batches out, against
aiokafka and orjson) and `bench.wire` (the proxy's CPU next to a plain relay's, against a real Kafka). Seconds differ from
machine to machine and from hour to hour; ratios of one run are what can be compared. Leave the machine alone meanwhile.

Exit code 1: the kernel's bar was missed, or a part could not be measured.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import kernel, report, wire
from bench.traffic import BadRun
from support.kafka import KafkaUnavailable
from support.wait import Expired

if TYPE_CHECKING:
    from collections.abc import Sequence

PIPED_COLUMNS = 120
JSON = Path("out") / "bench.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes JSON; the exit code."""
    options = _parse(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)
    try:
        kernels = _measure_kernel(smoke=options.smoke)
    except kernel.NothingToCompareWith as error:
        console.print(f"kernel not measured: {error}", style="red")
        kernels = []
    else:
        console.print(report.kernel_table(kernels))
    on_the_wire, complete = None, bool(kernels)
    if not options.kernel_only:
        try:
            on_the_wire = _measure_wire(smoke=options.smoke)
        except (KafkaUnavailable, BadRun, Expired) as error:
            console.print(f"proxy not measured: {error}", style="red", markup=False)
            complete = False
        else:
            console.print(report.wire_table(on_the_wire))
    report.write_json(options.json, kernels=kernels, on_the_wire=on_the_wire)
    console.print(f"written to {options.json}")
    return 0 if complete and all(result.passed for result in kernels) else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="What masking costs, as ratios in one run.")
    parser.add_argument("--smoke", action="store_true", help="about a minute: less of everything")
    parser.add_argument("--kernel-only", action="store_true", help="no broker, no proxy")
    parser.add_argument("--json", type=Path, default=JSON, metavar="FILE", help=f"where the figures go ({JSON})")
    return parser.parse_args(arguments)


def _measure_kernel(*, smoke: bool) -> list[kernel.KernelResult]:
    pairs = kernel.SMOKE_PAIRS if smoke else kernel.PAIRS
    with _progress() as progress:
        task = progress.add_task("kernel", total=pairs * len(kernel.BATCH_BYTES))
        return [
            kernel.measure(size, pairs=pairs, progress=lambda: progress.advance(task)) for size in kernel.BATCH_BYTES
        ]


def _measure_wire(*, smoke: bool) -> wire.WireReport:
    loads, rounds = (wire.SMOKE, wire.SMOKE_ROUNDS) if smoke else (wire.FULL, wire.FULL_ROUNDS)
    with _progress() as progress, tempfile.TemporaryDirectory(prefix="wiremask-bench-") as home:
        task = progress.add_task("starting Kafka", total=wire.count_runs(loads, rounds))
        begun = False

        def show(what: str) -> None:
            nonlocal begun
            progress.update(task, description=what, advance=int(begun))
            begun = True

        return wire.measure(Path(home), loads=loads, rounds=rounds, progress=show)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:<45}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


if __name__ == "__main__":
    sys.exit(main())
