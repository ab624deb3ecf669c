"""HTTPS in front of the answers: one process, which has no state but its certificate."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from aiohttp import web

from wiremask.proxy.exposition import expose
from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.log import logger
from wiremask.proxy.measures import counter
from wiremask.proxy.webhook.certificates import CertificateUnusable, ServerCertificate
from wiremask.proxy.webhook.cluster import Cluster, ClusterSilent
from wiremask.proxy.webhook.config import read_sidecar
from wiremask.proxy.webhook.guard import guard
from wiremask.proxy.webhook.injection import inject
from wiremask.proxy.webhook.review import Answer, Question, Refused, ReviewUnreadable, read_question, write_answer
from wiremask.proxy.webhook.rulemaps import validate

if TYPE_CHECKING:
    from pathlib import Path

    from wiremask.proxy.webhook.config import ServerConfig, WebhookConfig

_BODY_BYTES: Final = 8 << 20
"""An object has at most 1.5 MB in etcd; a review holds two, as JSON."""

_REFRESH_S: Final = 30.0

_log = logger()

admissions = counter("wiremask_admissions_total", "Answers to the API server.", "path", "allowed")

Answering = Callable[[Question], Awaitable[Answer]]


class Webhook:
    """The three answers, and what they need."""

    def __init__(self, config: WebhookConfig, cluster: Cluster) -> None:
        """Reads the sidecar.

        Raises:
            SidecarUnusable: there is none.
        """
        self._config = config.injector
        self._cluster = cluster
        self._sidecar = read_sidecar(config.injector)

    def application(self) -> web.Application:
        """The paths that the API server and the kubelet call."""
        app = web.Application(client_max_size=_BODY_BYTES)
        answers: dict[str, Answering] = {"mutate": self._mutate, "guard": self._guard, "validate": self._validate}
        for path, answer in answers.items():
            app.router.add_post(f"/{path}", _reviewed(path, answer))
        app.router.add_get("/livez", _ok)
        app.router.add_get("/readyz", _ok)
        app.router.add_get("/metrics", _metrics)
        return app

    async def _mutate(self, question: Question) -> Answer:
        answer = inject(question, self._sidecar, may_opt_out=self._config.may_opt_out)
        if isinstance(answer, Refused) or answer.changed is None:
            return answer
        name = self._config.rules_config_map
        try:
            if not await self._cluster.has_config_map(question.namespace, name):
                return Refused(
                    message=f"namespace {question.namespace} has no ConfigMap {name} with rules for its sidecars; "
                    "create it first"
                )
        except ClusterSilent as error:
            return Refused(message=f"whether namespace {question.namespace} has rules could not be found out: {error}")
        return answer

    async def _guard(self, question: Question) -> Answer:
        return guard(question, self._sidecar)

    @staticmethod
    async def _validate(question: Question) -> Answer:
        return await asyncio.to_thread(validate, question, json_depth=JSON_DEPTH)


def _reviewed(path: str, answer: Answering) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        try:
            question = read_question(await request.read())
        except ReviewUnreadable as error:
            _log.warning("review unreadable", path=path, error=str(error))
            return web.Response(status=400, text=f"{error}\n")
        given = await answer(question)
        allowed = not isinstance(given, Refused)
        admissions.labels(path, str(allowed).lower()).inc()
        if isinstance(given, Refused):
            # The first line: faults of rules are the user's to read, and may be many.
            _log.info("admission refused", path=path, address=question.namespace, reason=given.message.split("\n")[0])
        return web.Response(body=write_answer(question, given), content_type="application/json")

    return handle


async def _ok(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _metrics(request: web.Request) -> web.Response:
    kind, body = expose(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": kind})


async def serve(config: WebhookConfig) -> int:
    """Serves until SIGTERM or SIGINT, and returns the exit code of the process.

    Raises:
        CertificateUnusable, SidecarUnusable, OSError: it cannot start; the text says why.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    certificate = _server_certificate(config.server)
    certificate.refresh()
    async with Cluster(config.cluster) as cluster:
        runner = web.AppRunner(Webhook(config, cluster).application(), access_log=None, shutdown_timeout=10)
        await runner.setup()
        try:
            host, port = config.server.address
            await web.TCPSite(runner, host, port, ssl_context=certificate.context).start()
            _log.info("webhook open", address=str(config.server.address))
            await _keep_current(certificate, stop)
        finally:
            await runner.cleanup()
    _log.info("stopped")
    return 0


async def _keep_current(certificate: ServerCertificate, stop: asyncio.Event) -> None:
    """Looks after the certificate until the end."""
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REFRESH_S):
                await stop.wait()
        try:
            if certificate.refresh():
                _log.info("certificate renewed")
        except CertificateUnusable as error:
            _log.error("certificate not renewed", error=str(error))


def _server_certificate(server: ServerConfig) -> ServerCertificate:
    tls = server.tls
    return ServerCertificate(server.names, certificate=_pair(tls.certificate, tls.key), ca=_pair(tls.ca, tls.ca_key))


def _pair(one: Path | None, other: Path | None) -> tuple[Path, Path] | None:
    return None if one is None or other is None else (one, other)
