"""TLS between a socket and what is above: bytes arrive whole, memory is bounded, endings are told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from support.authority import Authority
from support.wait import until
from wiremask.proxy.tls import ClientTlsConfig, ServerTlsConfig, Tls, client_context
from wiremask.proxy.tlslayer import CHUNK_BYTES, PEER_LEFT, TlsLayer

LARGE_BYTES = 24 * 1024 * 1024


class Above(asyncio.BufferedProtocol):
    """Keeps what comes, and what it is told."""

    def __init__(self, *, memory_bytes: int = 65_536) -> None:
        self.memory = bytearray(memory_bytes)
        self.received = bytearray()
        self.told: list[str] = []
        self.layer: Any = None
        self.changed = asyncio.Event()

    def tell(self, what: str) -> None:
        self.told.append(what)
        self.changed.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.layer = transport
        self.tell("made")

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self.memory)

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self.memory[:nbytes]
        self.changed.set()

    def pause_writing(self) -> None:
        self.tell("full")

    def resume_writing(self) -> None:
        self.tell("taken")

    def eof_received(self) -> bool:
        self.tell("over")
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.tell("lost")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class Wire(asyncio.Transport):
    """A socket in memory, which takes as much as the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.other: TlsLayer | None = None
        self.waiting = bytearray()
        self.closed = False
        self.reads = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.waiting += data

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def carry(self, count: int) -> bool:
        """Brings up to so many bytes to the other side; False if there was nothing to bring."""
        assert self.other is not None
        piece = self.waiting[:count]
        memory = self.other.get_buffer(-1)
        piece = piece[: len(memory)]
        memory[: len(piece)] = piece
        del self.waiting[: len(piece)]
        if piece:
            self.other.buffer_updated(len(piece))
        return bool(piece)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def sides(authority: Authority) -> tuple[Tls, Tls]:
    """A server's TLS and a client's."""
    issued = authority.issue("server")
    server = Tls(ServerTlsConfig.model_validate(issued.settings), use="server")
    return server, Tls(ClientTlsConfig.model_validate({"ca": str(authority.ca)}), use="upstream")


def joined(sides: tuple[Tls, Tls], failures: list[str]) -> Iterator[tuple[Above, Wire]]:
    """Both ends in memory: a server and a client."""
    for side, host in zip(sides, (None, "localhost"), strict=True):
        above = Above(memory_bytes=1000)
        layer = side.layer(above, server_hostname=host, on_secured=lambda _: None, on_failed=failures.append)
        above.layer = layer
        yield above, Wire()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40_000), st.integers(1, 9_000)), max_size=12))
