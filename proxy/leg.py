"""One socket of a connection: bytes to frames on the way in, back-pressure and memory on the way out.

A leg that is *held* is not read. Reasons to hold are a set, so that two of them cannot release each other; frames that
have arrived wait in the assembler, in order, until the last reason is gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.frame import READ_BYTES, FrameAssembler, ReadBuffers
from wiremask.protocol.splice import size_of
from wiremask.proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from wiremask.proxy.budget import Budget, Claim, Owner
    from wiremask.proxy.session import Pieces

# Why a leg is held.
CONNECTING = "connecting"
WORKING = "working"
PEER_IS_SLOW = "peer is slow"
IN_FLIGHT = "in flight"
LOGIN = "login"
DRAINING = "draining"
NO_ROOM = "no room"

Frame = bytes | bytearray

LINGER_S = 5.0
"""How long a closed socket may take to send what was written before."""


class Leg(asyncio.BufferedProtocol):
    """The client's or the broker's socket."""

    transport: asyncio.Transport
    other: Leg
    on_connected: Callable[[], None]
    on_frame: Callable[[Frame, Claim | None], None]
    on_error: Callable[[ProtocolError], None]
    on_end: Callable[[], None]

    def __init__(self, peer: str, owner: Owner, budget: Budget, *, limit_bytes: int, buffers: ReadBuffers) -> None:
        self._assembler = FrameAssembler(limit_bytes=limit_bytes, buffers=buffers)
        self._received_bytes = metrics.received_bytes.labels(peer)
        self._owner = owner
        self._budget = budget
        self._claim: Claim | None = None  # of the large frame that is arriving
        self._unwritten: list[Claim] = []  # of what the peer has not taken yet
        self._holds: set[str] = set()
        self._pumping = False
        self._moved = 0
        self.is_open = False
        self.has_ended = False

    # In: asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)  # tells when the peer has taken everything
        self.is_open = True
        self.on_connected()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._assembler.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """They are there."""
        self._moved += nbytes
        self._received_bytes.inc(nbytes)
        self._assembler.received(nbytes)
        if self._holds:
            self.transport.pause_reading()  # uvloop starts reading after connection_made, whatever that asked for
        else:
            self._pump()

    def eof_received(self) -> bool:
        """The peer sends no more."""
        self.has_ended = True
        self.on_end()
        return True  # what the peer still has to be told is written before the socket closes

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The socket is gone."""
        self.is_open = False
        self.has_ended = True
        self._all_written()
        self._assembler.drop()  # at once, not when the garbage collector finds this connection
        self.on_end()

    def _pump(self) -> None:
        if self._pumping:
            return  # a frame that is being worked on released the leg: the loop below goes on by itself
        self._pumping = True
        try:
            while not self._holds and (frame := self._assembler.next_frame()) is not None:
                claim, self._claim = self._claim, None
                self.on_frame(frame, claim)
            if not self._holds:
                self._make_room()
        except ProtocolError as error:
            self.on_error(error)
        finally:
            self._pumping = False

    def _make_room(self) -> None:
        """Claims memory for a large frame whose size has just arrived; until there is room, its body is not read."""
        size = self._assembler.expected_bytes
        if self._claim is None and size is not None and size > READ_BYTES:
            self._claim = self._budget.claim(size, self._owner, lambda: self.release(NO_ROOM))
            if not self._claim.is_granted:
                self.hold(NO_ROOM)

    def hold(self, reason: str) -> None:
        """Stops reading until every reason is released."""
        if not self._holds and self.is_open:
            self.transport.pause_reading()
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Takes one reason back; with the last, the frames that wait are worked on and reading goes on."""
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        self._pump()
        if not self._holds and self.is_open and not self.has_ended:
            self.transport.resume_reading()

    @property
    def is_settled(self) -> bool:
        """Whether no frame is being worked on, or waits for one that is."""
        return self._holds.isdisjoint((WORKING, PEER_IS_SLOW, IN_FLIGHT))

    # Out.

    def write(self, pieces: Pieces, claim: Claim | None) -> None:
        """Writes one frame, without a copy where the socket takes it at once; the claim ends when it has left."""
        if self.is_open:
            self._moved += 1
            self.transport.writelines(cast("list[bytes]", pieces))
            if left := self.transport.get_write_buffer_size():
                self._unwritten.append(claim or self._budget.charge(min(size_of(pieces), left), self._owner))
                return
        if claim is not None:
            claim.release()
            self._budget.grant_waiting()

    def pause_writing(self) -> None:
        """The peer has not taken everything."""
        self.other.hold(PEER_IS_SLOW)

    def resume_writing(self) -> None:
        """It has."""
        self._all_written()
        self.other.release(PEER_IS_SLOW)

    def _all_written(self) -> None:
        claims, self._unwritten = self._unwritten, []
        for claim in claims:
            claim.release()
        if claims:
            self._budget.grant_waiting()

    @property
    def progress(self) -> tuple[int, int]:
        """Changes with everything that is read, and with everything that the peer takes."""
        return self._moved, self.transport.get_write_buffer_size() if self.is_open else 0

    def close(self) -> None:
        """Closes the socket once what was written has left, or after a while."""
        if self.is_open:
            self.transport.close()
            if self.transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)

    def abort(self) -> None:
        """Closes the socket at once, and forgets what was written."""
        if self.is_open:
            self.transport.abort()
