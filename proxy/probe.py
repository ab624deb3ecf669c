"""Asks the cluster, now and then, whether it answers and where its nodes are.

The probe is a client without credentials: every broker answers ApiVersions before a login, which is all that readiness
needs. On an open listener Metadata is answered too and tells the address of every node, so that a client may come
straight to a node's port of a proxy that has just started. Where a login is needed that part stays silent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from wiremask.protocol import api as apis
from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.frame import FrameAssembler, frame_pieces
from wiremask.protocol.header import make_request_header, read_response_header
from wiremask.protocol.messages.metadata import MetadataResponse, make_brokers_request
from wiremask.proxy import metrics
from wiremask.proxy.log import logger
from wiremask.proxy.upstream import Upstream, UpstreamUnavailable

if TYPE_CHECKING:
    from wiremask.proxy.health import Health

_log = logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
ANSWER_S = 5.0
LIMIT_BYTES = 16 * 1024 * 1024
CLIENT_ID = "wiremask-probe"
METADATA_VERSION = 1
"""The oldest that can ask for no topics; every broker that Produce 3 reaches has it."""


class _Exchange(asyncio.BufferedProtocol):
    """One request at a time on a connection of its own."""

    def __init__(self) -> None:
        self._assembler = FrameAssembler(limit_bytes=LIMIT_BYTES)
        self._answer: asyncio.Future[bytes | bytearray] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._assembler.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        self._assembler.received(nbytes)
        try:
            frame = self._assembler.next_frame()
        except ProtocolError:
            self.connection_lost(None)
            return
        if frame is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(UpstreamUnavailable("the broker closed the connection"))

    async def ask(self, key: int, version: int, body: bytes) -> bytes | bytearray:
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        head = make_request_header(apis.APIS[key], version, correlation_id=0, client_id=CLIENT_ID)
        self.transport.writelines(cast("list[bytes]", frame_pieces(head, body)))
        async with asyncio.timeout(ANSWER_S):
            return await self._answer


class Probe:
    """Keeps `health.upstream_answered`, and what `upstream` knows of nodes, up to date."""

    def __init__(self, upstream: Upstream, health: Health) -> None:
        self._upstream = upstream
        self._health = health
        self._asking = asyncio.Lock()
        self._asked = 0
        upstream.look_up = self.look_up

    async def run(self) -> None:
        """Asks until it is cancelled: often while nobody answers, seldom afterwards."""
        pause_s = FIRST_PAUSE_S
        while True:
            async with self._asking:
                answered = await self._ask()
            if answered != self._health.upstream_answered:
                self._health.upstream_answered = answered
                if answered:
                    _log.info("upstream answers")
                else:
                    _log.warning("upstream does not answer")
            metrics.ready.set(self._health.ready)
            pause_s = LONGEST_PAUSE_S if answered else min(pause_s * 1.5, 1.0)
            await asyncio.sleep(pause_s)

    async def look_up(self) -> None:
        """Asks at once; whoever comes while a question is under way shares its answer."""
        before = self._asked
        async with self._asking:
            if self._asked == before:
                await self._ask()

    async def _ask(self) -> bool:
        exchange = _Exchange()
        answered = False
        try:
            await self._upstream.connect(None, exchange)
            await exchange.ask(apis.API_VERSIONS, 0, b"")
            answered = True
            frame = await exchange.ask(apis.METADATA, METADATA_VERSION, make_brokers_request(METADATA_VERSION))
            _, body_start = read_response_header(frame, flexible=False)
            for node in MetadataResponse.read(memoryview(frame)[body_start:], METADATA_VERSION).brokers:
                self._upstream.learn(node.node_id, node.host, node.port)
        except (UpstreamUnavailable, ProtocolError, TimeoutError):
            # Before the first answer: not ready. After it: a listener that wants a login, which clients teach instead.
            pass
        finally:
            if exchange.transport is not None:
                exchange.transport.close()
            self._asked += 1
        return answered
