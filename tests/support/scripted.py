"""A proxy in the test's own event loop, between a raw client and a broker that answers only when the test says so.

async with proxied(rules) as stage:
    client = await stage.connect()
    await client.send(produce_frame("payments", batch))
    asked = await stage.broker.asked()          # what the proxy forwarded
    await stage.broker.answer(asked, body)      # what it gets back
    await client.read()                         # what the client is told
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kafka.protocol.consumer import FetchResponse
from kafka.protocol.metadata import MetadataResponse
from kafka.protocol.producer import ProduceResponse

from support import ports
from wiremask.protocol.api import APIS, SASL_AUTHENTICATE
from wiremask.protocol.frame import ReadBuffers
from wiremask.protocol.header import RequestHeader, make_response_header, read_request_header
from wiremask.proxy.acceptor import Acceptor
from wiremask.proxy.budget import Budget
from wiremask.proxy.connection import Connection, Shared
from wiremask.proxy.limits import LimitsConfig
from wiremask.proxy.listener import Listener, ListenerConfig
from wiremask.proxy.pipeline import Pipeline
from wiremask.proxy.reload import RuleSnapshot
from wiremask.proxy.tasks import Tasks
from wiremask.proxy.topics import TopicNames
from wiremask.proxy.upstream import Upstream, UpstreamConfig
from wiremask.rules import compile_ruleset

if TYPE_CHECKING:
    import ssl
    import uuid
    from collections.abc import AsyncIterator, Mapping

TIMEOUT_S = 30.0
HEAD = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: test}\n"


def rules_text(at: str, *, mask: str = "redact", topic: str = "payments", name: str = "ssn", more: str = "") -> str:
    """A ruleset with one rule for `$.ssn`."""
    return (
        HEAD + f"rules:\n  - name: {name}\n    topics: [{topic}]\n    at: [{at}]\n{more}"
        f"    value: {{format: json, fields: [{{path: $.ssn, mask: {mask}}}]}}\n"
    )


class Rules:
    """Stands where the reloaded rules stand: `current` is swapped by the test."""

    def __init__(self, text: str) -> None:
        self.generation = 0
        self.current: RuleSnapshot
        self.apply(text)

    def apply(self, text: str) -> None:
        """Swaps the ruleset."""
        plan = compile_ruleset(
            {"rules.yaml": text}, lambda _: "hex:" + hashlib.sha256(b"a key of the tests").hexdigest()
        )
        self.generation += 1
        self.current = RuleSnapshot(
            plan=plan, generation=self.generation, digest=plan.digest, loaded_at=datetime.now(UTC)
        )


class Peer:
    """One end of a connection, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Writes bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def read(self) -> bytes | None:
        """The next frame without its size; None when the other side closed."""
        async with asyncio.timeout(TIMEOUT_S):
            try:
                (size,) = struct.unpack(">i", await self.reader.readexactly(4))
                return await self.reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None

    async def is_silent(self, *, for_s: float = 0.15) -> bool:
        """Whether nothing comes for a while."""
        try:
            async with asyncio.timeout(for_s):
                return await self.reader.read(1) == b"never"
        except TimeoutError:
            return True

    def close(self) -> None:
        """Closes the connection."""
        self.writer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that reached the broker."""

    frame: bytes
    header: RequestHeader
    peer: Peer

    @property
    def body(self) -> bytes:
        """The request without its header."""
        return self.frame[self.header.body_start :]


class ScriptedBroker:
    """Keeps what the proxy sends, and sends what the test tells it to."""

    def __init__(self) -> None:
        self.port = 0
        self.bare_tokens = 0
        """How many of the next frames are login tokens without a header (after SaslHandshake 0)."""
        self.peers: list[Peer] = []
        self._asked: asyncio.Queue[Asked | None] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self._readers: set[asyncio.Task[Any]] = set()

    @property
    def connected(self) -> int:
        """Connections that are open."""
        return len(self._readers)

    async def start(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listens."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self.port = port

    async def stop(self) -> None:
        """Closes everything."""
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            peer.close()
        for task in list(self._readers):
            task.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._readers.add(task)
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                frame = await reader.readexactly(size)
                self._asked.put_nowait(Asked(frame=frame, header=self._read_header(frame), peer=peer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            self._asked.put_nowait(None)
        finally:
            writer.close()
            self._readers.discard(task)

    def _read_header(self, frame: bytes) -> RequestHeader:
        if not self.bare_tokens:
            return read_request_header(frame)
        self.bare_tokens -= 1
        return RequestHeader(api=APIS[SASL_AUTHENTICATE], version=0, correlation_id=0, client_id=None, body_start=0)

    async def asked(self) -> Asked:
        """The next request, from any connection; the end of a connection is passed over."""
        async with asyncio.timeout(TIMEOUT_S):
            while (asked := await self._asked.get()) is None:
                pass
            return asked

    async def hears_nothing(self, *, for_s: float = 0.15) -> bool:
        """Whether no request comes for a while."""
        try:
            async with asyncio.timeout(for_s):
                return await self._asked.get() is None
        except TimeoutError:
            return True

    async def answer(self, asked: Asked, body: bytes) -> None:
        """Answers one request."""
        header = asked.header
        head = make_response_header(header.api, header.version, correlation_id=header.correlation_id)
        await asked.peer.send(struct.pack(">i", len(head) + len(body)) + head + body)


class Stage:
    """The proxy, its broker, and clients."""

    def __init__(self, rules: Rules, broker: ScriptedBroker, listener: Listener, shared: Shared) -> None:
        self.rules = rules
        self.broker = broker
        self.listener = listener
        self.shared = shared
        self.clients: list[Peer] = []

    async def connect(self, node: int | None = None, **tls: Any) -> Peer:
        """A client on the bootstrap port, or on a node's; `tls` is `ssl` and `server_hostname` of asyncio."""
        port = self.listener.config.ports[0 if node is None else 1 + node]
        peer = Peer(*await asyncio.open_connection("127.0.0.1", port, **tls))
        self.clients.append(peer)
        return peer

    def learn(self, topic_id: uuid.UUID, name: str) -> None:
        """Tells the proxy a topic's name, as a Metadata response would."""
        self.topics.learn(topic_id.bytes, name)

    @property
    def topics(self) -> TopicNames:
        """The topic names that the proxy knows."""
        names = self.shared.pipeline._topics
        assert isinstance(names, TopicNames)
        return names


