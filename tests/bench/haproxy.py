"""HAProxy in TCP mode, from Debian's package, unpacked into the cache: nothing is installed or started by the system.

The package and the libraries that a slim machine may lack are fetched by `apt-get download` and unpacked by `dpkg -x`, once
per machine, into `${XDG_CACHE_HOME:-~/.cache}/wiremask/haproxy/`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from support.process import Child

PACKAGES = ("haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1")
_CONFIGURATION = """global
    maxconn 4096
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 10m
    timeout server 10m
listen kafka
    bind 127.0.0.1:{port}
    server broker 127.0.0.1:{upstream}
"""


REQUIRED = "WIREMASK_REQUIRE_HAPROXY"
"""Set to 1 where a missing HAProxy is a failure, and not only said."""


class HaproxyUnavailable(Exception):
    """HAProxy cannot be had on this machine; the text says why."""


def haproxy(home: Path, *, port: int, upstream: int) -> Child:
    """HAProxy between two ports of this machine, one thread, with Debian's defaults; not started yet.

    Raises:
        HaproxyUnavailable: there is none, and none could be fetched.
    """
    program, libraries = _program()
    configuration = home / "haproxy.cfg"
    configuration.write_text(_CONFIGURATION.format(port=port, upstream=upstream))
    return Child(
        [str(program), "-db", "-f", str(configuration)],
        log=home / "haproxy.log",
        env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
    )


def _program() -> tuple[Path, Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wiremask"
    target = cache / "haproxy"
    if not target.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="haproxy-partial-") as partial:
            _unpack(Path(partial))
            (Path(partial) / "root").rename(target)
    libraries = next(iter(target.glob("usr/lib/*-linux-gnu")), target / "usr" / "lib")
    return target / "usr" / "sbin" / "haproxy", libraries


def _unpack(folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise HaproxyUnavailable("there is no apt-get here: the package is Debian's")
    root = folder / "root"
    root.mkdir()
    for package in PACKAGES:
        fetched = subprocess.run(
            ["apt-get", "download", package], cwd=folder, capture_output=True, text=True, check=False
        )
        archives = sorted(folder.glob(f"{package}_*.deb"))
        if not archives:
            raise HaproxyUnavailable(f"apt-get download {package}: {fetched.stderr.strip()[-300:]}")
        subprocess.run(["dpkg", "-x", str(archives[0]), str(root)], check=True)
    if not (root / "usr" / "sbin" / "haproxy").exists():
        raise HaproxyUnavailable("the package has no program")
