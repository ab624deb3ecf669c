"""One client connection and its one upstream connection: frames in, frames out, back-pressure both ways.

The client's leg waits for the upstream leg, then the two live and end together. What a frame means is decided in
`pipeline`; this file decides when it is read and written:

- A leg that is *held* is not read. It is held while the upstream is being connected, while the other leg's peer does
  not take what it is sent, while a look-up or a worker works on its last frame, and while too many requests wait.
- Frames that stood in the same read as the frame that caused the hold wait in the assembler, in order.
- Answers go to the client when their turn comes (`session.due`), whatever order they are ready in.
- A request is masked by the ruleset that is current when its last byte arrives, and so is a response.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.frame import FrameAssembler, ReadBuffers
from wiremask.proxy import metrics
from wiremask.proxy.log import logger
from wiremask.proxy.pipeline import Answer, Forward, LookUp, Pipeline, RequestStep, ResponseStep
from wiremask.proxy.session import Exchange, Pieces, Session
from wiremask.proxy.upstream import Upstream, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from wiremask.proxy.limits import LimitsConfig
    from wiremask.proxy.listener import Listener
    from wiremask.proxy.reload import RuleSnapshot, RuleSource
    from wiremask.proxy.tasks import Tasks

_log = logger()

# Why a leg is held.
CONNECTING = "connecting"
WORKING = "working"
PEER_IS_SLOW = "peer is slow"
IN_FLIGHT = "in flight"
DRAINING = "draining"

Frame = bytes | bytearray
Step = TypeVar("Step")


class Leg(asyncio.BufferedProtocol):
    """One socket: its bytes cut into frames on the way in, its peer's pace respected on the way out."""

    transport: asyncio.Transport
    other: Leg
    on_connected: Callable[[], None]
    on_frame: Callable[[Frame], None]
    on_error: Callable[[ProtocolError], None]
    on_end: Callable[[], None]

    def __init__(self, peer: str, *, limit_bytes: int, buffers: ReadBuffers) -> None:
        self._assembler = FrameAssembler(limit_bytes=limit_bytes, buffers=buffers)
        self._received_bytes = metrics.received_bytes.labels(peer)
        self._holds: set[str] = set()
        self._pumping = False
        self.is_open = False
        self.has_ended = False

    # In: asyncio calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self.transport = cast("asyncio.Transport", transport)
        self.is_open = True
        if self._holds:
            self.transport.pause_reading()
        self.on_connected()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        return self._assembler.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        """They are there."""
        self._received_bytes.inc(nbytes)
        self._assembler.received(nbytes)
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
        self.on_end()

    def _pump(self) -> None:
        if self._pumping:
            return  # a frame that is being worked on released the leg: the loop below goes on by itself
        self._pumping = True
        try:
            while not self._holds and (frame := self._assembler.next_frame()) is not None:
                self.on_frame(frame)
        except ProtocolError as error:
            self.on_error(error)
        finally:
            self._pumping = False

    def hold(self, reason: str) -> None:
        """Stops reading until every reason is released; frames that have arrived wait where they are."""
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

    def pause_writing(self) -> None:
        """The peer takes less than it is sent."""
        self.other.hold(PEER_IS_SLOW)

    def resume_writing(self) -> None:
        """It has caught up."""
        self.other.release(PEER_IS_SLOW)

    def write(self, pieces: Pieces) -> None:
        """Writes one frame; what the socket takes at once is not copied."""
        if self.is_open:
            self.transport.writelines(cast("list[bytes]", pieces))

    def close(self) -> None:
        """Closes the socket once what was written has left."""
        if self.is_open:
            self.transport.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What every connection of the process uses."""

    limits: LimitsConfig
    rules: RuleSource
    upstream: Upstream
    pipeline: Pipeline
    workers: Executor
    tasks: Tasks
    buffers: ReadBuffers
    open: set[Connection]


class Connection:
    """A client on one port of a listener, and the broker behind that port."""

    def __init__(self, shared: Shared, listener: Listener, node: int | None) -> None:
        self._shared = shared
        self._limits = shared.limits
        self._pipeline = shared.pipeline
        self._listener = listener
        self._node = node
        self._session = Session()
        self._log = _log.bind(session=self._session.number, listener=listener.config.name)
        self._loop = asyncio.get_running_loop()
        self._active_at = self._loop.time()
        self._ended_by: str | None = None
        self._draining = False
        limit_bytes = shared.limits.frame_bytes
        self.client = Leg("client", limit_bytes=limit_bytes, buffers=shared.buffers)
        self.client.on_connected = self._accepted
        self.client.on_frame = self._request_arrived
        self.broker = Leg("broker", limit_bytes=limit_bytes, buffers=shared.buffers)
        self.broker.on_connected = lambda: None
        self.broker.on_frame = self._response_arrived
        self.client.other, self.broker.other = self.broker, self.client
        for leg in (self.client, self.broker):
            leg.on_error = partial(self._refuse, "unreadable frame")
            leg.on_end = self._settle
        self.client.hold(CONNECTING)

    # The upstream leg.

    def _accepted(self) -> None:
        metrics.connections_total.inc()
        if len(self._shared.open) >= self._limits.connections:
            self._log.warning("connection refused", reason="limits.connections is reached")
            self._end("too many connections")
            return
        self._shared.open.add(self)
        metrics.connections.inc()
        self._loop.call_later(self._limits.idle_seconds, self._close_if_idle)
        self._shared.tasks.spawn(self._connect(), name="connect upstream")

    async def _connect(self) -> None:
        try:
            await self._shared.upstream.connect(self._node, self.broker)
        except UpstreamUnavailable as error:
            self._log.error("upstream unavailable", node=self._node, error=str(error))
            self._end("upstream unavailable")
            return
        if self._ended_by is not None:
            self.broker.close()
            return
        self.client.release(CONNECTING)

    # Client to broker.

    def _request_arrived(self, frame: Frame) -> None:
        if self._ended_by is not None:
            return
        self._active_at = self._loop.time()
        self._work_request(frame, self._shared.rules.current, looked_up=False)

    def _work_request(self, frame: Frame, rules: RuleSnapshot, *, looked_up: bool) -> None:
        step = partial(self._pipeline.request, self._session, frame, rules.plan, looked_up=looked_up)
        then = partial(self._request_worked, frame, rules)
        if self._pipeline.is_heavy_request(frame, rules.plan):
            self._on_worker(self.client, step, then)
        else:
            self._at_once(step, then)

    def _request_worked(self, frame: Frame, rules: RuleSnapshot, step: RequestStep) -> None:
        match step:
            case LookUp():
                self.client.hold(WORKING)
                self._look_up(step, partial(self._looked_up_for_request, frame, rules))
            case Forward():
                if step.exchange is not None:
                    self._session.sent(step.exchange)
                self.broker.write(step.pieces)
                if step.then_close is not None:
                    self._end(step.then_close)
            case Answer():
                self._session.answered_here(step.exchange)
                self._deliver()
        if self._session.in_flight >= self._limits.in_flight_requests:
            self.client.hold(IN_FLIGHT)

    def _looked_up_for_request(self, frame: Frame, rules: RuleSnapshot) -> None:
        self._work_request(frame, rules, looked_up=True)
        self.client.release(WORKING)

    # Broker to client.

    def _response_arrived(self, frame: Frame) -> None:
        if self._ended_by is not None:
            return
        self._active_at = self._loop.time()
        try:
            exchange = self._session.match(self._pipeline.correlation_id(frame))
        except ProtocolError as error:
            self._refuse("unexpected response", error)
            return
        self._work_response(exchange, frame, self._shared.rules.current, looked_up=False)

    def _work_response(self, exchange: Exchange, frame: Frame, rules: RuleSnapshot, *, looked_up: bool) -> None:
        step = partial(
            self._pipeline.response, self._session, self._address, exchange, frame, rules.plan, looked_up=looked_up
        )
        then = partial(self._response_worked, exchange, frame, rules)
        if self._pipeline.is_heavy_response(exchange, frame, rules.plan):
            self._on_worker(self.broker, step, then)
        else:
            self._at_once(step, then)

    def _response_worked(self, exchange: Exchange, frame: Frame, rules: RuleSnapshot, step: ResponseStep) -> None:
        if isinstance(step, LookUp):
            self._look_up(step, partial(self._work_response, exchange, frame, rules, looked_up=True))
            return
        exchange.reply = step.pieces
        if exchange.when_answered is not None:
            exchange.when_answered()
        self._deliver()

    def _address(self, node: int, host: str, port: int) -> tuple[str, int]:
        """Where a client is told that a broker is; where it really is, is remembered for when the client comes."""
        if node >= 0 and host:
            self._shared.upstream.learn(node, host, port)
        return self._listener.advertise(node, host, port)

    def _deliver(self) -> None:
        for pieces in self._session.due():
            self.client.write(pieces)
        if self._session.in_flight < self._limits.in_flight_requests:
            self.client.release(IN_FLIGHT)
        self._settle()

    # Steps that take time.

    def _look_up(self, step: LookUp, then: Callable[[], None]) -> None:
        """Asks for topic names on this very connection, where the client's ACLs apply; `then` runs when answered."""
        metrics.topic_lookups.inc()
        step.exchange.when_answered = then
        self._session.sent(step.exchange)
        self.broker.write(step.pieces)

    def _at_once(self, step: Callable[[], Step], then: Callable[[Step], None]) -> None:
        try:
            result = step()
        except ProtocolError as error:
            self._refuse("refused", error)
        except Exception as error:
            self._fault(error)
        else:
            then(result)

    def _on_worker(self, leg: Leg, step: Callable[[], Step], then: Callable[[Step], None]) -> None:
        """Runs `step` on a worker thread; the leg is held meanwhile, so that its frames keep their order."""
        leg.hold(WORKING)

        def finished(future: asyncio.Future[Step]) -> None:
            self._at_once(future.result, then)
            leg.release(WORKING)
            self._settle()

        self._loop.run_in_executor(self._shared.workers, step).add_done_callback(finished)

    # Endings.

    def _refuse(self, event: str, error: ProtocolError) -> None:
        """Closes both sides because bytes came that must not be forwarded."""
        if self._ended_by is None:
            self._log.warning(event, client_id=self._session.client_id, error=str(error))
            metrics.refused_requests.labels(type(error).__name__).inc()
        self._end(event)

    def _fault(self, error: Exception) -> None:
        # A fault of ours. Its text may quote payload, so only its type and place are logged.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else "unknown"
        self._log.error("internal fault", error=f"{type(error).__name__} at {where}")
        self._end("internal fault")

    def _settle(self) -> None:
        """Ends the connection when a side has left, or at a drain, and nothing is left to do for the other."""
        if self._ended_by is not None:
            return
        client, broker = self.client, self.broker
        if broker.has_ended and broker.is_settled:
            self._end("broker closed")
        elif client.has_ended and client.is_settled and (not client.is_open or not self._session.in_flight):
            self._end("client closed")
        elif self._draining and client.is_settled and not self._session.in_flight:
            self._end("drained")

    def drain(self) -> None:
        """Takes no more requests, and closes once those in flight are answered."""
        self._draining = True
        self.client.hold(DRAINING)
        self._settle()

    def cut(self, reason: str) -> None:
        """Closes at once."""
        self._end(reason)

    def _close_if_idle(self) -> None:
        if self._ended_by is not None:
            return
        left = self._active_at + self._limits.idle_seconds - self._loop.time()
        if left <= 0:
            self._end("idle")
        else:
            self._loop.call_later(left, self._close_if_idle)

    def _end(self, reason: str) -> None:
        if self._ended_by is not None:
            return
        self._ended_by = reason
        metrics.connections_closed.labels(reason).inc()
        if self in self._shared.open:
            self._shared.open.discard(self)
            metrics.connections.dec()
        self._log.debug("connection closed", reason=reason)
        self.client.close()
        self.broker.close()
