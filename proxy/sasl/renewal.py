"""The proxy's own login on a connection that a client is using, renewed before the broker ends it (KIP-368).

A broker that logs somebody in again takes no other request meanwhile, so the client is not read: the login's requests
stand behind those that went before, and those of the client behind the login. What the broker still owes goes out as
it comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from wiremask.protocol import api as apis
from wiremask.protocol.frame import frame_pieces
from wiremask.protocol.header import make_request_header, read_response_header
from wiremask.proxy.conversation import CLIENT_ID, BrokerLeft
from wiremask.proxy.leg import RENEWING
from wiremask.proxy.sasl.initiation import LoginFailed
from wiremask.proxy.session import Exchange

if TYPE_CHECKING:
    from wiremask.proxy.leg import Leg
    from wiremask.proxy.sasl.initiation import Initiation
    from wiremask.proxy.session import Pieces
    from wiremask.proxy.tasks import Tasks
    from wiremask.proxy.upstream import Reached

_SHARE = 0.8
"""A login is renewed after this much of its life, as Kafka's own clients do at the earliest."""

_STREAMING_S = 0.05
"""A large frame that is passing while it arrives is waited for in steps of this."""


class Renewed(Protocol):
    """The connection that a login is of."""

    client: Leg

    def send_own(self, exchange: Exchange, pieces: Pieces) -> None:
        """Sends a request of the proxy's own to the broker."""

    def login_ended(self, error: str | None) -> None:
        """The login was renewed (None), or could not be."""


class Renewal:
    """Renews the login of one connection until `stop`."""

    def __init__(self, login: Initiation, reached: Reached, connection: Renewed, tasks: Tasks) -> None:
        self._login = login
        self._host = reached.host
        self._connection = connection
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._answer: asyncio.Future[bytes | bytearray] | None = None
        self._is_stopped = False
        self._set(reached.login_s)

    def stop(self) -> None:
        """The connection has ended."""
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(BrokerLeft("the connection has ended"))

    def _set(self, login_s: float | None) -> None:
        if login_s is not None and not self._is_stopped:
            self._timer = self._loop.call_later(_SHARE * login_s, self._begin)

    def _begin(self) -> None:
        client = self._connection.client
        if client.is_streaming:
            self._timer = self._loop.call_later(_STREAMING_S, self._begin)
            return
        client.hold(RENEWING)
        self._tasks.spawn(self._renew(), name="renew login")

    async def _renew(self) -> None:
        try:
            login_s = await self._login.log_in(self._ask, self._host)
        except LoginFailed as error:
            self._connection.login_ended(str(error))
            return
        self._connection.login_ended(None)
        self._connection.client.release(RENEWING)
        self._set(login_s)

    async def _ask(self, key: int, version: int, body: bytes) -> memoryview:
        if self._is_stopped:
            raise BrokerLeft("the connection has ended")
        self._answer = self._loop.create_future()
        api = apis.APIS[key]
        exchange = Exchange(
            api=api, version=version, correlation_id=-1, is_lookup=True, own_answer=self._answer.set_result
        )
        head = make_request_header(api, version, correlation_id=-1, client_id=CLIENT_ID)
        self._connection.send_own(exchange, frame_pieces(head, body))
        frame = await self._answer
        _, start = read_response_header(frame, flexible=api.has_flexible_response_header(version))
        return memoryview(frame)[start:]
