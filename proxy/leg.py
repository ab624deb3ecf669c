# cython: language_level=3, annotation_typing=False, nonecheck=True
"""One socket of a connection: bytes to frames on the way in, back-pressure and memory on the way out.

A leg that is *held* is not read. Reasons to hold are a set, so that two of them cannot release each other; frames that
have arrived wait in the assembler, in order, until the last reason is gone.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.frame import READ_BYTES, SMALL_BYTES, FrameAssembler, ReadBuffers
from wiremask.protocol.splice import held_by, size_of
from wiremask.proxy import metrics
from wiremask.proxy.budget import STEP_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from wiremask.protocol.skim import Passage
    from wiremask.proxy.budget import Budget, Claim, Owner
    from wiremask.proxy.session import Pieces

# Why a leg is held.
CONNECTING = "connecting"
WORKING = "working"
LOOKING_UP = "looking up"  # not the same: a worker may come to a look-up, and a look-up to a worker
PEER_IS_SLOW = "peer is slow"
IN_FLIGHT = "in flight"
LOGIN = "login"
RENEWING = "renewing the proxy's login"
DRAINING = "draining"
NO_ROOM = "no room"
ENDED = "ended"
"""Is never released: what still waits to be read or sent when a leg is closed stays where it is."""

_UNSETTLED = frozenset({CONNECTING, WORKING, LOOKING_UP, PEER_IS_SLOW, IN_FLIGHT})

Frame = bytes | bytearray

LINGER_S = 5.0
"""How long a closed socket may take to send what was written before."""


class Leg:
    """The client's or the broker's socket."""

    transport: asyncio.Transport
    other: Leg
    on_connected: Callable[[], None]
    on_frame: Callable[[Frame, Claim | None], None]
    may_pass: Callable[[bytearray, int, int], bool]
    may_stream: Callable[[bytearray, int, int, int], Passage | None]
    may_close: Callable[[Passage, bytearray, int], None]
    on_passed: Callable[[], None]
    on_streamed: Callable[[], None]
    on_error: Callable[[ProtocolError], None]
    on_fault: Callable[[Exception], None]
    on_end: Callable[[], None]

    def __init__(self, peer: str, owner: Owner, budget: Budget, *, limit_bytes: int, buffers: ReadBuffers) -> None:
        self._assembler = FrameAssembler(limit_bytes=limit_bytes, buffers=buffers)
        self.get_buffer = self._assembler.get_buffer  # where the next bytes go
        self._peer = peer
        self._received = metrics.received_bytes.counts
        self._owner = owner
        self._budget = budget
        self._claim: Claim | None = None  # of the large frame that is arriving
        self._gathered: list[Buffer] = []  # small frames that leave together, at the end of a turn
        self._gathered_bytes = 0
        self._unwritten: list[Claim] = []  # of what the peer has not taken yet
        self._holds: set[str] = set()
        self.is_pumping = False
        self._passage: Passage | None = None  # of a large frame that goes on while it arrives
        self._queued: list[tuple[Pieces, Claim | None]] = []  # until the other leg's passage is over
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

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes are where `get_buffer` said."""
        self._moved += nbytes
        self._received[self._peer] += nbytes
        if self._passage is not None and not self._holds:
            arrived = self._assembler.pass_received(nbytes)
            if arrived is not None:
                self._write_at_once(arrived)
                return
        elif not self._assembler.received(nbytes) and not self._holds:
            return
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
        self._holds.add(ENDED)
        self._all_written()
        self._assembler.drop()  # at once, not when the garbage collector finds this connection
        self.on_end()

    def _pump(self) -> None:
        if self.is_pumping:
            return  # a frame that is being worked on released the leg: the loop below goes on by itself
        self.is_pumping = True
        assembler = self._assembler
        try:
            while not self._holds:
                if self._passage is not None and not self._stream(self._passage):
                    break
                while assembler.find() and self.may_pass(assembler.buffer, assembler.frame_start, assembler.frame_stop):
                    assembler.pass_on()
                    if self._holds:
                        break
                self._write_passed()
                if self._holds or assembler.is_between_frames:
                    break
                if (frame := assembler.next_frame()) is None:
                    if self._begin_stream():
                        continue
                    break
                claim, self._claim = self._claim, None
                self.on_frame(frame, claim)
            self.other.write_gathered()
            if not self._holds and self._passage is None:
                self._make_room()
        except ProtocolError as error:
            self._write_passed()
            self.other.write_gathered()
            self.on_error(error)
        except Exception as error:  # a fault of ours: what it stopped at is not sent
            self.other.write_gathered()
            self.on_fault(error)
        finally:
            self.is_pumping = False

    def _begin_stream(self) -> bool:
        """Whether the large frame whose head has arrived goes on while it arrives."""
        assembler = self._assembler
        if not assembler.is_large_ahead or self._claim is not None:  # a frame with a claim is assembled
            return False
        start = assembler.frame_start
        size = assembler.frame_stop - start
        self._passage = self.may_stream(assembler.buffer, start, assembler.arrived_stop, size)
        if self._passage is None:
            return False
        # One byte at least, so that the whole frame is never there before the last look at it.
        assembler.begin_passing(max(self._passage.tail_bytes, 1))
        return True

    def _stream(self, passage: Passage) -> bool:
        """Sends what has arrived of the frame that goes on while it arrives; True when that was all of it."""
        assembler = self._assembler
        assembler.pass_arrived()
        if not assembler.rest_is_here:
            self._write_passed()
            if self.has_ended:
                self.on_end()
            return False
        self.may_close(passage, assembler.buffer, assembler.rest_stop - passage.tail_bytes)
        assembler.pass_rest()
        self._write_passed()
        self._passage = None
        self.other.write_queued()
        self.on_streamed()
        return True

    @property
    def is_streaming(self) -> bool:
        """Whether the other side has had the beginning of a frame of which the end has not come."""
        return self._passage is not None

    def _write_passed(self) -> None:
        """Sends the frames that go on as they lie, all with one call."""
        assembler = self._assembler
        passed = assembler.take_passed()
        if passed is None:
            return
        self.other.write_gathered()
        self._write_at_once(passed)
        self.on_passed()

    def _write_at_once(self, passed: memoryview) -> None:
        """Sends bytes of the read buffer; if the peer does not take all, the buffer stays with them."""
        other = self.other
        if not other.is_open:
            self._assembler.rest()
            return
        transport = other.transport
        transport.write(passed)
        if transport.get_write_buffer_size():
            other.charge_unwritten((passed,))
            self._assembler.part()
        else:
            self._assembler.rest()

    def _make_room(self) -> None:
        """Claims memory for a large frame whose size has just arrived; until there is room, its body is not read."""
        size = self._assembler.expected_bytes
        if self._claim is None and size is not None and size > SMALL_BYTES:
            self._claim = self._budget.claim(size, self._owner, lambda: self.release(NO_ROOM))
            if not self._claim.is_granted:
                self.hold(NO_ROOM)

    def hold(self, reason: str) -> None:
        """Stops reading until every reason is released."""
        if not self._holds and self.is_open:
            self.transport.pause_reading()
        if reason not in self._holds:
            metrics.holds.counts[reason] += 1
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Takes one reason back; with the last, the frames that wait are worked on and reading goes on."""
        if reason not in self._holds:
            return
        self._holds.discard(reason)
        self._pump()
        if self.has_ended:
            self.on_end()
        elif not self._holds and self.is_open:
            self.transport.resume_reading()

    @property
    def is_held(self) -> bool:
        """Whether there is any reason not to read."""
        return bool(self._holds)

    @property
    def is_settled(self) -> bool:
        """Whether no frame is being worked on, or waits for one that is."""
        return not self.is_pumping and self._holds.isdisjoint(_UNSETTLED)

    # Out.

    def write(self, pieces: Pieces, claim: Claim | None) -> None:
        """Writes one frame, without a copy where the socket takes it at once.

        The claim is that of the frame as it arrived; what the peer does not take is counted as it is now. Small frames
        that come of one turn of the other leg, which may have read many, leave together at its end.
        """
        if self.other.is_streaming:
            self._queued.append((pieces, claim))
            return
        if claim is None and self.other.is_pumping and self._gathered_bytes < READ_BYTES:
            self._gathered += pieces
            self._gathered_bytes += size_of(pieces)
            return
        self.write_gathered()
        self._write(pieces, claim)

    def write_gathered(self) -> None:
        """Writes the small frames of this turn, with one call."""
        if self._gathered:
            pieces, self._gathered, self._gathered_bytes = self._gathered, [], 0
            self._write(pieces, None)

    def _write(self, pieces: Pieces, claim: Claim | None) -> None:
        if self.is_open and ENDED not in self._holds:
            self._moved += 1
            if len(pieces) == 1:  # a plain write costs half of a vectored one
                self.transport.write(cast("bytes", pieces[0]))
            else:
                self.transport.writelines(cast("list[bytes]", pieces))
            if self.transport.get_write_buffer_size():
                self.charge_unwritten(pieces)
        if claim is not None:
            claim.release()
            self._budget.grant_waiting()

    def write_queued(self) -> None:
        """Writes what had to wait for the other leg's passage to be over."""
        queued, self._queued = self._queued, []
        for pieces, claim in queued:
            self.write(pieces, claim)

    def charge_unwritten(self, pieces: Pieces) -> None:
        """Counts the memory that stays until the peer has taken these."""
        self._unwritten.append(self._budget.charge(held_by(pieces), self._owner))

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

    @property
    def steps(self) -> tuple[int, int]:
        """`progress`, as long strides make it."""
        moved, left = self.progress
        return moved // STEP_BYTES, left // STEP_BYTES

    def close(self) -> None:
        """Closes the socket once what was written has left, or after a while; nothing more is read or written."""
        self.write_gathered()
        self._holds.add(ENDED)
        if self.is_open:
            self.transport.close()
            if self.transport.get_write_buffer_size():
                asyncio.get_running_loop().call_later(LINGER_S, self.transport.abort)

    def abort(self) -> None:
        """Closes the socket at once, and forgets what was written."""
        self._holds.add(ENDED)
        if self.is_open:
            self.transport.abort()
