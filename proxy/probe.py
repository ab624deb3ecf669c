"""Asks the cluster, now and then, whether it answers and where its nodes are.

Every broker answers ApiVersions before a login, which is all that readiness needs. On an open listener, or with
credentials (`upstream.lookup`, `upstream.sasl`), Metadata is answered too and tells the address of every node, so that
a client may come straight to a node's port of a proxy that has just started. Else that part stays silent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from wiremask.protocol import api as apis
from wiremask.protocol.errors import ProtocolError
from wiremask.protocol.messages.metadata import MetadataResponse, make_brokers_request
from wiremask.proxy import metrics
from wiremask.proxy.conversation import BrokerLeft, Conversation
from wiremask.proxy.log import logger
from wiremask.proxy.upstream import Upstream, UpstreamUnavailable

if TYPE_CHECKING:
    from wiremask.proxy.health import Health

_log = logger()

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
METADATA_VERSION = 1
"""The oldest that can ask for no topics; every broker that Produce 3 reaches has it."""


class Probe:
    """Keeps `health.upstream_answered`, and what `upstream` knows of nodes, up to date."""

    def __init__(self, upstream: Upstream, health: Health) -> None:
        self._upstream = upstream
        self._health = health
        self._asking = asyncio.Lock()
        self._asked = 0
        self._fault: str | None = None
        upstream.look_up = self.look_up

    async def run(self) -> None:
        """Asks until it is cancelled: often while nobody answers, seldom afterwards."""
        pause_s = FIRST_PAUSE_S
        while True:
            async with self._asking:
                answered = await self._ask()
            if answered != self._health.upstream_answered:
                self._health.upstream_answered = answered
                if answered:
                    _log.info("upstream answers")
                else:
                    _log.warning("upstream does not answer")
            metrics.ready.set(self._health.ready)
            pause_s = LONGEST_PAUSE_S if answered else min(pause_s * 1.5, 1.0)
            await asyncio.sleep(pause_s)

    async def look_up(self) -> None:
        """Asks at once; whoever comes while a question is under way shares its answer."""
        before = self._asked
        async with self._asking:
            if self._asked == before:
                await self._ask()

    def _tell(self, fault: str | None) -> None:
        """Says what keeps the brokers from being reached, when that is news."""
        if fault is not None and fault != self._fault:
            _log.warning("upstream cannot be reached", error=fault)
        self._fault = fault

    async def _ask(self) -> bool:
        conversation = Conversation()
        answered = False
        try:
            await self._upstream.connect(None, conversation, is_lookup=True)
            await conversation.ask(apis.API_VERSIONS, 0, b"")
            answered = True
            body = await conversation.ask(apis.METADATA, METADATA_VERSION, make_brokers_request(METADATA_VERSION))
            for node in MetadataResponse.read(body, METADATA_VERSION).brokers:
                self._upstream.learn_looked_up(node.node_id, node.host, node.port)
            self._tell(None)
        except UpstreamUnavailable as error:
            self._tell(str(error))
        except (BrokerLeft, ProtocolError, TimeoutError):
            # Before the first answer: not ready. After it: a listener that wants a login, which clients teach instead.
            if answered:
                self._upstream.forget_looked_up()
        finally:
            if conversation.transport is not None:
                conversation.transport.close()
            self._asked += 1
        return answered
