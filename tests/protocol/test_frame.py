"""The frame assembler, driven as a transport drives it."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.protocol.errors import FrameTooLarge, MalformedFrame
from wiremask.protocol.frame import READ_BYTES, FrameAssembler, ReadBuffers, frame_pieces

LIMIT = 1_000_000
MIB = 1 << 20


def framed(*frames: bytes) -> bytes:
    return b"".join(len(frame).to_bytes(4) + frame for frame in frames)


def receive(assembler: FrameAssembler, stream: bytes, *, at_most: int = READ_BYTES) -> list[bytes]:
    """Write the stream as a transport does, up to `at_most` bytes a time, and take all frames after each."""
    frames = []
    while stream:
        memory = assembler.get_buffer()
        count = min(len(memory), len(stream), at_most)
        memory[:count] = stream[:count]
        stream = stream[count:]
        assembler.received(count)
        while (frame := assembler.next_frame()) is not None:
            frames.append(bytes(frame))
    return frames


sizes = st.sampled_from(
    [0, 1, 3, 4, 5, 100, READ_BYTES - 5, READ_BYTES - 4, READ_BYTES - 3, READ_BYTES, READ_BYTES + 1]
)


@given(
    sizes=st.lists(sizes | st.integers(0, 3 * READ_BYTES), max_size=5),
    reads=st.lists(st.sampled_from([1, 2, 3, 7, 1000]) | st.integers(1, 2 * READ_BYTES), min_size=1, max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_any_split_of_the_stream_gives_the_same_frames(sizes: list[int], reads: list[int]) -> None:
    frames = [bytes([65 + index]) * size for index, size in enumerate(sizes)]
    stream = framed(*frames)
    assembler = FrameAssembler(limit_bytes=LIMIT)

    received: list[bytes] = []
    for count in reads:
        received += receive(assembler, stream[:count])
        stream = stream[count:]
    received += receive(assembler, stream)

    assert received == frames
    assert assembler.is_between_frames


@pytest.mark.parametrize("at_most", [1, 2, 3, 4, 5, 11])
def test_frames_that_arrive_in_crumbs_are_put_together(at_most: int) -> None:
    frames = [b"", b"a", b"four", b"and a longer one"]

    assert receive(FrameAssembler(limit_bytes=LIMIT), framed(*frames), at_most=at_most) == frames


def test_a_large_frame_is_handed_over_in_the_memory_that_it_was_read_into() -> None:
    assembler = FrameAssembler(limit_bytes=LIMIT)
    size = 3 * READ_BYTES
    head = assembler.get_buffer()
    head[:6] = size.to_bytes(4) + b"ab"
    assembler.received(6)
    assert assembler.next_frame() is None

    rest = assembler.get_buffer()

    assert len(rest) == size - 2
    rest[:] = b"c" * (size - 2)
    assembler.received(size - 2)
    frame = assembler.next_frame()
    assert frame == b"ab" + b"c" * (size - 2)
    assert rest.obj is frame


def test_memory_of_a_large_frame_is_taken_only_when_it_is_read_on() -> None:
    assembler = FrameAssembler(limit_bytes=100 * MIB)
    tracemalloc.start()
    try:
        assert receive(assembler, (90 * MIB).to_bytes(4) + b"some") == []
        known, _ = tracemalloc.get_traced_memory()
        assembler.get_buffer()
        read_on, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert assembler.expected_bytes == 90 * MIB
    assert known < MIB
    assert read_on > 90 * MIB


def test_a_hostile_size_with_nothing_behind_it_costs_no_resident_memory() -> None:
    before = resident_bytes()

    assemblers = [FrameAssembler(limit_bytes=100 * MIB) for _ in range(10)]
    for assembler in assemblers:
        receive(assembler, (100 * MIB).to_bytes(4) + b"x" * 2000, at_most=1000)
        assembler.get_buffer()

    assert resident_bytes() - before < 20 * MIB


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_says_how_large_the_arriving_frame_is() -> None:
    assembler = FrameAssembler(limit_bytes=LIMIT)

    receive(assembler, b"\0\0\0")
    assert assembler.expected_bytes is None
    assert not assembler.is_between_frames
    receive(assembler, b"\5abcd")
    assert assembler.expected_bytes == 5
    assert receive(assembler, b"e") == [b"abcde"]
    assert assembler.expected_bytes is None
    assert assembler.is_between_frames


@pytest.mark.parametrize("size", [LIMIT + 1, 2**31 - 1])
def test_refuses_frame_longer_than_limit(size: int) -> None:
    with pytest.raises(FrameTooLarge, match=f"{size} bytes is beyond the limit of {LIMIT}$"):
        receive(FrameAssembler(limit_bytes=LIMIT), size.to_bytes(4))


def test_takes_a_frame_of_exactly_the_limit() -> None:
    assert receive(FrameAssembler(limit_bytes=9), framed(b"123456789")) == [b"123456789"]


@pytest.mark.parametrize("size", [-1, -(2**31)])
def test_refuses_a_negative_size(size: int) -> None:
    with pytest.raises(MalformedFrame, match=str(size)):
        receive(FrameAssembler(limit_bytes=LIMIT), size.to_bytes(4, signed=True))


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"\x16\x03\x01\x02", "TLS on a plaintext port"),
        (b"\x16\x03\x03\x00", "TLS on a plaintext port"),
        (b"GET / HTTP/1.1", "HTTP"),
        (b"PROXY TCP4", "PROXY protocol"),
        (b"\r\n\r\n\0\r\nQUIT", "PROXY protocol"),
    ],
    ids=["TLS 1.0", "TLS 1.3", "HTTP", "PROXY 1", "PROXY 2"],
)
def test_recognises_another_protocol(head: bytes, what: str) -> None:
    with pytest.raises(FrameTooLarge, match=what):
        receive(FrameAssembler(limit_bytes=100 * MIB), head)


def test_frames_before_a_broken_one_come_out_and_the_fault_stays() -> None:
    assembler = FrameAssembler(limit_bytes=LIMIT)
    stream = framed(b"one", b"two") + b"\xff\xff\xff\xff"
    assembler.get_buffer()[: len(stream)] = stream
    assembler.received(len(stream))

    assert [assembler.next_frame(), assembler.next_frame()] == [b"one", b"two"]
    for _ in range(2):
        with pytest.raises(MalformedFrame):
            assembler.next_frame()


def test_frames_that_wait_are_not_overwritten() -> None:
    assembler = FrameAssembler(limit_bytes=LIMIT)
    stream = framed(b"x" * (READ_BYTES - 8), b"")
    assembler.get_buffer()[:] = stream
    assembler.received(READ_BYTES)

    with pytest.raises(BufferError):
        assembler.get_buffer()

    assert [assembler.next_frame(), assembler.next_frame()] == [b"x" * (READ_BYTES - 8), b""]
    assert len(assembler.get_buffer()) == READ_BYTES


def test_connections_between_frames_share_one_read_buffer() -> None:
    buffers = ReadBuffers()
    one, two = (FrameAssembler(limit_bytes=LIMIT, buffers=buffers) for _ in range(2))

    assert receive(one, framed(b"first")) == [b"first"]
    memory = one.get_buffer()
    memory[:9] = framed(b"again")
    one.received(9)
    assert one.next_frame() == b"again"

    assert two.get_buffer().obj is memory.obj


@given(
    kinds=st.lists(st.sampled_from(["pass", "take", "stream"]), min_size=1, max_size=6),
    reads=st.lists(st.sampled_from([1, 2, 3, 1000]) | st.integers(1, 2 * READ_BYTES), min_size=1, max_size=20),
    held_back=st.sampled_from([1, 3, 100]),
    keeps=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_frames_that_go_on_as_they_lie_leave_as_they_came(
    kinds: list[str], reads: list[int], held_back: int, keeps: bool
) -> None:
    bodies = [
        bytes([65 + index]) * (2 * READ_BYTES + 9 if kind == "stream" else 500) for index, kind in enumerate(kinds)
    ]
    stream = framed(*bodies)
    assembler = FrameAssembler(limit_bytes=LIMIT)
    ways = list(kinds)
    left, kept = b"", []
    streaming = False

    def take_passed() -> bytes:
        view = assembler.take_passed()
        if view is None:
            return b""
        passed = bytes(view)
        if keeps:
            kept.append((view, passed))
            assembler.part()
        else:
            assembler.rest()
        return passed

    for count in [*reads, *[READ_BYTES] * 40]:
        memory = assembler.get_buffer()
        some = stream[: min(count, len(memory))]
        memory[: len(some)] = some
        stream = stream[len(some) :]
        if streaming and (view := assembler.pass_received(len(some))) is not None:
            left += bytes(view)
            (assembler.part if keeps else assembler.rest)()
            continue
        if not streaming:
            assembler.received(len(some))
        while True:
            if streaming:
                assembler.pass_arrived()
                if not assembler.rest_is_here:
                    left += take_passed()
                    break
                assembler.pass_rest()
                streaming = False
                ways.pop(0)
            while ways and ways[0] == "pass" and assembler.find():
                assembler.pass_on()
                ways.pop(0)
            left += take_passed()
            if ways and ways[0] == "stream" and not assembler.find() and assembler.is_large_ahead:
                assembler.begin_passing(held_back)
                streaming = True
                continue
            if not ways or ways[0] == "stream" or (frame := assembler.next_frame()) is None:
                break
            if ways[0] == "take":
                left += framed(bytes(frame))
                ways.pop(0)

    assert left == framed(*bodies)
    assert assembler.is_between_frames
    assert [bytes(view) for view, _ in kept] == [passed for _, passed in kept]


def test_a_frame_is_taken_only_after_those_that_were_passed_on() -> None:
    assembler = FrameAssembler(limit_bytes=LIMIT)
    stream = framed(b"one", b"two")
    assembler.get_buffer()[: len(stream)] = stream
    assembler.received(len(stream))

    assert assembler.find()
    assert assembler.buffer[assembler.frame_start : assembler.frame_stop] == b"one"
    assembler.pass_on()
    with pytest.raises(BufferError):
        assembler.next_frame()
    assert bytes(assembler.take_passed() or b"") == framed(b"one")
    assert assembler.next_frame() == b"two"


def test_a_read_buffer_that_somebody_still_needs_is_not_lent_again() -> None:
    buffers = ReadBuffers()
    assembler = FrameAssembler(limit_bytes=LIMIT, buffers=buffers)
    stream = framed(b"one") + b"\0\0"
    assembler.get_buffer()[: len(stream)] = stream
    assembler.received(len(stream))
    assert assembler.find()
    assembler.pass_on()
    needed = assembler.take_passed()
    assert needed is not None

    assembler.part()

    others = [FrameAssembler(limit_bytes=LIMIT, buffers=buffers) for _ in range(3)]
    for other in [assembler, *others]:
        other.get_buffer()[:7] = b"x" * 7
    assert bytes(needed) == framed(b"one")


def test_a_frame_to_be_written_has_its_size_in_front() -> None:
    assert b"".join(frame_pieces(b"ab", memoryview(b"cde"), bytearray(b"f"))) == framed(b"abcdef")
