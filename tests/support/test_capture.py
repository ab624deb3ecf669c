"""The relay passes every byte and keeps whole frames; topics are exchanged only where that is safe."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from support import ports
from support.capture import RawClient, Relay, for_topic
from support.requests import PRODUCE, plain_frame, produce_frame


@pytest.fixture
def echo() -> socket.socket:
    """A server that sends each first piece back, then closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(connection.recv(1 << 16))

    threading.Thread(target=serve, daemon=True).start()
    return server


def test_relay_keeps_frames_of_both_directions(echo: socket.socket) -> None:
    block = ports.reserve()
    request = plain_frame(3, 1, b"body")

    with echo, Relay(listen=block.take(), target=echo.getsockname()[1]) as relay, RawClient(relay.bootstrap) as client:
        answer = client.ask(request)
        closed = client.read()
    block.release()

    assert (answer, closed) == (request[4:], None)
    assert [(frame.direction, frame.api_key, frame.data) for frame in relay.frames] == [
        ("request", 3, request),
        ("response", -1, request),
    ]
    assert relay.requests(PRODUCE) == []


def test_topic_is_exchanged_in_a_frame_of_equal_length() -> None:
    frame = produce_frame("topic-one", b"records")

    assert for_topic(frame, b"topic-one", b"topic-two") == produce_frame("topic-two", b"records")


@pytest.mark.parametrize(("old", "new"), [(b"topic-one", b"longer-topic"), (b"absent-99", b"topic-two")])
def test_topic_is_not_exchanged_where_the_frame_would_break(old: bytes, new: bytes) -> None:
    with pytest.raises(ValueError, match="exchange"):
        for_topic(produce_frame("topic-one", b"records"), old, new)


def test_port_blocks_do_not_overlap() -> None:
    blocks = [ports.reserve() for _ in range(5)]
    taken = [block.take() for block in blocks for _ in range(15)]

    for block in blocks:
        block.release()

    assert len(set(taken)) == 75
    with pytest.raises(ValueError, match="15 ports"):
        blocks[0].take()


def test_raw_client_tells_a_closed_connection_from_a_broken_frame() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    with server, RawClient(f"127.0.0.1:{server.getsockname()[1]}") as client:
        connection, _ = server.accept()
        connection.sendall(struct.pack(">i", 10) + b"half")
        connection.close()

        with pytest.raises(ConnectionError):
            client.read()
