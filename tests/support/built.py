"""Programs that tests need and that are built once per machine.

Everything goes to `${XDG_CACHE_HOME:-~/.cache}/wiremask/KIND/NAME-DIGEST/`, where the digest is of the versions and
sources: what changed is built anew, and a machine that has it pays nothing.
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
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BUILD_S = 2400


class ToolchainMissing(Exception):
    """A program cannot be had on this machine; the text says why and what to install."""


def cached(kind: str, name: str, sources: Iterable[Path], build: Callable[[Path], None]) -> Path:
    """The folder that `build` fills on the first call on this machine.

    Parallel workers wait for the one that builds; the folder appears whole or not at all.
    """
    digest = hashlib.sha256()
    for file in sources:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wiremask" / kind
    target = cache / f"{name}-{digest.hexdigest()[:12]}"
    if target.is_dir():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.is_dir():
            _say(f"building {name} (once on this machine) ...")
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


def tool(name: str, title: str) -> str:
    """The path of a program on the PATH.

    Raises:
        ToolchainMissing: there is none; install `title`.
    """
    found = shutil.which(name)
    if found is None:
        raise ToolchainMissing(f"there is no {name} on the PATH; install {title}")
    return found


def run(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Runs a step of a build and gives what it printed.

    Raises:
        ToolchainMissing: it failed; the text ends with what it said.
    """
    done = subprocess.run(
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
    if done.returncode != 0:
        raise ToolchainMissing(f"{' '.join(command[:3])} failed: {done.stdout[-2000:]}")
    return done.stdout
