"""Clients are taken from ports while there are descriptors, and wait in the kernel while there are none."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import cast

import pytest
import pytest_asyncio

from support.wait import until
from wiremask.proxy import metrics
from wiremask.proxy.acceptor import Acceptor
from wiremask.proxy.tasks import Tasks

MANY = 200
"""More than are taken at a time."""


class Greeter(asyncio.Protocol):
    """Greets whoever comes, and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)
        transport.write(b"in")
        transport.close()


class Port(socket.socket):
    """A port that fails with these errors before it gives clients."""

    def __init__(self, *errors: int) -> None:
        super().__init__()
        self._errors = list(errors)
        self.bind(("127.0.0.1", 0))
        self.listen(MANY)

    def accept(self) -> tuple[socket.socket, object]:
        if self._errors:
            code = self._errors.pop(0)
            raise OSError(code, os.strerror(code))
        return super().accept()


class Room:
    """Says whether there is room, and remembers what it was asked."""

    def __init__(self) -> None:
        self.is_there = True
        self.asked: list[int] = []

    def __call__(self, arriving: int) -> bool:
        self.asked.append(arriving)
        return self.is_there


@pytest.fixture
def room() -> Room:
    return Room()


@pytest_asyncio.fixture
async def acceptor(room: Room) -> AsyncIterator[Acceptor]:
    acceptor = Acceptor(Tasks(), has_room=room)
    yield acceptor
    await acceptor.close()


async def greeted(client: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(client, 16)


def connect(stack: ExitStack, port: socket.socket, *, count: int = 1) -> list[socket.socket]:
    clients = [stack.enter_context(socket.create_connection(port.getsockname())) for _ in range(count)]
    for client in clients:
        client.setblocking(False)
    return clients


async def taken_after(acceptor: Acceptor, *errors: int) -> tuple[bytes, int]:
    """What a client is greeted with on a port that fails with these errors first, and how often clients waited for it."""
    port = Port(*errors)
    acceptor.listen(port, Greeter)
    paused = metrics.accept_pauses.counts[()]
    with ExitStack() as stack:
        (client,) = connect(stack, port)
        word = await greeted(client)
    return word, metrics.accept_pauses.counts[()] - paused


async def test_more_clients_than_are_taken_at_a_time_are_all_taken(acceptor: Acceptor, room: Room) -> None:
    port = Port()
    acceptor.listen(port, Greeter)

    with ExitStack() as stack:
        words = await asyncio.gather(*(greeted(client) for client in connect(stack, port, count=MANY)))

    assert words == [b"in"] * MANY
    assert room.asked[:3] == [0, 1, 2]  # those that are not in yet count


async def test_clients_of_every_port_wait_while_there_is_no_room(acceptor: Acceptor, room: Room) -> None:
    first, second = Port(), Port()
    acceptor.listen(first, Greeter)
    acceptor.listen(second, Greeter)
    room.is_there = False
    paused = metrics.accept_pauses.counts[()]

    with ExitStack() as stack:
        clients = connect(stack, first) + connect(stack, second)
        await until(lambda: metrics.accept_pauses.counts[()] >= paused + 2)
        early = [is_silent(client) for client in clients]
        room.is_there = True
        words = await asyncio.gather(*(greeted(client) for client in clients))

    assert early == [True, True]
    assert words == [b"in", b"in"]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM], ids=errno.errorcode.get)
async def test_clients_wait_where_the_system_has_no_descriptor(acceptor: Acceptor, code: int) -> None:
    assert await taken_after(acceptor, code, code) == (b"in", 2)


async def test_a_client_that_is_gone_again_is_no_reason_to_wait(acceptor: Acceptor) -> None:
    assert await taken_after(acceptor, errno.ECONNABORTED, errno.EAGAIN, errno.EINTR) == (b"in", 0)


async def test_waiting_is_told_once_a_minute_and_not_with_every_attempt(
    acceptor: Acceptor, room: Room, capsys: pytest.CaptureFixture[str]
) -> None:
    port = Port()
    acceptor.listen(port, Greeter)
    room.is_there = False
    paused = metrics.accept_pauses.counts[()]

    with ExitStack() as stack:
        connect(stack, port)
        await until(lambda: metrics.accept_pauses.counts[()] >= paused + 3)

    assert capsys.readouterr().err.count("clients wait to be taken") == 1


async def test_a_port_that_is_closed_while_clients_wait_is_not_opened_again(acceptor: Acceptor, room: Room) -> None:
    port = Port()
    acceptor.listen(port, Greeter)
    room.is_there = False
    paused = metrics.accept_pauses.counts[()]

    with ExitStack() as stack:
        (client,) = connect(stack, port)
        await until(lambda: metrics.accept_pauses.counts[()] > paused)
        await acceptor.close()
        with pytest.raises(ConnectionResetError):
            await greeted(client)

    assert port.fileno() == -1


def is_silent(client: socket.socket) -> bool:
    try:
        client.recv(16)
    except BlockingIOError:
        return True
    return False