@contextlib.asynccontextmanager
async def proxied(
    rules: str | None = None,
    *,
    listener_settings: Mapping[str, Any] | None = None,
    upstream_settings: Mapping[str, Any] | None = None,
    broker_tls: ssl.SSLContext | None = None,
    **limits: Any,
) -> AsyncIterator[Stage]:
    """A stage; without `rules`, none for the topics of the tests.

    Args:
        rules: text of a rule file.
        listener_settings: further keys of the listener.
        upstream_settings: further keys of `upstream`.
        broker_tls: the broker speaks TLS with this context.
        limits: settings of `limits`.
    """
    source = Rules(rules or rules_text("produce, fetch", topic="nobody-writes-here"))
    block, broker = ports.reserve(), ScriptedBroker()
    await broker.start(block.take(), broker_tls)
    config = LimitsConfig(**limits)
    brokers = {"bootstrapServers": [f"127.0.0.1:{broker.port}"], **(upstream_settings or {})}
    upstream = Upstream(UpstreamConfig.model_validate(brokers), connect_seconds=config.connect_seconds)
    entry = {"address": f"127.0.0.1:{block.take(3)}", "nodes": {"first": 0, "last": 1}, **(listener_settings or {})}
    listener = Listener(ListenerConfig.model_validate(entry))
    with ThreadPoolExecutor(2) as workers:
        shared = Shared(
            limits=config,
            rules=source,
            upstream=upstream,
            pipeline=Pipeline(TopicNames(), config),
            workers=workers,
            tasks=Tasks(),
            buffers=ReadBuffers(),
            budget=Budget(config.buffered_bytes),
            open=set(),
        )
        acceptor = Acceptor(shared.tasks, has_room=lambda _: True)
        await listener.open(acceptor, lambda listener, node: Connection(shared, listener, node).entrance)
        stage = Stage(source, broker, listener, shared)
        try:
            yield stage
        finally:
            await acceptor.close()
            for connection in list(shared.open):
                connection.cut("test ends")
            for client in stage.clients:
                client.close()
            await broker.stop()
            await shared.tasks.end()
            await asyncio.sleep(0)
            block.release()


def produced(version: int, topics: Mapping[str | uuid.UUID, Mapping[int, int]], *, throttle_ms: int = 0) -> bytes:
    """The body of a Produce response: topic -> partition -> error code."""
    shape = ProduceResponse.TopicProduceResponse
    response = ProduceResponse(
        version=version,
        throttle_time_ms=throttle_ms,
        responses=[
            shape(
                version=version,
                partition_responses=[
                    shape.PartitionProduceResponse(
                        version=version,
                        index=index,
                        error_code=code,
                        base_offset=0,
                        log_append_time_ms=-1,
                        log_start_offset=0,
                        record_errors=[],
                        error_message=None,
                    )
                    for index, code in partitions.items()
                ],
                **({"name": topic} if isinstance(topic, str) else {"topic_id": topic}),
            )
            for topic, partitions in topics.items()
        ],
    )
    return bytes(response.encode())


def fetched(version: int, topics: Mapping[str | uuid.UUID, Mapping[int, bytes | None]]) -> bytes:
    """The body of a Fetch response: topic -> partition -> records."""
    shape = FetchResponse.FetchableTopicResponse
    response = FetchResponse(
        version=version,
        throttle_time_ms=0,
        error_code=0,
        session_id=0,
        responses=[
            shape(
                version=version,
                partitions=[
                    shape.PartitionData(
                        version=version,
                        partition_index=index,
                        error_code=0,
                        high_watermark=10,
                        last_stable_offset=10,
                        log_start_offset=0,
                        aborted_transactions=None,
                        preferred_read_replica=-1,
                        records=records,
                    )
                    for index, records in partitions.items()
                ],
                **({"topic": topic} if isinstance(topic, str) else {"topic_id": topic}),
            )
            for topic, partitions in topics.items()
        ],
    )
    return bytes(response.encode())


def metadata(
    version: int,
    *,
    brokers: Mapping[int, tuple[str, int]] | None = None,
    topics: Mapping[str, uuid.UUID] | None = None,
) -> bytes:
    """The body of a Metadata response."""
    broker, topic = MetadataResponse.MetadataResponseBroker, MetadataResponse.MetadataResponseTopic
    response = MetadataResponse(
        version=version,
        throttle_time_ms=0,
        brokers=[
            broker(version=version, node_id=node, host=host, port=port, rack=None)
            for node, (host, port) in (brokers or {}).items()
        ],
        cluster_id="cluster",
        controller_id=0,
        topics=[
            topic(version=version, error_code=0, name=name, topic_id=topic_id, is_internal=False, partitions=[])
            for name, topic_id in (topics or {}).items()
        ],
    )
    return bytes(response.encode())
