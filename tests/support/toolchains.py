"""Client libraries of other languages and versions, installed and compiled once per machine.

Everything goes to `${XDG_CACHE_HOME:-~/.cache}/wiremask/clients/NAME-DIGEST/`, where the digest is of the versions and of
our programs' sources: a program that changed is compiled anew, and a machine that has it pays nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PROGRAMS = Path(__file__).parent.parent / "clients"
"""The sources of the client programs, a folder for each language."""

BUILD_S = 900


class ToolchainMissing(Exception):
    """A client program cannot be had on this machine; the text says why and what to install."""


def java_classpath(version: str) -> str:
    """A class path with the Java program compiled for kafka-clients of that version, and its jars.

    Raises:
        ToolchainMissing: no javac or mvn, or one of them failed.
    """
    pom = PROGRAMS / "java" / "pom.xml"
    # Share groups came with kafka-clients 4.1; the program finds the class by name, so an older version does without it.
    sources = [
        file for file in sorted(pom.parent.glob("*.java")) if _has_share_groups(version) or "Share" not in file.name
    ]

    def copy_jars(folder: Path) -> None:
        maven = [_tool("mvn", "Maven"), "-q", "-B", "-f", str(pom), f"-Dkafka.version={version}"]
        _run([*maven, "dependency:copy-dependencies", f"-DoutputDirectory={folder}"], cwd=folder)

    def compile_program(folder: Path) -> None:
        javac = [_tool("javac", "a Java 17+ development kit"), "--release", "17", "-nowarn", "-d", str(folder)]
        _run([*javac, "-cp", f"{jars}/*", *map(str, sources)], cwd=folder)

    jars = _cached(f"kafka-clients-{version}", [pom], copy_jars)
    return f"{_cached(f'java-{version}', [pom, *sources], compile_program)}:{jars}/*"


def go_program(name: str) -> Path:
    """The compiled Go program of that name.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    source = PROGRAMS / "go"

    def build(folder: Path) -> None:
        go = [_tool("go", "Go"), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", f"{folder}/", "./..."]
        _run(go, cwd=source, env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})

    return _cached("go", [source / "go.mod", source / "go.sum", *sorted(source.rglob("*.go"))], build) / name


def node_modules() -> Path:
    """The folder to resolve Node packages from.

    Raises:
        ToolchainMissing: there is no node or npm, or npm failed.
    """
    _tool("node", "Node.js")
    locked = [PROGRAMS / "node" / name for name in ("package.json", "package-lock.json")]

    def build(folder: Path) -> None:
        for file in locked:
            shutil.copy(file, folder)
        _run([_tool("npm", "npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder)

    return _cached("node", locked, build) / "node_modules"


def python_packages(requirement: str) -> Path:
    """A folder that holds one Python package of another version than the environment's, for `PYTHONPATH`.

    Raises:
        ToolchainMissing: pip failed.
    """

    def build(folder: Path) -> None:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        _run([*pip, "--target", str(folder), requirement], cwd=folder)

    return _cached(requirement.replace("==", "-"), [], build)


def _has_share_groups(version: str) -> bool:
    major, minor = (int(part) for part in version.split(".")[:2])
    return (major, minor) >= (4, 1)


def _cached(name: str, sources: Iterable[Path], build: Callable[[Path], None]) -> Path:
    """The folder that `build` fills on the first call on this machine.

    Parallel workers wait for the one that builds; the folder appears whole or not at all.
    """
    digest = hashlib.sha256()
    for file in sources:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wiremask" / "clients"
    target = cache / f"{name}-{digest.hexdigest()[:12]}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _say(f"building the client program {name} (once on this machine) ...")
            began = time.monotonic()
            with tempfile.TemporaryDirectory(dir=cache, prefix=f"{name}-partial-") as partial:
                folder = Path(partial) / "built"
                folder.mkdir()
                build(folder)
                folder.rename(target)
            _say(f"{name} was built in {time.monotonic() - began:.0f} s")
    return target


def _say(text: str) -> None:
    """Tells of progress past pytest's capture, because the first run of a machine takes minutes here."""
    if sys.__stderr__ is not None:
        sys.__stderr__.write(f"\n{text}\n")


def _tool(name: str, title: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ToolchainMissing(f"there is no {name} on the PATH; install {title}")
    return found


def _run(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> None:
    run = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=BUILD_S,
    )
    if run.returncode != 0:
        raise ToolchainMissing(f"{' '.join(command[:3])} failed: {run.stdout[-2000:]}")
