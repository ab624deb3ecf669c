# cython: language_level=3, annotation_typing=False, nonecheck=True
"""What one client connection is waiting for, in the orders that the protocol demands.

A broker answers the requests of a connection in order, so its next frame belongs to the oldest request that was sent
and is not yet answered (`awaiting`). A client is answered in the order of its own requests (`owed`), whoever answers:
the broker, or the proxy itself for what it refused. A look-up of the proxy's own is awaited and owed to nobody; a
Produce with acks=0 is neither.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Protocol

from typing_extensions import Buffer

from wiremask.protocol.errors import MalformedFrame
from wiremask.proxy.identity import Identity
from wiremask.rules import Client

if TYPE_CHECKING:
    from wiremask.protocol.api import Api
    from wiremask.protocol.messages.produce import PartitionRefusal
    from wiremask.proxy.budget import Claim
    from wiremask.rules import ClientPlan, Plan

Pieces = Sequence[Buffer]
"""The bytes of one frame, size prefix first, for one vectored write."""

_numbers = count(1)


class LoginHere(Protocol):
    """The client's login, taken by the proxy.

    Attributes:
        fault: why it was refused; the connection ends with the answer.
        lasts_s: for how long it is good; None is without end.
    """

    fault: str | None
    lasts_s: float | None

    def offer(self, mechanism: str, version: int, /) -> bytes:
        """The answer to a SaslHandshake."""

    async def verify(self, token: bytes, version: int, /) -> bytes:
        """The answer to a SaslAuthenticate."""


class Exchange:
    """One request and its answer.

    Attributes:
        client_id: of the request.
        is_bare: a login token without a header, whose answer has none either.
        refusals: partitions that the proxy refused and that the broker's answer does not have.
        is_lookup: sent by the proxy itself; its answer is not for the client.
        reply: the answer as it goes to the client, once it is known.
        grown_bytes: what masks added to the request.
        max_bytes: the most that a reader asked for.
        claim: the memory that the reply takes.
        when_answered: what goes on when the answer to a look-up has come.
        own_answer: gets the broker's frame, of a request of the proxy's own that the pipeline does not know.
    """

    def __init__(
        self,
        api: Api,
        version: int,
        correlation_id: int,
        client_id: str | None = None,
        *,
        is_bare: bool = False,
        is_lookup: bool = False,
        refusals: Sequence[PartitionRefusal] = (),
        grown_bytes: int = 0,
        max_bytes: int | None = None,
        reply: Pieces | None = None,
        own_answer: Callable[[bytes | bytearray], None] | None = None,
    ) -> None:
        self.api = api
        self.version = version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.is_bare = is_bare
        self.is_lookup = is_lookup
        self.refusals = refusals
        self.grown_bytes = grown_bytes
        self.max_bytes = max_bytes
        self.reply = reply
        self.own_answer = own_answer
        self.claim: Claim | None = None
        self.when_answered: Callable[[], None] | None = None


class Session:
    """The state of one client connection: who it is, and its requests in flight.

    Attributes:
        number: tells the sessions of a process apart.
        listener: the name of the listener that it came in by.
        login: where clients log in at the proxy, or not at all; None where their logins pass to the broker.
        client_id: what the client calls itself, in its latest request.
        broker_versions: what the broker said that it offers (api key -> highest version), once it was asked.

        on_full: is called when enough requests are in flight.

    Args:
        most_in_flight: so many requests are enough; the client is not read until half of them are answered.
    """

    def __init__(
        self,
        *,
        listener: str | None = None,
        identity: Identity | None = None,
        login: LoginHere | None = None,
        most_in_flight: int = 2**31 - 1,
    ) -> None:
        self.number = next(_numbers)
        self.listener = listener
        self.identity = identity or Identity()
        self.login = login
        self.client_id: str | None = None
        self.broker_versions: dict[int, int] = {}
        self.on_full: Callable[[], None] = lambda: None
        self._most_in_flight = most_in_flight
        self._planned: tuple[Plan, Client, ClientPlan] | None = None
        self._awaiting: deque[Exchange] = deque()
        self._owed: deque[Exchange] = deque()

    def plan_for(self, plan: Plan, client_id: str | None) -> ClientPlan:
        """The rules for this client; made anew when the ruleset, its principal or its client id is another."""
        if not plan.has_conditions:
            return plan
        client = Client(
            principal=self.identity.principal,
            client_id=client_id,
            listener=self.listener,
            claims=self.identity.claims,
        )
        planned = self._planned
        if planned is None or planned[0] is not plan or planned[1] != client:
            planned = self._planned = (plan, client, plan.for_client(client))
        return planned[2]

    def in_flight(self) -> int:
        """Requests that are not answered yet, by anybody."""
        return max(len(self._awaiting), len(self._owed))

    def hold_if_full(self) -> None:
        """Has the client wait for answers, once a request is on its way and enough are."""
        if self.in_flight() >= self._most_in_flight:
            self.on_full()

    def is_half_empty(self) -> bool:
        """Whether it may go on: with many requests at once, which cost less than as many one by one."""
        return self.in_flight() <= self._most_in_flight // 2

    def sent(self, exchange: Exchange) -> None:
        """Notes a request that went to the broker."""
        self._awaiting.append(exchange)
        if not exchange.is_lookup:
            self._owed.append(exchange)

    def next_to_leave(self) -> Exchange | None:
        """The exchange that the broker's next frame belongs to, if that frame goes to the client, in its turn."""
        awaiting, owed = self._awaiting, self._owed
        if not awaiting or not owed or awaiting[0] is not owed[0] or awaiting[0].is_bare:
            return None
        return awaiting[0]

    def left(self, exchange: Exchange) -> None:
        """Notes that the answer of `next_to_leave` went to the client."""
        awaited, owed = self._awaiting.popleft(), self._owed.popleft()
        assert awaited is exchange
        assert owed is exchange

    def answered_here(self, exchange: Exchange) -> None:
        """Notes a request that the proxy answers itself, in its turn."""
        self._owed.append(exchange)

    @property
    def awaits_bare_token(self) -> bool:
        """Whether the broker's next frame is a login token without a header."""
        return bool(self._awaiting) and self._awaiting[0].is_bare

    def match(self, correlation_id: int | None) -> Exchange:
        """The request that a broker's frame answers; a bare token has no correlation id.

        Raises:
            MalformedFrame: the frame answers nothing, or not the oldest request.
        """
        if not self._awaiting:
            raise MalformedFrame("the broker sent a response that no request waits for")
        exchange = self._awaiting.popleft()
        if correlation_id is not None and exchange.correlation_id != correlation_id:
            raise MalformedFrame(
                f"the broker answered correlation id {correlation_id} where {exchange.correlation_id} was due"
            )
        return exchange

    def forget(self) -> None:
        """Lets go of every exchange: the connection has ended."""
        self._awaiting.clear()
        self._owed.clear()

    def is_due(self) -> bool:
        """Whether a reply may leave now: what it waited for has been answered."""
        return bool(self._owed) and self._owed[0].reply is not None

    def due(self) -> list[Exchange]:
        """Takes the exchanges whose replies may leave now, oldest first."""
        due = []
        while self.is_due():
            due.append(self._owed.popleft())
        return due