def test_bytes_arrive_whole_whatever_the_pieces(
    authority: Authority, sides: tuple[Tls, Tls], steps: list[tuple[bool, int, int]]
) -> None:
    async def run() -> None:
        failures: list[str] = []
        (server, to_client), (client, to_server) = joined(sides, failures)
        to_client.other, to_server.other = client.layer, server.layer
        sent = {id(server): bytearray(), id(client): bytearray()}
        server.layer.connection_made(to_client)
        client.layer.connection_made(to_server)
        while to_server.carry(4096) | to_client.carry(4096):
            pass

        for from_client, size, piece in steps:
            side, other, wire = (client, server, to_server) if from_client else (server, client, to_client)
            data = bytes(range(256)) * (size // 256 + 1)
            side.layer.writelines([memoryview(data)[: size // 3], data[size // 3 : size]])
            sent[id(other)] += data[:size]
            while wire.carry(piece):
                pass

        assert failures == []
        assert (server.received, client.received) == (sent[id(server)], sent[id(client)])

    asyncio.run(run())


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=400), st.booleans())
def test_hostile_bytes_end_the_connection_or_wait_for_more(
    authority: Authority, sides: tuple[Tls, Tls], data: bytes, after_the_handshake: bool
) -> None:
    async def run() -> None:
        failures: list[str] = []
        (server, to_client), (client, to_server) = joined(sides, failures)
        to_client.other, to_server.other = client.layer, server.layer
        server.layer.connection_made(to_client)
        if after_the_handshake:
            client.layer.connection_made(to_server)
            while to_server.carry(4096) | to_client.carry(4096):
                pass

        to_server.waiting += data
        to_server.carry(len(data))

        assert not server.received
        assert to_client.closed == bool(failures)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def served(tls: Tls, above: Above, failures: list[str]) -> AsyncIterator[int]:
    """A server of one connection; gives its port."""
    layers: list[TlsLayer] = []

    def enter() -> TlsLayer:
        layers.append(tls.layer(above, on_secured=lambda _: None, on_failed=failures.append))
        return layers[-1]

    server = await asyncio.get_running_loop().create_server(enter, "127.0.0.1", 0)
    try:
        async with asyncio.timeout(30):
            yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for layer in layers:
            layer.abort()
        await asyncio.sleep(0)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(port: int, context: ssl.SSLContext | None) -> AsyncIterator[Streams]:
    """A client by the event loop's own TLS."""
    host = None if context is None else "localhost"
    # A reader without a limit: uvloop forgets what a paused one has not read when the other side closes.
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=host, limit=4 * LARGE_BYTES
    )
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


def on_both_loops(work: Callable[[], Any]) -> None:
    asyncio.run(work())
    uvloop.run(work())


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    """A client's context."""
    return client_context(ClientTlsConfig.model_validate({"ca": str(authority.ca)}))


def test_a_peer_that_does_not_read_is_charged_and_waited_for(sides: tuple[Tls, Tls], trusting: ssl.SSLContext) -> None:
    async def work() -> None:
        above, failures = Above(), list[str]()
        async with served(sides[0], above, failures) as port, connected(port, trusting) as (reader, writer):
            await above.until(lambda: "made" in above.told)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            content = bytes(LARGE_BYTES)

            above.layer.write(content)
            await above.until(lambda: "full" in above.told)
            left = above.layer.get_write_buffer_size()
            encrypted = above.layer._socket.get_write_buffer_size()
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            read = await reader.readexactly(LARGE_BYTES)
            await above.until(lambda: "taken" in above.told)

            assert read == content
            assert LARGE_BYTES // 2 < left <= LARGE_BYTES + CHUNK_BYTES
            assert encrypted <= CHUNK_BYTES + 8 * 64  # what TLS adds to eight records
            assert above.layer.get_write_buffer_size() == 0
            assert (above.told.count("full"), above.told.count("taken")) == (1, 1)

    on_both_loops(work)


def test_who_pauses_reading_is_given_nothing(sides: tuple[Tls, Tls], trusting: ssl.SSLContext) -> None:
    async def work() -> None:
        above, failures = Above(), list[str]()
        async with served(sides[0], above, failures) as port, connected(port, trusting) as (_, writer):
            await above.until(lambda: "made" in above.told)

            above.layer.pause_reading()
            writer.write(bytes(LARGE_BYTES))
            for _ in range(50):
                await asyncio.sleep(0)
            while_paused = len(above.received)
            above.layer.resume_reading()
            await above.until(lambda: len(above.received) == LARGE_BYTES)
            writer.close()
            await above.until(lambda: "over" in above.told)

            assert while_paused == 0

    on_both_loops(work)


def test_what_was_written_before_a_close_still_leaves(sides: tuple[Tls, Tls], trusting: ssl.SSLContext) -> None:
    async def work() -> None:
        above, failures = Above(), list[str]()
        async with served(sides[0], above, failures) as port, connected(port, trusting) as (reader, _):
            await above.until(lambda: "made" in above.told)

            above.layer.write(bytes(LARGE_BYTES))
            above.layer.close()
            read = await reader.read(-1)
            await above.until(lambda: "lost" in above.told)

            assert (len(read), failures) == (LARGE_BYTES, [])

    on_both_loops(work)


@pytest.mark.parametrize(
    ("first", "says"),
    [
        (b"\x00\x00\x00\x20\x00\x12\x00\x03\x00\x00\x00\x01\x00\x09rdkafka\x00", "does not speak TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
        (b"", PEER_LEFT),
    ],
    ids=["kafka", "http", "nothing"],
)
def test_what_is_no_tls_is_explained(sides: tuple[Tls, Tls], first: bytes, says: str) -> None:
    async def work() -> None:
        above, failures = Above(), list[str]()
        async with served(sides[0], above, failures) as port, connected(port, None) as (reader, writer):
            writer.write(first)
            if not first:
                writer.close()
            with contextlib.suppress(ConnectionError):
                await reader.read(-1)
            await until(lambda: failures)

            assert len(failures) == 1
            assert says in failures[0]
            assert above.told == []

    on_both_loops(work)


@pytest.mark.parametrize("wrong", ["authority", "host", "expired"])
def test_a_server_that_cannot_be_trusted_is_not_spoken_to(tmp_path: Path, wrong: str) -> None:
    async def work() -> None:
        trusted = Authority(tmp_path, "trusted")
        signer = Authority(tmp_path, "stranger") if wrong == "authority" else trusted
        issued = signer.issue(
            "server", hosts=["elsewhere"] if wrong == "host" else ["localhost"], days=-1 if wrong == "expired" else 9
        )
        server = Tls(ServerTlsConfig.model_validate(issued.settings), use="server")
        client = Tls(ClientTlsConfig.model_validate({"ca": str(trusted.ca)}), use="upstream")
        above, failures, here = Above(), list[str](), list[str]()
        async with served(server, above, failures) as port:
            mine = Above()
            layer = client.layer(mine, server_hostname="localhost", on_secured=lambda _: None, on_failed=here.append)

            await asyncio.get_running_loop().create_connection(lambda: layer, "127.0.0.1", port)
            await until(lambda: here and failures)

            assert "certificate does not stand" in here[0]
            assert mine.told == []

    on_both_loops(work)


def test_old_versions_of_tls_are_refused(authority: Authority, sides: tuple[Tls, Tls]) -> None:
    async def work() -> None:
        above, failures = Above(), list[str]()
        async with served(sides[0], above, failures) as port:
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.load_verify_locations(authority.ca)
            old.options &= ~(ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1)
            with pytest.warns(DeprecationWarning, match="TLSv1"):
                old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            old.set_ciphers("ALL:@SECLEVEL=0")

            with pytest.raises((ssl.SSLError, ConnectionError)):
                async with connected(port, old):
                    pass
            await until(lambda: failures)

            assert "TLS" in failures[0] or "PROTOCOL" in failures[0]

    on_both_loops(work)
