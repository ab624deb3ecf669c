"""A leg between two transports that take what the test lets them take."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.batches import write_batch
from support.requests import plain_frame, produce_frame
from support.sockets import Socket
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
            if PEER_IS_SLOW in self.client._holds:
                self.broker_socket.drain()
            data = data[self.client_socket.receive(data) :]


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


SMALL, OTHER = produce_frame("clear", b"a few records"), plain_frame(16, 2)
STREAM = SMALL + OTHER + LARGE + SMALL + SMALL + LARGE + OTHER + SMALL
"""What goes on as it lies, what is handed over, and what goes on while it arrives, in one stream."""
_FIRST, _SECOND = STREAM.index(LARGE), STREAM.rindex(LARGE)
PLACES = [place for start in (_FIRST, _SECOND) for place in (start, start + len(LARGE))]
SPLITS = sorted({place + near for place in (0, *PLACES) for near in range(-40, 100) if 0 < place + near < len(STREAM)})


def forwarding(line: Line) -> None:
    """All that is handed over is sent on, and so everything is, one way or another."""

    def may_pass(buffer: bytearray, start: int, stop: int) -> bool:
        return SKIM.passes(buffer, start, stop)

    line.client.may_pass = may_pass
    line.client.on_frame = lambda frame, claim: line.broker.write([len(frame).to_bytes(4), frame], claim)
    line.streams(lambda *_: None)


@pytest.mark.parametrize("room", [0, 1 << 30], ids=["slow broker", "fast broker"])
def test_any_two_reads_send_the_same_stream_in_its_order(room: int) -> None:
    for split in SPLITS:
        line = Line()
        forwarding(line)
        line.broker_socket.room = room

        line.receive(STREAM[:split])
        line.receive(STREAM[split:])
        while line.broker_socket.unwritten:
            line.broker_socket.drain()

        assert bytes(line.broker_socket.taken) == STREAM
        assert line.budget.taken_bytes == 0
        assert not line.client.is_streaming


def test_crumbs_send_the_same_stream_in_its_order() -> None:
    line = Line()
    forwarding(line)

    for start in range(0, len(STREAM), 7):
        line.receive(STREAM[start : start + 7])

    assert bytes(line.broker_socket.taken) == STREAM
