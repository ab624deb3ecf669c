"""The admin port: probes for Kubernetes and metrics for Prometheus, and nothing else.

    /livez    200 while the event loop turns
    /startupz 200 once rules are loaded and the ports of the listeners are open, whether or not a broker answers
    /readyz   200 when rules are loaded, a broker has answered and the process is not draining, else 503; JSON detail
    /metrics  Prometheus text, or OpenMetrics where the scraper asks for it

GET and HEAD only, one request a connection, no body read. Every connection has a deadline and a bound on what it may
send, so a slow or hostile peer costs one socket for a few seconds. Bound to loopback unless the configuration says
otherwise: there is no login, and nothing here shows payload.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import h11
from pydantic import Field

from wiremask.proxy.address import Address, AddressField
from wiremask.proxy.log import logger
from wiremask.proxy.model import Section

if TYPE_CHECKING:
    from wiremask.proxy.health import Health

__all__ = ["AdminConfig", "AdminServer"]

_DEADLINE_S = 10.0  # Prometheus gives a scrape ten seconds by default
_REQUEST_BYTES = 16 * 1024
_CONNECTIONS = 64

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"

_log = logger()


class AdminConfig(Section):
    """Section `admin`."""

    address: AddressField = Address("127.0.0.1", 9464)
    """Where probes and metrics are served; port 0 takes a free one."""

    principals: int = Field(default=0, ge=0, le=1000)
    """How many principals the metric `wiremask_principal_connections` names; with 0 no metric names any."""


class AdminServer:
    """Serves the admin port from `start` to `close`."""

    def __init__(self, config: AdminConfig, health: Health) -> None:
        self._config = config
        self._health = health
        self._server: asyncio.Server | None = None
        self._open: set[_Exchange] = set()

    @property
    def port(self) -> int:
        """The port that is bound, also where the configuration says 0."""
        if self._server is None:
            raise RuntimeError("the admin server is not started")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Binds the port.

        Raises:
            OSError: the port is taken, or the host is none of this machine's.
        """
        host, port = self._config.address
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Exchange(self._open, self._health), host, port)
        _log.info("admin port open", address=str(Address(host, self.port)))

    async def close(self) -> None:
        """Unbinds the port and cuts what is still open."""
        if self._server is None:
            return
        self._server.close()
        for exchange in list(self._open):
            exchange.abort()
        await self._server.wait_closed()
        self._server = None


class _Exchange(asyncio.Protocol):
    """One connection: one request, one response."""

    def __init__(self, peers: set[_Exchange], health: Health) -> None:
        self._peers = peers
        self._health = health
        self._http = h11.Connection(h11.SERVER)
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._received_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's transports share no base class
        if len(self._peers) >= _CONNECTIONS:
            transport.abort()
            return
        self._peers.add(self)
        # The deadline runs to the end of the response, so it also bounds a peer that asks and does not read.
        self._deadline = asyncio.get_running_loop().call_later(_DEADLINE_S, transport.abort)

    def connection_lost(self, _error: Exception | None) -> None:
        self._peers.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()

    def abort(self) -> None:
        """Cuts the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._http.our_state is not h11.IDLE:
            return  # the request is answered already: what follows it is not read
        # Counted here: h11 bounds only a request that is not yet whole.
        self._received_bytes += len(data)
        if self._received_bytes > _REQUEST_BYTES:
            self._send(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, _TEXT, b"the request is too large\n")
            return
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
        except h11.RemoteProtocolError as error:
            self._send(HTTPStatus(error.error_status_hint), _TEXT, b"not an HTTP request that is served here\n")
            return
        if isinstance(event, h11.Request):
            accept = b",".join(value for name, value in event.headers if name == b"accept").decode("latin-1")
            self._answer(event.method, event.target.partition(b"?")[0], accept)

    def _answer(self, method: bytes, target: bytes, accept: str) -> None:
        if target not in {b"/livez", b"/startupz", b"/readyz", b"/metrics"}:
            self._send(HTTPStatus.NOT_FOUND, _TEXT, b"/livez, /startupz, /readyz and /metrics are served here\n")
        elif method not in {b"GET", b"HEAD"}:
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, _TEXT, b"GET and HEAD only\n")
        elif target == b"/livez":
            self._send(HTTPStatus.OK, _TEXT, b"ok\n")
        elif target == b"/startupz":
            started = self._health.started
            status = HTTPStatus.OK if started else HTTPStatus.SERVICE_UNAVAILABLE
            self._send(status, _TEXT, b"started\n" if started else b"starting\n")
        elif target == b"/readyz":
            status = HTTPStatus.OK if self._health.ready else HTTPStatus.SERVICE_UNAVAILABLE
            self._send(status, _JSON, json.dumps(self._health.detail(), indent=1).encode() + b"\n")
        else:
            from wiremask.proxy.exposition import expose  # noqa: PLC0415 - needed at the first scrape, not at the start

            self._send(HTTPStatus.OK, *expose(accept))

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        """Sends a whole response and ends our side; h11 leaves the body out where the request was a HEAD."""
        headers = [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", "GET, HEAD"))
        assert self._transport is not None  # data comes after connection_made
        response = h11.Response(status_code=status, reason=status.phrase, headers=headers)
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self._transport.write(self._http.send(event) or b"")
        # Not close: what the peer may still be sending would make the kernel reset the connection, and the answer be
        # lost on the way. The peer closes when it has read it, or the deadline does.
        self._transport.write_eof()
