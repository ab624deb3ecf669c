"""A connection of the proxy's own to a broker: one request at a time, before or instead of a client's."""

from __future__ import annotations

import asyncio
from typing import cast

from wiremask.protocol import api as apis
from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.frame import FrameAssembler, frame_pieces
from wiremask.protocol.header import make_request_header, read_response_header

ANSWER_S = 5.0
LIMIT_BYTES = 16 * 1024 * 1024
CLIENT_ID = "wiremask"


class BrokerLeft(Exception):
    """The broker closed the connection where an answer was due."""


class Conversation(asyncio.BufferedProtocol):
    """Asks, and waits for the answer."""

    def __init__(self) -> None:
        self._assembler = FrameAssembler(limit_bytes=LIMIT_BYTES)
        self._answer: asyncio.Future[bytes | bytearray] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._assembler.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of an answer are there."""
        self._assembler.received(nbytes)
        try:
            frame = self._assembler.next_frame()
        except ProtocolError:
            self.connection_lost(None)
            return
        if frame is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The broker has gone."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokerLeft("the broker closed the connection"))

    async def ask(self, key: int, version: int, body: bytes) -> memoryview:
        """Sends a request and gives the body of its answer.

        Raises:
            BrokerLeft: it closed the connection.
            TimeoutError: there is no answer within ANSWER_S.
            MalformedFrame: the answer is none.
        """
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        api = apis.APIS[key]
        head = make_request_header(api, version, correlation_id=0, client_id=CLIENT_ID)
        self.transport.writelines(cast("list[bytes]", frame_pieces(head, body)))
        async with asyncio.timeout(ANSWER_S):
            frame = await self._answer
        _, start = read_response_header(frame, flexible=api.has_flexible_response_header(version))
        return memoryview(frame)[start:]

    def hand_over(self, protocol: asyncio.BufferedProtocol) -> None:
        """Leaves the connection to who goes on with it; no answer may be due."""
        assert self.transport is not None
        self._assembler.drop()
        self.transport.set_protocol(protocol)
        protocol.connection_made(self.transport)
