"""Runs one target over its seeds and over what comes of changing them; keeps what reaches new code."""

from __future__ import annotations

import faulthandler
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.edges import Edges
from fuzz.mutation import mutate
from fuzz.targets import TARGETS, WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = Path(__file__).parent / "corpus"
HANGS_S = 300  # by the clock on the wall, also where others keep the machine busy
_KEPT = 4000


@dataclass(slots=True, kw_only=True)
class Finding:
    """An input that made a target fail."""

    data: bytes
    error: Exception


@dataclass(slots=True, kw_only=True)
class Report:
    """What a run came to; `kept` are the inputs that reached new code, in the order in which they were found."""

    target: str
    inputs: int = 0
    seconds: float = 0.0
    slowest_s: float = 0.0
    edges: int = 0
    kept: list[bytes] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def seeds(target: str) -> list[bytes]:
    """The corpus of a target, in the order of its files' names."""
    return [path.read_bytes() for path in sorted((CORPUS / target).iterdir())]


def run(
    target: str, *, inputs: int | None = None, seconds: float | None = None, seed: int = 0, last: Path | None = None
) -> Report:
    """Feeds a target until so many inputs or seconds are spent; the same seed gives the same inputs where edges are not known.

    Args:
        last: a file that holds the input that is being tried, for when the process dies of it.
    """
    feed, edges, report = TARGETS[target], Edges(), Report(target=target)
    tried = last.open("w+b", buffering=0) if last is not None else None
    start = time.monotonic()
    for data in _inputs(target, random.Random(seed), report):
        if tried is not None:
            tried.seek(0)
            tried.truncate()
            tried.write(data)
        if report.inputs % 256 == 0:
            faulthandler.dump_traceback_later(HANGS_S, exit=True)
        edges.clear()
        before = time.monotonic()
        try:
            feed(data)
        except Exception as error:
            report.findings.append(Finding(data=data, error=error))
        after = time.monotonic()
        report.inputs += 1
        report.slowest_s = max(report.slowest_s, after - before)
        if edges.are_new():
            report.kept.append(data)
        if (inputs is not None and report.inputs >= inputs) or (seconds is not None and after - start >= seconds):
            break
        if len(report.findings) >= 20:
            break
    if tried is not None:
        tried.close()
    faulthandler.cancel_dump_traceback_later()
    report.seconds, report.edges = time.monotonic() - start, edges.count
    return report


def _inputs(target: str, source: random.Random, report: Report) -> Iterator[bytes]:
    """The seeds, then changes of them and of what was kept, the latest more often."""
    first = [b"", *seeds(target)]
    yield from first
    words = WORDS.get(target, [])
    while True:
        kept = report.kept[-_KEPT:]
        base = source.choice(kept[-200:] if kept and source.random() < 0.5 else kept or first)
        yield mutate(base, kept or first, words, source)
