"""The process: builds the components, serves until a signal, then drains."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import uvloop

from wiremask.protocol.frame import ReadBuffers
from wiremask.proxy import allocator
from wiremask.proxy.acceptor import Acceptor
from wiremask.proxy.admin import AdminServer
from wiremask.proxy.budget import Budget
from wiremask.proxy.connection import Connection, Shared
from wiremask.proxy.coredump import forbid_core_dumps
from wiremask.proxy.descriptors import has_room, room_for
from wiremask.proxy.health import Health
from wiremask.proxy.limits import WORKER_THREADS
from wiremask.proxy.listener import Listener
from wiremask.proxy.log import logger, on_loop_exception
from wiremask.proxy.pipeline import Pipeline
from wiremask.proxy.principals import PrincipalConnections
from wiremask.proxy.probe import Probe
from wiremask.proxy.reload import RuleSource
from wiremask.proxy.reloadedfiles import ReloadedFiles
from wiremask.proxy.sasl.bearer import KeysUnusable
from wiremask.proxy.sasl.credentials import CredentialsUnusable
from wiremask.proxy.tasks import Tasks
from wiremask.proxy.tls import TlsUnusable
from wiremask.proxy.topics import TopicNames
from wiremask.proxy.upstream import Upstream
from wiremask.rules import OUTPUT_LIMIT_BYTES

if TYPE_CHECKING:
    from wiremask.proxy.config import Config

_log = logger()


def run(config: Config) -> int:
    """Serves until SIGTERM or SIGINT, and returns the exit code of the process.

    Raises:
        RuleSetInvalid: the rules cannot be used; nothing was bound.
    """
    forbid_core_dumps()
    allocator.settle()
    return uvloop.run(_serve(config))


async def _serve(config: Config) -> int:
    tasks = Tasks()
    health = Health()
    rules = RuleSource(
        config.rules,
        json_depth=config.limits.json_depth,
        output_limit_bytes=min(config.limits.decompressed_bytes, OUTPUT_LIMIT_BYTES),
        health=health,
    )
    try:
        upstream = Upstream(config.upstream, connect_seconds=config.limits.connect_seconds)
        listeners = [Listener(listener) for listener in config.listeners]
    except (TlsUnusable, CredentialsUnusable, KeysUnusable) as error:
        _log.error("not started", reason="a file cannot be used", error=str(error))
        return 1
    made = [] if upstream.tls is None else [upstream.tls]
    files = ReloadedFiles([*made, *(one for listener in listeners for one in listener.reloaded)])
    probe = Probe(upstream, health)  # before a port is open: who comes first may need its look-up
    admin = AdminServer(config.admin, health)
    with ThreadPoolExecutor(WORKER_THREADS, thread_name_prefix="mask") as workers:
        shared = Shared(
            limits=config.limits,
            rules=rules,
            pipeline=Pipeline(TopicNames(), config.limits),
            upstream=upstream,
            workers=workers,
            tasks=tasks,
            buffers=ReadBuffers(),
            budget=Budget(config.limits.counted_bytes, threads=WORKER_THREADS, kept=allocator.Kept()),
            open=set(),
        )
        ports = sum(len(listener.ports) for listener in config.listeners)
        most = config.limits.connections
        _tell_of_few_descriptors(most, ports=ports)
        acceptor = Acceptor(tasks, has_room=lambda more: has_room(len(shared.open) + more, limit=most, ports=ports))
        if config.admin.principals:
            PrincipalConnections(shared.open, limit=config.admin.principals)
        stop = _stop_signal()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(on_loop_exception)
        loop.add_signal_handler(signal.SIGHUP, _reload, rules, files)
        try:
            await admin.start()
            for listener in listeners:
                await listener.open(acceptor, lambda listener, node: Connection(shared, listener, node).entrance)
        except OSError as error:
            _log.error("cannot listen", error=str(error))
            await acceptor.close()
            await admin.close()
            return 1
        health.listening = True
        tasks.spawn(rules.watch(), name="watch rules")
        if files:
            tasks.spawn(files.watch(), name="watch certificates and credentials")
        tasks.spawn(_cut_stalled(shared), name="cut stalled connections")
        tasks.spawn(_give_back(shared.budget), name="give memory back")
        tasks.spawn(probe.run(), name="probe upstream")
        for listener in listeners:
            _log.info("listening", listener=listener.config.name, address=str(listener.config.address))
        # What is here now stays: the collector need not look through it again while frames come and go. The little that
        # could go by now (some hundred objects) stays with it: to find it takes a twelfth of the start.
        gc.freeze()
        gc.enable()
        reason = await stop
        health.draining = True
        _log.info("draining", reason=reason, count=len(shared.open))
        await acceptor.close()
        await _drain(shared)
        await tasks.end()
        await admin.close()
    _log.info("stopped")
    return 0


def _tell_of_few_descriptors(connections: int, *, ports: int) -> None:
    room = room_for(connections, ports=ports)
    if room < connections:
        _log.warning(
            "fewer connections than limits.connections",
            count=room,
            reason="the limit of open files is too low for more: raise it (ulimit -n, LimitNOFILE=)",
        )


def _reload(rules: RuleSource, files: ReloadedFiles) -> None:
    rules.request_reload()
    files.request_reload()


def _stop_signal() -> asyncio.Future[str]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _set_once, stop, number.name)
    return stop


def _set_once(stop: asyncio.Future[str], name: str) -> None:
    if not stop.done():
        stop.set_result(name)


async def _cut_stalled(shared: Shared) -> None:
    """Looks now and then for connections that hold memory and stand still."""
    after_s = shared.limits.stalled_seconds
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(1.0, after_s / 4))
        shared.budget.cut_stalled(loop.time(), after_s=after_s)


async def _give_back(budget: Budget) -> None:
    """Looks every second for memory that frames took and do not take any more."""
    while True:
        await asyncio.sleep(1)
        budget.look_back()


async def _drain(shared: Shared) -> None:
    """Lets every connection answer what is in flight; cuts those that are not done at the deadline."""
    for connection in list(shared.open):
        connection.drain()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(shared.limits.drain_seconds):
            while shared.open:  # noqa: ASYNC110 - at the end of the process, a look now and then is simplest
                await asyncio.sleep(0.02)
    for connection in list(shared.open):
        connection.cut("drain deadline")
    await asyncio.sleep(0)  # what was written last leaves before the loop ends
