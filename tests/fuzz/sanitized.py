"""The package once more, its C built with AddressSanitizer and told to say which edges it runs (gcc is enough).

    PYTHONPATH=tests python -m fuzz.sanitized DIRECTORY [MODULE ARGUMENT ...]

The build is kept there and made anew only where a source is newer; then the module is run with it (`pytest tests/rules -n 0`).
`environment` is what a process needs to use it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from fuzz import edges
from support.built import ToolchainMissing, tool

ROOT = Path(__file__).resolve().parent.parent.parent
FLAGS = (
    "-O1 -g1 -fno-omit-frame-pointer -Wno-unused"
    " -fsanitize=address,bounds,signed-integer-overflow,shift,null,alignment"
    " -fno-sanitize-recover=bounds,null -fsanitize-coverage=trace-pc"
)
COMPILER = os.environ.get("CC", "gcc")


def build(directory: Path) -> None:
    """Copies the sources, compiles what is new, and the map of edges.

    Raises:
        ToolchainMissing: there is no compiler here that has AddressSanitizer.
    """
    _library("libasan.so")
    package = directory / "wiremask"
    stale: list[str] = []
    for folder in ("protocol", "rules", "proxy"):
        stale += _copy(ROOT / folder, package / folder, directory)
    shutil.copy2(ROOT / "src" / "wiremask" / "__init__.py", package / "__init__.py")
    if stale:
        environment = {**os.environ, "CC": COMPILER, "CFLAGS": FLAGS, "LDFLAGS": "-fsanitize=address"}
        command = [sys.executable, "-m", "Cython.Build.Cythonize", "-i", "-q", "-f", *stale]
        subprocess.run(command, cwd=directory, env=environment, check=True)
    library = directory / "edges.so"
    source = Path(__file__).parent / "edges.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        subprocess.run([COMPILER, "-O2", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)


def environment(directory: Path, *, tells_edges: bool = True) -> dict[str, str]:
    """What a process needs that runs in ROOT with this build; what reaches new edges differs from run to run."""
    library = str(directory / "edges.so")
    if " " in library:  # which LD_PRELOAD takes for the end of a name
        library = os.path.relpath(library, ROOT)
    # libstdc++ too: the sanitizer looks for its functions before the first module in C++ is loaded.
    preloaded = [_library("libasan.so"), _library("libstdc++.so"), library]
    return {
        **os.environ,
        "LD_PRELOAD": ":".join(preloaded),
        "PYTHONPATH": f"{directory}:{ROOT / 'tests'}",
        "PYTHONMALLOC": "malloc",  # each object with its own red zones
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:handle_segv=1",
        **({edges.LIBRARY: library} if tells_edges else {}),
    }


def _library(name: str) -> str:
    """The path of a library of the compiler's."""
    compiler = tool(COMPILER, "gcc")
    found = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = found.stdout.strip()
    if not Path(path).is_absolute():
        raise ToolchainMissing(f"{COMPILER} has no {name}; install gcc with its sanitizers")
    return path


def _copy(source: Path, target: Path, directory: Path) -> list[str]:
    """Copies what is newer; gives the .pyx files that are to be compiled, with all others once a header is newer."""
    changed, modules = False, []
    for path in sorted(source.rglob("*")):
        if path.suffix not in {".py", ".pyx", ".pxd", ".h", ".json"}:
            continue
        copy = target / path.relative_to(source)
        if not copy.exists() or copy.stat().st_mtime < path.stat().st_mtime:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
            changed |= path.suffix in {".pyx", ".pxd", ".h"}
        if path.suffix == ".pyx":
            modules.append(str(copy.relative_to(directory)))
            changed |= not any(copy.parent.glob(f"{copy.stem}.*.so"))
    return modules if changed else []


def main(directory: str, *module: str) -> int:
    """Builds, and runs a module of Python's with the build; its exit code."""
    where = Path(directory).resolve()
    build(where)
    if not module:
        return 0
    return subprocess.run(
        [sys.executable, "-m", *module], cwd=ROOT, env=environment(where, tells_edges=False), check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
