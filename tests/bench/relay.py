"""The plain relay that the proxy is measured against: bytes from socket to socket, on uvloop, and nothing else.

    python tests/bench/relay.py LISTEN_PORT UPSTREAM_PORT

Kept as good as it gets, so that the ratio to it says what reading, deciding and masking cost and not what Python costs:

- `BufferedProtocol`: the kernel fills one buffer a leg, which lives as long as the connection; no object is made per read.
- With a high-water mark of 0 uvloop tries to send at once, from that same buffer. What the kernel took is done with, so the
  buffer is free again. What it did not take keeps the buffer, and then reading stops until the rest has left: no copy, and
  a connection never holds more than one buffer a direction.
- `READ_BYTES` was chosen by measurement, see there.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

HOST = "127.0.0.1"

READ_BYTES = 128 * 1024
"""Of 64 KB to 1 MB the best by measurement (medians of five interleaved rounds against a real Kafka, CPU s per GB, 1 MB
batches): produce 0.32 (256 KB: 0.49), fetch 0.51 (256 KB: 0.46, 64 KB: 0.56); the same within the noise for 16 KB batches.
Fewer and larger reads save calls, but what is sent should still be in the core's own cache."""


class Leg(asyncio.BufferedProtocol):
    """One side of a relayed connection; what it receives leaves by `peer`."""

    transport: asyncio.Transport
    peer: Leg

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_BYTES))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Has uvloop send at once instead of at the end of the loop's turn."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's transports are of no common class
        self.transport.set_write_buffer_limits(high=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        """The one buffer of this leg; nothing in it waits to be sent while this leg reads."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Sends what came; the peer stops this leg if the kernel did not take all of it."""
        self.peer.transport.write(self.buffer[:nbytes])

    def pause_writing(self) -> None:
        """This leg's socket is full."""
        self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """This leg's socket took everything."""
        self.peer.transport.resume_reading()

    def eof_received(self) -> bool:
        """Passes the end of one direction on and leaves the other open."""
        self.peer.transport.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the other side, too."""
        self.peer.transport.close()


class ClientLeg(Leg):
    """The accepted side; what comes before the upstream side is there stays in the buffer, and reading stops."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__()
        self._upstream_port = upstream_port
        self._connecting: asyncio.Task[None] | None = None
        self._connected = False
        self._early = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connects upstream."""
        super().connection_made(transport)
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        upstream = Leg()
        self.peer, upstream.peer = upstream, self
        try:
            await asyncio.get_running_loop().create_connection(lambda: upstream, HOST, self._upstream_port)
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing():
            upstream.transport.close()
            return
        self._connected = True
        if self._early:
            super().buffer_updated(self._early)
        self.transport.resume_reading()

    def buffer_updated(self, nbytes: int) -> None:
        """Sends what came, or keeps it for the connection that is being made."""
        if self._connected:
            super().buffer_updated(nbytes)
        else:
            # uvloop starts to read after connection_made() whatever that did, so reading can be stopped only here.
            self.transport.pause_reading()
            self._early = nbytes

    def eof_received(self) -> bool:
        """Passes the end on; before there is an upstream side it is the end of both."""
        return super().eof_received() if self._connected else False

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the upstream side, if it came to one."""
        if self._connected:
            super().connection_lost(exc)


async def serve(listen_port: int, upstream_port: int) -> None:
    """Relays until it is cancelled."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ClientLeg(upstream_port), HOST, listen_port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
