"""What the process takes before and beside its work: the time to ready, of a whole demo, and memory idle, with connections, and
under load."""

from __future__ import annotations

import compileall
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

import wiremask
from bench import kernel, raw, records
from bench.rows import Bar, Row
from bench.stage import RULE
from bench.stats import spread
from bench.traffic import CpuClock
from support.proxy import ProxyProcess
from support.requests import plain_frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.stage import Stage

READY_S = 0.5
DEMO_S, DEMO_HANG_S = 15, 300
IDLE_MIB, CONNECTED_MIB, LOADED_MIB = 80, 120, 256
CONNECTIONS = 500
LOAD_CONNECTIONS, LOAD_BYTES = 20, 10_000_000
POLL_S = 0.002
QUIET_S = 5
API_VERSIONS = 18
_MIB = 1024 * 1024


def measure(stage: Stage, home: Path, *, rounds: int, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """Starts a proxy of its own for each round; the load goes through that of the stage, which worked before."""
    _compile()
    ready_s, ready_cpu_s, idle, connected = [], [], [], []
    for number in range(rounds):
        progress(f"start, round {number + 1}")
        proxy = ProxyProcess(
            home=home / f"proxy-{number}",
            upstream=stage.kafka.bootstrap,
            rules=records.rules(produce="masked-produce-*", fetch="masked-fetch-*"),
            settings={"log": {"level": "info"}},
        )
        try:
            ready_s.append(_time_to_ready(proxy))
            ready_cpu_s.append(CpuClock(proxy.pid).read())
            idle.append(proxy.resident_bytes() / _MIB)
            connected.append(_with_connections(proxy) / _MIB)
        finally:
            proxy.dispose()
    demo_s = []
    for number in range(rounds):
        progress(f"demo, round {number + 1}")
        demo_s.append(_time_of_demo())
    progress("masked load")
    loaded = [_under_load(stage) / _MIB]
    time.sleep(QUIET_S)
    return [
        _row("start to ready", "s", ready_s, READY_S),
        # What of it does not depend on how busy the machine is.
        Row(part="process", name="start to ready, CPU", unit="s", figure=spread(ready_cpu_s)),
        _row("demo, start to end", "s", demo_s, DEMO_S),
        _row("resident, idle", "MiB", idle, IDLE_MIB),
        _row(f"resident, {CONNECTIONS} connections", "MiB", connected, CONNECTED_MIB),
        _row(
            f"above idle, peak: {LOAD_CONNECTIONS} connections with masked batches of 10 MB",
            "MiB",
            [peak - min(idle) for peak in loaded],
            LOADED_MIB,
        ),
        *(
            Row(
                part="process",
                name=f"resident {QUIET_S} s after the load, {lane.name}",
                unit="MiB",
                figure=spread([psutil.Process(lane.pid).memory_info().rss / _MIB]),
            )
            for lane in stage.lanes
            if not lane.masked
        ),
    ]


def _row(name: str, unit: str, figures: list[float], limit: float) -> Row:
    ratio = spread([figure / limit for figure in figures])
    bar = Bar(kind="at most", limit=1)
    return Row(
        part="process", name=name, unit=unit, figure=spread(figures), ratio=ratio, to=f"{limit:g} {unit}", bar=bar
    )


def _compile() -> None:
    """Compiles the package's modules, as an installation and the image have them; a checkout may have none compiled."""
    for package in ("protocol", "rules", "proxy"):
        # Resolved, because compileall passes by symbolic links.
        compileall.compile_dir((Path(wiremask.__file__).parent / package).resolve(), quiet=1)


def _time_to_ready(proxy: ProxyProcess) -> float:
    """From the start of the process until `/readyz` says ready; looked at every 2 ms."""
    begin = time.perf_counter()
    proxy.start(wait=False)
    while time.perf_counter() - begin < 30:
        try:
            if proxy.ready()[0]:
                return time.perf_counter() - begin
        except OSError:
            pass
        time.sleep(POLL_S)
    raise TimeoutError("the proxy was not ready within 30 s")


def _time_of_demo() -> float:
    """From the start of `wiremask demo` until it has ended well; broker, proxy and both clients start within."""
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "wiremask", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        timeout=DEMO_HANG_S,
        check=True,
    )
    return time.perf_counter() - begin


def _with_connections(proxy: ProxyProcess) -> int:
    """Resident bytes with connections that have asked something and wait."""
    frame = plain_frame(API_VERSIONS, 0)
    with raw.connected(proxy.port, CONNECTIONS) as socks:
        for sock in socks:
            sock.sendall(frame)
        for sock in socks:
            if not sock.recv(raw.READ_BYTES):
                raise ConnectionError("a connection was refused")
        return proxy.resident_bytes()


def _under_load(stage: Stage) -> int:
    """The most that the proxy of the stage ever had, after large masked batches from many sides."""
    lane = stage.lane(RULE)
    stage.kafka.create_topic("masked-produce-load", max_message_bytes=str(2 * LOAD_BYTES))
    batch = kernel.build_batch(records.values(LOAD_BYTES // records.VALUE_BYTES))
    frames = [raw.request("masked-produce-load", {0: batch})] * LOAD_CONNECTIONS
    raw.closed_loop(lane.port, frames, requests=3 * LOAD_CONNECTIONS, clock=CpuClock(lane.pid))
    return stage.proxy.peak_bytes()
