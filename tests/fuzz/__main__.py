"""`make fuzz`: every target in turn, for as long as is asked.

What is compiled runs in a sanitized build that tells its edges, where gcc is there; what is Python runs under atheris, where
that is installed. Without them the same inputs are made blindly.

    PYTHONPATH=tests python -m fuzz [--seconds N] [--seed N] [--out DIRECTORY] [TARGET ...]

Each target has a process of its own: an input that kills it is left in `out/fuzz/TARGET.last`, one that fails in
`out/fuzz/TARGET.N.found`, and what reached new code in `out/fuzz/TARGET.kept/`, from where the small and the telling ones may
go into the corpus. Exit code 1: there are findings.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from fuzz import sanitized
from fuzz.mutation import MOST_BYTES
from fuzz.run import CORPUS, HANGS_S, run
from fuzz.targets import PYTHON, TARGETS

INSIDE = "--inside"


def main() -> int:
    """Starts a process for each target, or is one."""
    parser = argparse.ArgumentParser(prog="fuzz", description="Fuzz what reads bytes of strangers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; all by default")
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out") / "fuzz")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    if options.inside:
        return _fuzz(options.targets[0], options.seconds, options.seed, out)
    failed = [one for one in options.targets or TARGETS if not _start(one, options.seconds, options.seed, out)]
    if failed:
        print(f"findings: {', '.join(failed)}; see {out}", file=sys.stderr)
    return 1 if failed else 0


def _start(target: str, seconds: float, seed: int, out: Path) -> bool:
    """Fuzzes one target in a process of its own; whether nothing was found."""
    if target in PYTHON and find_spec("atheris"):
        found, corpus = f"-artifact_prefix={out / target}.", out / f"{target}.guided"
        corpus.mkdir(exist_ok=True)
        limits = [
            f"-max_total_time={round(seconds)}",
            f"-max_len={MOST_BYTES}",
            f"-seed={seed + 1}",
            f"-timeout={HANGS_S}",
        ]
        command = ["-m", "fuzz.guided", target, *limits, found, str(corpus), str(CORPUS / target)]
        return not subprocess.run([sys.executable, *command], check=False).returncode
    environment = None
    if shutil.which(sanitized.COMPILER):
        sanitized.build(out / "build")
        environment = sanitized.environment(out / "build")
    command = ["-m", "fuzz", target, INSIDE, "--out", str(out), "--seconds", str(seconds), "--seed", str(seed)]
    return not subprocess.run([sys.executable, *command], cwd=sanitized.ROOT, env=environment, check=False).returncode


def _fuzz(target: str, seconds: float, seed: int, out: Path) -> int:
    report = run(target, seconds=seconds, seed=seed, last=out / f"{target}.last")
    (out / f"{target}.last").unlink()
    kept = out / f"{target}.kept"
    kept.mkdir(exist_ok=True)
    for number, data in enumerate(report.kept):
        (kept / f"{number:05}").write_bytes(data)
    for number, finding in enumerate(report.findings):
        (out / f"{target}.{number}.found").write_bytes(finding.data)
        print(f"{target}: {type(finding.error).__name__} of {len(finding.data)} bytes", file=sys.stderr)
    told = {"target": target, "inputs": report.inputs, "seconds": round(report.seconds), "edges": report.edges}
    print(
        json.dumps({**told, "slowest_ms": round(report.slowest_s * 1000), "findings": len(report.findings)}), flush=True
    )
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
