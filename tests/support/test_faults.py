"""The fault proxy breaks connections where it is told to, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.faults import LOOPBACK, NARROW_BYTES, Act, Fault, FaultProxy, Side, Way
from support.wait import until

MESSAGE = bytes(range(100))


class Echo:
    """Sends back what it gets, and keeps that, a connection each."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self.ended: list[type[BaseException] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = bytearray()
        self.heard.append(heard)
        try:
            while piece := await reader.read(1000):
                heard += piece
                writer.write(piece)
                await writer.drain()
            self.ended.append(None)
        except OSError as error:
            self.ended.append(type(error))
        finally:
            writer.close()


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, FaultProxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, LOOPBACK, 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as faults:
        yield echo, faults
        await until(lambda: not faults.open, what="every connection over")
    server.close()


async def ask(faults: FaultProxy, message: bytes = MESSAGE) -> bytes:
    """What comes back of a message until the connection ends."""
    reader, writer = await connect(faults)
    writer.write(message)
    writer.write_eof()
    try:
        return await reader.read(-1)
    finally:
        writer.close()


async def connect(faults: FaultProxy) -> Side:
    return await asyncio.open_connection(LOOPBACK, faults.port)


async def test_passes_everything_where_nothing_is_planned() -> None:
    async with echoing() as (echo, faults):
        told = await ask(faults, bytes(300_000))

        assert told == bytes(300_000)
        assert echo.ended == [None]
        assert not faults.struck


@pytest.mark.parametrize("act", [Act.CUT, Act.HALF_CLOSE])
@pytest.mark.parametrize("at", [0, 1, 99])
async def test_ends_a_way_after_so_many_bytes(act: Act, at: int) -> None:
    async with echoing() as (echo, faults):
        faults.plan(Fault(act=act, at=at))

        await ask(faults)
        whole = await ask(faults)

        assert [len(heard) for heard in echo.heard] == [at, 100]
        assert echo.ended == [None, None]
        assert whole == MESSAGE
        assert faults.struck == {act: 1}


async def test_cuts_the_answers_too() -> None:
    async with echoing() as (echo, faults):
        faults.plan(Fault(act=Act.CUT, way=Way.ANSWERS, at=40))

        told = await ask(faults)

        assert told == MESSAGE[:40]
        assert echo.heard == [MESSAGE]


async def test_half_close_lets_the_other_way_go_on() -> None:
    async with echoing() as (_, faults):
        faults.plan(Fault(act=Act.HALF_CLOSE, at=30))

        told = await ask(faults)

        assert told == MESSAGE[:30]


async def test_resets_both_ends() -> None:
    async with echoing() as (echo, faults):
        faults.plan(Fault(act=Act.RESET, way=Way.ANSWERS, at=100))
        reader, writer = await connect(faults)

        writer.write(MESSAGE)
        with pytest.raises(ConnectionResetError):
            await reader.read(-1)
        writer.close()
        await until(lambda: echo.ended)

        assert echo.ended == [ConnectionResetError]


@pytest.mark.parametrize("act", [Act.DELAY, Act.THROTTLE])
async def test_what_comes_late_comes_whole(act: Act) -> None:
    async with echoing() as (_, faults):
        faults.plan(Fault(act=act, at=50), Fault(act=act, way=Way.ANSWERS, at=50))

        told = [await ask(faults, bytes(3 * NARROW_BYTES)) for _ in range(2)]

        assert told == [bytes(3 * NARROW_BYTES)] * 2
        assert faults.struck == {act: 2}


async def test_doubles_a_connection_and_passes_one_answer() -> None:
    async with echoing() as (echo, faults):
        faults.plan(Fault(act=Act.DOUBLE))

        told = await ask(faults)

        assert told == MESSAGE
        assert echo.heard == [MESSAGE, MESSAGE]
        assert faults.struck == {Act.DOUBLE: 1}
