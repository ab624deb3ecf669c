"""`make bench`: what masking costs, as ratios in one run. `make bench-smoke` is a short form of it.

    PYTHONPATH=tests python -m bench [PART ...] [--smoke] [--target NAME=HOST:PORT,PID] [--json FILE]

Each part has its method in its own module; without names all of them run, save `soak`. Seconds differ from machine to machine
and from hour to hour; ratios of one run are what can be compared. Leave the machine alone meanwhile. A part that fails is
reported, and the others go on.

Exit code 1: a bar was missed, or something could not be measured. A machine without HAProxy is told of, and no more than that
unless WIREMASK_REQUIRE_HAPROXY is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench import codecs, detectors, growth, kernel, keyed, latency, masks, process, report, scale, soak, wire
from bench.rows import Failed
from bench.stage import KAFKA_PORT, Stage, Target, running_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.rows import Row

PIPED_COLUMNS = 200
JSON = Path("out") / "bench.json"


@dataclass(slots=True)
class Run:
    """One run: how much is measured, and what is known so far."""

    smoke: bool
    home: Path
    targets: Sequence[Target]
    console: Console
    stack: contextlib.ExitStack
    failed: list[Failed] = field(default_factory=list)
    kernel_s_per_gb: dict[str, float] = field(default_factory=dict)
    _stage: Stage | None = None

    @property
    def stage(self) -> Stage:
        """Broker and lanes, started when first asked for."""
        if self._stage is None:
            self.tell("starting Kafka, relay, HAProxy and the proxy")
            self._stage = self.stack.enter_context(running_stage(self.home, targets=self.targets))
            self.failed += self._stage.missing
        return self._stage

    def tell(self, what: str) -> None:
        """Says what is done now, to who watches."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{what[:100]}")


def _kernel(run: Run) -> list[Row]:
    pairs = 5 if run.smoke else kernel.PAIRS
    table = []
    for size in kernel.BATCH_BYTES:
        run.tell(f"kernel, {size}")
        result = kernel.measure(size, pairs=pairs)
        run.kernel_s_per_gb[size] = result.seconds_per_gb
        table += kernel.rows(result)
    return table


def _masks(run: Run) -> list[Row]:
    return masks.measure(rounds=1 if run.smoke else 5, progress=run.tell) + keyed.measure(
        rounds=1 if run.smoke else 9, progress=run.tell
    )


def _wire(run: Run) -> list[Row]:
    loads, rounds = (wire.SMOKE, wire.SMOKE_ROUNDS) if run.smoke else (wire.FULL, wire.FULL_ROUNDS)
    results, failed = wire.measure(run.stage, loads=loads, rounds=rounds, progress=run.tell)
    run.failed += failed
    return wire.rows(results, run.kernel_s_per_gb)


def _latency(run: Run) -> list[Row]:
    rounds, requests = (1, 200) if run.smoke else (9, 400)
    return latency.measure(run.stage, rounds=rounds, requests=requests, progress=run.tell)


def _scale(run: Run) -> list[Row]:
    rounds, value_bytes = (1, 8_000_000) if run.smoke else (3, 60_000_000)
    return scale.measure(run.stage, rounds=rounds, value_bytes=value_bytes, progress=run.tell)


def _process(run: Run) -> list[Row]:
    return process.measure(run.stage, run.home, rounds=1 if run.smoke else 5, progress=run.tell)


PARTS: dict[str, Callable[[Run], list[Row]]] = {
    "kernel": _kernel,
    "growth": lambda run: growth.measure(rounds=1 if run.smoke else 9, progress=run.tell),
    "codecs": lambda run: codecs.measure(rounds=1 if run.smoke else 9, progress=run.tell),
    "masks": _masks,
    "detectors": lambda run: detectors.measure(rounds=1 if run.smoke else 9, progress=run.tell),
    "wire": _wire,
    "latency": _latency,
    "scale": _scale,
    "process": _process,
    "soak": lambda run: soak.measure(run.stage, seconds=60 if run.smoke else soak.SECONDS, progress=run.tell),
}
APART = frozenset({"soak"})
"""Parts that only run when they are named."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints, writes JSON and a picture; the exit code."""
    options = _parse(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)
    if options.target:
        console.print(f"targets lead to the broker at 127.0.0.1:{KAFKA_PORT}")
    rows: list[Row] = []
    with _run(options, console) as run:
        for name in options.parts or [name for name in PARTS if name not in APART]:
            try:
                measured = PARTS[name](run)
            except Exception as error:  # the other parts go on
                run.failed.append(Failed(part=name, why=f"{type(error).__name__}: {error}"))
            else:
                rows += measured
                run.tell("")
                console.print(report.table(measured, title=name))
        failed = run.failed
    for one in failed:
        console.print(f"NOT MEASURED: {one.part}: {one.why}", style="bold red", markup=False)
    report.write_json(options.json, rows=rows, failed=failed)
    picture = options.json.with_suffix(".png")
    drawn = report.write_picture(picture, rows)
    missed = [row for row in rows if not row.passed]
    console.print(
        f"written to {options.json}{f' and {picture}' if drawn else '; there is no matplotlib for a picture'}"
    )
    console.print(f"{len(rows)} rows, {len(missed)} bars missed, {len(failed)} not measured")
    return 1 if missed or not all(one.is_excused for one in failed) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description="What masking costs, as ratios in one run.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"all of {', '.join(PARTS)} (soak if named) if none")
    parser.add_argument("--smoke", action="store_true", help="about a minute: less of everything")
    parser.add_argument("--target", type=Target.parse, action="append", default=[], metavar="NAME=HOST:PORT,PID")
    parser.add_argument("--json", type=Path, default=JSON, metavar="FILE", help=f"where the figures go ({JSON})")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return options


@contextlib.contextmanager
def _run(options: argparse.Namespace, console: Console) -> Iterator[Run]:
    with contextlib.ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wiremask-bench-")))
        yield Run(smoke=options.smoke, home=home, targets=options.target, console=console, stack=stack)


if __name__ == "__main__":
    sys.exit(main())
