"""`wiremask run` as a child process, with its files in a folder that the demo removes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from wiremask.proxy.demo.cluster import WAIT_S, Cluster, DemoFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

HOST = "127.0.0.1"
STEP_S = 0.02
END_S = 5.0
LOG_LINES = 5
PORT_TRIES = 200


class ProxyProcess:
    """A running proxy, asked through its admin port."""

    def __init__(self, process: subprocess.Popen[bytes], *, home: Path, port: int, admin_port: int) -> None:
        self.bootstrap = f"{HOST}:{port}"
        self._process = process
        self._home = home
        self._admin_port = admin_port

    async def wait_ready(self) -> None:
        """Waits until its `/readyz` says so.

        Raises:
            DemoFailed: it ended or did not get ready; the text has the end of its log.
        """
        await self._wait_for(lambda detail: bool(detail["ready"]), otherwise="the proxy did not get ready")

    async def change_rules(self, text: str) -> None:
        """Replaces the rule file and waits until the proxy masks by it.

        Raises:
            DemoFailed: it did not take the new rules; the text has the end of its log.
        """
        before = (await asyncio.to_thread(self._ask))["rules"]["generation"]
        write_rules(self._home, text)
        await self._wait_for(
            lambda detail: bool(detail["rules"]["generation"] > before),
            otherwise="the proxy did not take the new rules",
        )

    async def _wait_for(self, holds: Callable[[dict[str, Any]], bool], *, otherwise: str) -> None:
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if holds(await asyncio.to_thread(self._ask)):
                    return
            await asyncio.sleep(STEP_S)
        said = (self._home / "proxy.log").read_text("utf-8", "replace").splitlines()
        raise DemoFailed("\n  ".join([f"{otherwise}; the end of its log:", *said[-LOG_LINES:]]))

    def _ask(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self._admin_port, timeout=END_S)
        try:
            connection.request("GET", "/readyz")
            detail: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return detail


@contextlib.asynccontextmanager
async def running_proxy(home: Path, cluster: Cluster, rules: str) -> AsyncIterator[ProxyProcess]:
    """A proxy before the cluster that is ready; it has ended when the block has.

    Raises:
        DemoFailed: it does not start; the text has the end of its log.
    """
    first, last = cluster.nodes
    port, admin_port = _find_free_ports(2 + last - first), _find_free_ports(1)
    write_rules(home, rules)
    config = {
        "upstream": {"bootstrapServers": cluster.bootstrap.split(",")},
        "listeners": [{"address": f"{HOST}:{port}", "nodes": {"first": first, "last": last}}],
        "rules": {"path": str(home / "rules")},
        "admin": {"address": f"{HOST}:{admin_port}"},
    }
    (home / "wiremask.yaml").write_text(json.dumps(config))  # JSON is YAML
    process = _start(home)
    try:
        proxy = ProxyProcess(process, home=home, port=port, admin_port=admin_port)
        await proxy.wait_ready()
        yield proxy
    finally:
        _end(process)


def write_rules(home: Path, text: str) -> None:
    """Makes `text` the one rule file; the proxy sees the old or the new, never a part."""
    (home / "rules").mkdir(exist_ok=True)
    partial = home / "rules.partial"
    partial.write_text(text)
    partial.replace(home / "rules" / "demo.yaml")


def _start(home: Path) -> subprocess.Popen[bytes]:
    with (home / "proxy.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - this interpreter and a file that we wrote
            [sys.executable, "-m", "wiremask", "run", "--config", str(home / "wiremask.yaml")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # Settings of a proxy that the user has are none of the demo's.
            env={name: value for name, value in os.environ.items() if not name.startswith("WIREMASK_")},
            # Ctrl-C is the demo's to handle: its clients end before the proxy does.
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _find_free_ports(count: int) -> int:
    """The first of so many consecutive ports that are free now."""
    for _ in range(PORT_TRIES):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            first = _bind(held, 0)
            for port in range(first + 1, first + count):
                _bind(held, port)
            return first
    raise DemoFailed(f"there are no {count} consecutive free ports on {HOST}")


def _bind(held: contextlib.ExitStack, port: int) -> int:
    sock = held.enter_context(socket.socket())
    sock.bind((HOST, port))
    bound: int = sock.getsockname()[1]
    return bound
