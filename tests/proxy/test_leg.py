"""A leg between two transports that take what the test lets them take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from support.batches import write_batch
from support.requests import plain_frame, produce_frame
from wiremask.protocol.errors import MalformedFrame, ProtocolError
from wiremask.protocol.frame import ReadBuffers
from wiremask.protocol.messages.skims import skim_produce_request
from wiremask.proxy.budget import Budget
from wiremask.proxy.leg import PEER_IS_SLOW, WORKING, Leg

LARGE = produce_frame("clear", write_batch([b"x" * 1000] * 400))
SKIM = skim_produce_request(9, LARGE[12:18])


class Owner:
    """Who the legs belong to."""

    progress = 0

    def cut(self, reason: str) -> None:
        raise AssertionError(reason)


class Socket:
    """Takes `room` bytes; the rest stays unwritten until `drain`."""

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.room = 1 << 30
        self.taken = bytearray()
        self.unwritten = bytearray()
        self.is_closing = False
        leg.connection_made(cast("Any", self))

    def set_write_buffer_limits(self, *, high: int) -> None:
        pass

    def write(self, data: Any) -> None:
        before = bool(self.unwritten)
        self.unwritten += data
        self._take()
        if self.unwritten and not before:
            self.leg.pause_writing()

    def writelines(self, pieces: list[Any]) -> None:
        self.write(b"".join(pieces))

    def _take(self) -> None:
        count = min(self.room, len(self.unwritten))
        self.taken += self.unwritten[:count]
        del self.unwritten[:count]
        self.room -= count

    def drain(self) -> None:
        """Takes everything, also of a transport that is closing, as uvloop does."""
        self.room = 1 << 30
        self._take()
        self.leg.resume_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.unwritten)

    def pause_reading(self) -> None:
        assert not self.is_closing

    resume_reading = pause_reading

    def close(self) -> None:
        self.is_closing = True

    def abort(self) -> None:
        self.unwritten.clear()


class Line:
    """A client's leg, a broker's leg, and what was told of them."""

    def __init__(self) -> None:
        self.budget = Budget(1 << 30)
        self.frames: list[bytes] = []
        self.errors: list[Exception] = []
        self.ends = 0
        buffers = ReadBuffers()
        self.client, self.broker = (
            Leg(peer, Owner(), self.budget, limit_bytes=1 << 20, buffers=buffers) for peer in ("client", "broker")
        )
        self.client.other, self.broker.other = self.broker, self.client
        for leg in (self.client, self.broker):
            leg.on_connected = leg.on_passed = leg.on_streamed = lambda: None
            leg.on_error = leg.on_fault = self.end
            leg.on_end = self._ended
            leg.on_frame = lambda frame, claim: self.frames.append(bytes(frame))
            leg.may_pass = lambda *_: False
            leg.may_stream = lambda *_: None
        self.client_socket, self.broker_socket = Socket(self.client), Socket(self.broker)

    def _ended(self) -> None:
        self.ends += 1

    def end(self, error: Exception) -> None:
        self.errors.append(error)
        self.client.close()
        self.broker.close()

    def streams(self, may_close: Callable[..., None]) -> None:
        """Large frames go on while they arrive."""
        self.client.may_stream = SKIM.opens
        self.client.may_close = may_close

    def receive(self, data: bytes) -> None:
        """Bytes of the client, as a transport hands them over."""
        while data:
            memory = self.client.get_buffer(-1)
            count = min(len(memory), len(data))
            memory[:count] = data[:count]
            data = data[count:]
            self.client.buffer_updated(count)


async def test_a_passage_that_was_refused_does_not_finish_when_a_slow_broker_drains() -> None:
    line = Line()
    answers: list[ProtocolError | None] = [MalformedFrame("no"), None]

    def may_close(*_: object) -> None:
        if (error := answers.pop(0)) is not None:
            raise error

    line.streams(may_close)
    line.receive(LARGE[:-1000])

    line.broker_socket.room = 10
    line.receive(LARGE[-1000:])
    line.broker_socket.drain()

    assert len(line.errors) == 1
    assert bytes(line.broker_socket.taken) == LARGE[:-3]  # what is held back of it
    assert len(answers) == 1


def test_a_client_that_is_lost_while_its_passage_waits_for_the_broker_is_told_of_when_it_drains() -> None:
    line = Line()
    line.streams(lambda *_: None)
    line.broker_socket.room = 10
    line.receive(LARGE[:1000])
    line.client.connection_lost(None)
    before = line.ends

    line.broker_socket.drain()

    assert line.client.is_streaming
    assert line.ends == before + 1
    assert bytes(line.broker_socket.taken) == LARGE[:1000]


async def test_what_is_written_after_a_close_stays_here() -> None:
    line = Line()
    line.broker_socket.room = 0
    line.broker.write([b"before"], None)

    line.broker.close()
    line.broker.write([b"after"], line.budget.charge(5, Owner()))
    line.broker_socket.drain()

    assert bytes(line.broker_socket.taken) == b"before"
    assert line.budget.taken_bytes == 0


def test_a_frame_that_waited_for_memory_is_assembled_whatever_rules_have_come() -> None:
    line = Line()
    other = line.budget.charge(1 << 30, Owner())
    line.receive(LARGE[:100])
    line.streams(lambda *_: None)

    other.release()
    line.budget.grant_waiting()
    line.receive(LARGE[100:])

    assert line.frames == [LARGE[4:]]
    assert bytes(line.broker_socket.taken) == b""


def test_a_fault_of_ours_ends_the_connection_and_its_frame_is_not_sent() -> None:
    line = Line()

    def broken(*_: object) -> bool:
        raise ValueError("a fault")

    line.client.may_pass = broken
    line.receive(plain_frame(16, 2) * 2)

    assert [type(error) for error in line.errors] == [ValueError]
    assert not line.frames
    assert bytes(line.broker_socket.taken) == b""


def test_frames_that_waited_are_worked_on_before_the_end_of_their_stream_is_told() -> None:
    line = Line()
    line.client.hold(WORKING)
    line.receive(plain_frame(16, 2) * 3)
    line.client.eof_received()
    told: list[int] = []
    line.client.on_end = lambda: told.append(len(line.frames))

    line.client.release(WORKING)

    assert told == [3]
    assert line.client.is_settled


@pytest.mark.parametrize("reason", [WORKING, PEER_IS_SLOW])
def test_a_leg_is_not_settled_while_it_is_held_for_work(reason: str) -> None:
    line = Line()

    line.client.hold(reason)

    assert not line.client.is_settled
