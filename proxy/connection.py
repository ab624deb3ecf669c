"""One client connection and its one upstream connection: frames in, frames out, back-pressure both ways.

The client's leg waits for the upstream leg, then the two live and end together. What a frame means is decided in
`pipeline`; this file decides when it is read and written:

- A leg that is *held* is not read. It is held while the upstream is being connected, while the other leg's peer does
  not take what it is sent, while a look-up or a worker works on its last frame, while too many requests wait, and
  while the broker has not answered a step of a login.
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
from wiremask.protocol.frame import frame_pieces
from wiremask.protocol.splice import held_by
from wiremask.proxy import metrics
from wiremask.proxy.entrance import Entrance
from wiremask.proxy.identity import Identity
from wiremask.proxy.leg import CONNECTING, DRAINING, IN_FLIGHT, LOGIN, LOOKING_UP, WORKING, Frame, Leg
from wiremask.proxy.log import logger
from wiremask.proxy.masking import Allowance, TooHeavy, Work
from wiremask.proxy.sasl.renewal import Renewal
from wiremask.proxy.sasl.termination import ClientLogin, NoLogin
from wiremask.proxy.session import Exchange, Session
from wiremask.proxy.steps import Answer, Forward, LookUp, RequestStep, ResponseStep, Verify, answer
from wiremask.proxy.upstream import Upstream, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from wiremask.protocol.frame import ReadBuffers
    from wiremask.proxy.budget import Budget, Claim
    from wiremask.proxy.limits import LimitsConfig
    from wiremask.proxy.listener import Listener
    from wiremask.proxy.pipeline import Pipeline
    from wiremask.proxy.reload import RuleSnapshot, RuleSource
    from wiremask.proxy.sasl.termination import ClientLogins
    from wiremask.proxy.session import Pieces
    from wiremask.proxy.tasks import Tasks

_log = logger()

Step = TypeVar("Step")


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
    budget: Budget
    open: set[Connection]


class Connection:
    """A client on one port of a listener, and the broker behind that port.

    Attributes:
        came_from: the client's address, once it was admitted.
    """

    def __init__(self, shared: Shared, listener: Listener, node: int | None) -> None:
        self._shared = shared
        self._limits = shared.limits
        self._pipeline = shared.pipeline
        self._listener = listener
        self._node = node
        self.entrance = Entrance(self, listener, limit_s=shared.limits.handshake_seconds)
        identity = Identity(
            principal_claim=listener.config.sasl.principal_claim, must_log_in=listener.config.sasl.must_log_in
        )
        self._session = Session(
            listener=listener.config.name,
            identity=identity,
            login=_login(listener.logins, identity, brokers_know_the_proxy=shared.upstream.login is not None),
            most_in_flight=shared.limits.in_flight_requests,
        )
        self._log = _log.bind(session=self._session.number, listener=listener.config.name)
        self._loop = asyncio.get_running_loop()
        standing = shared.pipeline.standing(self._session, shared.rules)
        self._shortcut = shared.pipeline.shortcut(standing)
        self._at_once = self._allowance(shared.limits.worker_bytes)
        self._in_full = self._allowance(shared.limits.decompressed_bytes)
        self._quick_way = shared.pipeline.quick_way(standing, may=self._at_once)
        self.came_from: str | None = None
        self._ended_by: str | None = None
        self._draining = False
        self._renewal: Renewal | None = None
        self._login_timer: asyncio.TimerHandle | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        limit_bytes, budget, buffers = shared.limits.frame_bytes, shared.budget, shared.buffers
        self.client = Leg("client", self, budget, limit_bytes=limit_bytes, buffers=buffers)
        self._session.on_full = partial(self.client.hold, IN_FLIGHT)
        self.client.on_connected = self._connected
        self.client.on_frame = self._request_arrived
        self.client.may_pass = self._shortcut.request
        self.client.on_passed = lambda: None
        self.client.may_stream = self._shortcut.request_streams
        self.client.may_close = self._shortcut.close_request
        self.client.on_streamed = self._request_streamed
        self.broker = Leg("broker", self, budget, limit_bytes=limit_bytes, buffers=buffers)
        self.broker.on_connected = lambda: None
        self.broker.on_frame = self._response_arrived
        self.broker.may_pass = self._shortcut.response
        self.broker.on_passed = self._response_passed
        self.broker.may_stream = self._shortcut.response_streams
        self.broker.may_close = self._shortcut.close_response
        self.broker.on_streamed = self._deliver
        self.client.other, self.broker.other = self.broker, self.client
        for leg in (self.client, self.broker):
            leg.on_error = partial(self._refuse, "unreadable frame")
            leg.on_fault = self._fault
            leg.on_end = self._leg_ended
        self.client.hold(CONNECTING)

    @property
    def principal(self) -> str | None:
        """Who the client is; None where that is not known, or not yet."""
        return self._session.identity.principal

    # The client's way in; `entrance` calls these.

    def admit(self, address: str | None) -> bool:
        """A client comes from this address; False if there is no room for it."""
        metrics.connections_total.inc()
        if address is not None:
            self._log = self._log.bind(address=address)
        if len(self._shared.open) >= self._limits.connections:
            self._log.warning("connection refused", reason="limits.connections is reached")
            self._end("too many connections")
            return False
        if address is not None and not self._has_room(address):
            self._log.warning("connection refused", reason="limits.connectionsPerAddress is reached")
            self._end("too many connections of one address")
            return False
        self.came_from = address
        self._shared.open.add(self)
        metrics.connections.inc()
        self._close_if_idle()
        return True

    def _has_room(self, address: str) -> bool:
        count = sum(connection.came_from == address for connection in self._shared.open)
        return count < self._limits.connections_per_address

    def identify(self, *, node: int | None, principal: str | None) -> None:
        """What the client's TLS handshake told."""
        if node is not None:
            self._node = node
        if principal is not None:
            self._session.identity.show(principal)
            self._log.debug("certificate taken", principal=principal)

    def turn_away(self, reason: str, error: str) -> None:
        """The client does not come in, or its TLS fails later."""
        if self._ended_by is None:
            log = self._log.debug if reason == "client closed" else self._log.warning
            log("client turned away", reason=reason, error=error)
        self._end(reason)

    # The upstream leg.

    def _connected(self) -> None:
        self._login_timer = self._loop.call_later(self._limits.login_seconds, self._close_if_pending)
        self._shared.tasks.spawn(self._connect(), name="connect upstream")

    async def _connect(self) -> None:
        try:
            reached = await self._shared.upstream.connect(
                self._node,
                cast("asyncio.BufferedProtocol", self.broker),  # compiled, and so without a base in Python
            )
        except UpstreamUnavailable as error:
            self._log.error("upstream unavailable", node=self._node, error=str(error))
            self._end("upstream unavailable")
            return
        if self._ended_by is not None:
            self.broker.close()
            return
        if self._shared.upstream.login is not None:
            self._renewal = Renewal(self._shared.upstream.login, reached, self, self._shared.tasks)
        self.client.release(CONNECTING)
        self._settle()  # a drain may have begun meanwhile

    # The proxy's own login, where it has one; `Renewal` calls these.

    def send_own(self, exchange: Exchange, pieces: Pieces) -> None:
        """Sends a request of the proxy's own to the broker, in its turn."""
        self._session.sent(exchange)
        self.broker.write(pieces, None)

    def login_ended(self, error: str | None) -> None:
        """The proxy's login was renewed (None), or could not be."""
        if error is None:
            self._log.debug("login renewed")
        elif self._ended_by is None:
            self._log.error("login not renewed", error=error)
            self._end("login not renewed")

    # Client to broker.

    def _request_streamed(self) -> None:
        """What was put off until the broker had the whole request."""
        self._session.hold_if_full()
        if self._draining:
            self.client.hold(DRAINING)
            self._loop.call_soon(self._settle)

    def _request_arrived(self, frame: Frame, claim: Claim | None) -> None:
        if self._ended_by is not None:
            return
        if isinstance(frame, bytearray) and self._shortcut.request(frame, 0, len(frame)):  # a large one
            self.broker.write(frame_pieces(frame), claim)
            return
        if not self._shared.budget.is_over and (pieces := self._quick_way.request(frame)) is not None:
            self.broker.write(pieces, claim)
            return
        self._work_request(frame, claim, self._shared.rules.current, looked_up=False)

    def _work_request(self, frame: Frame, claim: Claim | None, rules: RuleSnapshot, *, looked_up: bool) -> None:
        def step(work: Work) -> RequestStep:
            return self._pipeline.request(self._session, frame, rules.plan, work=work, looked_up=looked_up)

        is_heavy = self._pipeline.is_heavy_request(frame, rules.plan, from_bytes=self._heavy_bytes)
        then = partial(self._request_worked, frame, claim, rules)
        self._do(self.client, step, then, claim, size=len(frame), is_heavy=is_heavy)

    def _request_worked(self, frame: Frame, claim: Claim | None, rules: RuleSnapshot, step: RequestStep) -> None:
        match step:
            case LookUp():
                self.client.hold(LOOKING_UP)
                self._look_up(step, partial(self._looked_up_for_request, frame, claim, rules))
            case Forward():
                # Only a Produce has no answer.
                metrics.requests.counts[step.exchange.api.name if step.exchange else "Produce"] += 1
                if step.exchange is not None:
                    self._session.sent(step.exchange)
                self.broker.write(step.pieces, claim)
                if step.then_close is not None:
                    self._end(step.then_close)
            case Answer():
                metrics.requests.counts[step.exchange.api.name] += 1
                self._session.answered_here(step.exchange)
                self._release(claim)
                self._deliver()
            case Verify():
                self.client.hold(WORKING)
                self._shared.tasks.spawn(self._verify(step, claim), name="verify login")
        self._session.hold_if_full()
        if self._session.identity.awaits_broker:
            self.client.hold(LOGIN)
            if self._login_timer is None or self._login_timer.when() <= self._loop.time():  # a login that began late
                self._login_timer = self._loop.call_later(self._limits.login_seconds, self._close_if_pending)

    def _looked_up_for_request(self, frame: Frame, claim: Claim | None, rules: RuleSnapshot) -> None:
        self._work_request(frame, claim, rules, looked_up=True)
        self.client.release(LOOKING_UP)

    # The client's login, where the proxy takes it.

    async def _verify(self, step: Verify, claim: Claim | None) -> None:
        """Answers a token of the client; what the client sent behind it waits until then."""
        session = self._session
        assert session.login is not None
        try:
            body = await session.login.verify(step.token, step.header.version)
        except Exception as error:
            self._fault(error)
            return
        if self._ended_by is not None:
            return
        metrics.requests.counts[step.header.api.name] += 1
        exchange = answer(step.header, body).exchange
        exchange.claim = claim
        session.answered_here(exchange)
        self._deliver()
        if session.login.fault is not None:
            self._log.warning("login refused", client_id=session.client_id, error=session.login.fault)
            self._end("login refused")
            return
        if not session.identity.is_pending:
            self._log.debug("logged in", client_id=session.client_id, principal=session.identity.principal)
            self._end_login_in(session.login.lasts_s)
        self.client.release(WORKING)
        self._settle()

    def _end_login_in(self, lasts_s: float | None) -> None:
        """A client logs in again before its login ends, or is closed then."""
        if self._login_timer is not None:
            self._login_timer.cancel()
        if lasts_s is not None:
            self._login_timer = self._loop.call_later(lasts_s, self._end, "login ended")

    def _close_if_pending(self) -> None:
        if self._session.identity.is_pending and self._ended_by is None:
            self._log.warning("login not finished", error=f"not after {self._limits.login_seconds:g} s")
            self._end("login timeout")

    # Broker to client.

    def _response_arrived(self, frame: Frame, claim: Claim | None) -> None:
        if self._ended_by is not None:
            return
        if isinstance(frame, bytearray) and self._shortcut.response(frame, 0, len(frame)):  # a large one
            self.client.write(frame_pieces(frame), claim)
            self._deliver()
            return
        if not self._shared.budget.is_over and (pieces := self._quick_way.response(frame)) is not None:
            self.client.write(pieces, claim)
            self._deliver()
            return
        try:
            exchange = self._pipeline.exchange(self._session, frame)
        except ProtocolError as error:
            self._refuse("unexpected response", error)
            return
        if exchange.own_answer is not None:
            self._release(claim)
            exchange.own_answer(frame)
            self._delivered()
            return
        exchange.claim = claim
        self._work_response(exchange, frame, self._shared.rules.current, looked_up=False)

    def _work_response(self, exchange: Exchange, frame: Frame, rules: RuleSnapshot, *, looked_up: bool) -> None:
        def step(work: Work) -> ResponseStep:
            return self._pipeline.response(
                self._session, self._address, exchange, frame, rules.plan, work=work, looked_up=looked_up
            )

        is_heavy = self._pipeline.is_heavy_response(exchange, frame, rules.plan, from_bytes=self._heavy_bytes)
        then = partial(self._response_worked, exchange, frame, rules)
        self._do(self.broker, step, then, exchange.claim, size=len(frame), is_heavy=is_heavy)

    def _response_worked(self, exchange: Exchange, frame: Frame, rules: RuleSnapshot, step: ResponseStep) -> None:
        if isinstance(step, LookUp):
            self._look_up(step, partial(self._work_response, exchange, frame, rules, looked_up=True))
            return
        exchange.reply = step.pieces
        if exchange.is_lookup:
            self._release(exchange.claim)
        elif not self._session.is_due():
            self._keep(exchange)
        if exchange.when_answered is not None:
            exchange.when_answered()
        self._deliver()

    def _keep(self, exchange: Exchange) -> None:
        """Counts a reply that waits for its turn as it is now."""
        kept = self._shared.budget.charge(held_by(exchange.reply or ()), self)
        self._release(exchange.claim)
        exchange.claim = kept

    def _release(self, claim: Claim | None) -> None:
        """Nothing is left of what was claimed."""
        if claim is not None:
            claim.release()
            self._shared.budget.grant_waiting()

    def _address(self, node: int, host: str, port: int) -> tuple[str, int]:
        """Where a client is told that a broker is; where it really is, is remembered for when the client comes."""
        if node >= 0 and host:
            self._shared.upstream.learn(node, host, port)
        return self._listener.advertise(node, host, port)

    def _deliver(self) -> None:
        for exchange in self._session.due():
            self.client.write(exchange.reply or (), exchange.claim)
        self._delivered()

    def _response_passed(self) -> None:
        if self._session.is_due() or self.client.is_held or self.client.has_ended or self._draining:
            self._deliver()

    def _delivered(self) -> None:
        """The client was told something; what waited for that goes on."""
        if self._session.is_half_empty():
            self.client.release(IN_FLIGHT)
        if not self._session.identity.awaits_broker:
            self.client.release(LOGIN)
        self._settle()

    # Steps that take time.

    def _look_up(self, step: LookUp, then: Callable[[], None]) -> None:
        """Asks for topic names on this very connection, where the client's ACLs apply; `then` runs when answered."""
        metrics.topic_lookups.inc()
        step.exchange.when_answered = then
        self.send_own(step.exchange, step.pieces)

    @property
    def _heavy_bytes(self) -> int:
        """From which size on a frame to be masked is for a thread: all, while there is no memory for more."""
        return 0 if self._shared.budget.is_over else self._limits.worker_bytes

    def _do(
        self,
        leg: Leg,
        step: Callable[[Work], Step],
        then: Callable[[Step], None],
        claim: Claim | None,
        *,
        size: int,
        is_heavy: bool,
    ) -> None:
        """Does one step at once, or on a worker thread if it is heavy or turns out to be."""
        if not is_heavy:
            try:
                self._finish(partial(step, Work(self._at_once)), then)
            except TooHeavy:
                is_heavy = True
        if is_heavy:
            self._on_worker(leg, step, then, claim, size)

    def _allowance(self, limit_bytes: int) -> Allowance:
        """What masking may take in an attempt; one with all the room that there is, is final."""
        most_bytes = self._limits.decompressed_bytes
        return Allowance(
            limit_bytes=min(limit_bytes, most_bytes),
            is_final=limit_bytes >= most_bytes,
            charge=partial(self._shared.budget.charge, owner=self, is_at_work=True),
            ratio=self._limits.expansion_ratio,
            records=self._limits.records_per_batch,
            headers=self._limits.headers_per_record,
            output_bytes=self._limits.frame_bytes,
        )

    def _finish(self, result: Callable[[], Step], then: Callable[[Step], None]) -> None:
        try:
            step = result()
        except ProtocolError as error:
            self._refuse("refused", error)
        except TooHeavy:
            raise
        except Exception as error:
            self._fault(error)
        else:
            then(step)

    def _on_worker(
        self, leg: Leg, step: Callable[[Work], Step], then: Callable[[Step], None], claim: Claim | None, size: int
    ) -> None:
        """Runs `step` on a worker thread in its turn; the leg is held meanwhile: its frames keep their order."""
        leg.hold(WORKING)
        work = Work(self._in_full)

        def begin() -> None:
            self._loop.run_in_executor(self._shared.workers, step, work).add_done_callback(finished)

        def finished(future: asyncio.Future[Step]) -> None:
            try:
                self._finish(future.result, then)
            except Exception as error:
                self._fault(error)
            finally:
                self._shared.budget.end_turn(turn)
                leg.release(WORKING)
                self._leg_ended()

        turn = self._shared.budget.take_turn(self, begin, claim, size=size)

    # Endings.

    def _refuse(self, event: str, error: ProtocolError) -> None:
        """Closes both sides because bytes came that must not be forwarded."""
        if self._ended_by is None:
            session = self._session
            self._log.warning(
                event, client_id=session.client_id, principal=session.identity.principal, error=str(error)
            )
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

    def _leg_ended(self) -> None:
        if not self.client.is_open and not self.broker.is_open:
            self._session.forget()
            self._shared.budget.forget(self)
        self._settle()

    @property
    def progress(self) -> object:
        """Changes with every `STEP_BYTES` that move, on either side."""
        return self.client.steps, self.broker.steps

    def _settle(self) -> None:
        """Ends the connection when a side has left, or at a drain, and nothing is left to do for the other."""
        if self._ended_by is not None:
            return
        client, broker = self.client, self.broker
        if client.has_ended and client.is_streaming and client.is_settled:
            self._end("client closed")  # in the middle of a request
        elif broker.has_ended and broker.is_settled:
            self._end("broker closed")
        elif client.has_ended and client.is_settled and (not client.is_open or not self._session.in_flight()):
            self._end("client closed")
        elif self._draining and client.is_settled and not self._session.in_flight():
            self._end("drained")

    def drain(self) -> None:
        """Takes no more requests, and closes once those in flight are answered."""
        self._draining = True
        if not self.client.is_streaming:
            self.client.hold(DRAINING)
        self._settle()

    def cut(self, reason: str) -> None:
        """Closes at once; what a side has not taken is lost to it."""
        self._end(reason)
        self.client.abort()
        self.broker.abort()

    def _close_if_idle(self, seen: object = None, still_s: float = 0.0) -> None:
        """Looks four times in `limits.idleSeconds` whether a byte has moved since."""
        if self._ended_by is not None:
            return
        pause_s = self._limits.idle_seconds / 4
        moved = self.client.progress, self.broker.progress
        still_s = still_s + pause_s if seen == moved else 0.0
        if still_s >= self._limits.idle_seconds:
            self._end("idle")
        else:
            self._idle_timer = self._loop.call_later(pause_s, self._close_if_idle, moved, still_s)

    def _end(self, reason: str) -> None:
        if self._ended_by is not None:
            return
        self._ended_by = reason
        self._shortcut.is_over = True
        metrics.connections_closed.labels(reason).inc()
        if self in self._shared.open:
            self._shared.open.discard(self)
            metrics.connections.dec()
        log = self._log.warning if reason == "stalled" else self._log.debug
        log("connection closed", reason=reason)
        self.entrance.close()
        if self._renewal is not None:
            self._renewal.stop()
        for timer in (self._login_timer, self._idle_timer):
            if timer is not None:
                timer.cancel()  # it would keep this connection in memory until it is due
        self.client.close()
        self.broker.close()


def _login(
    logins: ClientLogins | None, identity: Identity, *, brokers_know_the_proxy: bool
) -> ClientLogin | NoLogin | None:
    """Who takes the logins of a client: the proxy, nobody, or (None) the broker."""
    if logins is not None:
        return ClientLogin(logins, identity)
    return NoLogin() if brokers_know_the_proxy else None
