"""Where the brokers are, and connections to them.

A node's address comes from the first source that knows it: `upstream.nodes`, `upstream.nodePattern`, what brokers
told the proxy's own look-up (`upstream.lookup`), and what they told a client whose Metadata passed through. It never
falls back to another broker. Host names are resolved anew for each connection, and every address is tried. With
`upstream.sasl` a connection is logged in before it is used.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field, field_validator, model_validator

from wiremask.proxy import metrics
from wiremask.proxy.address import Address, AddressField
from wiremask.proxy.conversation import Conversation
from wiremask.proxy.log import logger
from wiremask.proxy.model import DEFAULTS, Section
from wiremask.proxy.sasl.initiation import Initiation, InitiationConfig, LoginFailed
from wiremask.proxy.tls import ClientTlsConfig, Tls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logger()


class LookupConfig(Section):
    """Section `upstream.lookup`: the proxy asks the brokers, now and then, where they all are."""

    sasl: InitiationConfig | None = None
    """Credentials for that alone, where clients log in by themselves; they need no rights."""


class UpstreamConfig(Section):
    """Section `upstream`: the Kafka cluster behind the proxy."""

    bootstrap_servers: tuple[AddressField, ...] = Field(default=(Address("127.0.0.1", 9092),), min_length=1)
    """Brokers that are asked first, in order, as in a client's `bootstrap.servers`."""

    nodes: dict[int, AddressField] = Field(default_factory=dict)
    """The address of single nodes, for example `{7: "b7:9092"}`."""

    node_pattern: str | None = None
    """The address of every other node, for example `"broker-{node}.kafka:9092"`."""

    tls: ClientTlsConfig | None = None
    """The brokers are spoken to with TLS; `{}` is TLS with the authorities that the system trusts."""

    sasl: InitiationConfig | None = None
    """The proxy logs in at the brokers; without this section the logins of clients pass through."""

    lookup: LookupConfig = DEFAULTS
    """How the proxy asks where the brokers are."""

    @model_validator(mode="after")
    def _aws_has_tls(self) -> UpstreamConfig:
        for sasl in (self.sasl, self.lookup.sasl):
            if sasl is not None and sasl.mechanism == "AWS_MSK_IAM" and self.tls is None:
                raise ValueError("AWS_MSK_IAM needs upstream.tls")
        return self

    @field_validator("node_pattern")
    @classmethod
    def _names_the_node(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            if "{node}" not in pattern:
                raise ValueError('write {node} where the node id stands, for example "broker-{node}.kafka:9092"')
            Address.parse(pattern.replace("{node}", "0"))
        return pattern


class UpstreamUnavailable(Exception):
    """No broker took the connection, or no source knows the node's address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A connection to a broker.

    Attributes:
        host: by which it was reached.
        login_s: for how long the proxy's own login lasts; None where there is none, or it lasts.
    """

    host: str
    login_s: float | None = None


class Upstream:
    """The cluster as the proxy knows it: addresses by node id, and how to reach them."""

    def __init__(self, config: UpstreamConfig, *, connect_seconds: float) -> None:
        """Reads the files of TLS.

        Raises:
            TlsUnusable: one of them cannot be used.
        """
        self.tls = None if config.tls is None else Tls(config.tls, use="upstream")
        self.login = None if config.sasl is None else Initiation(config.sasl)
        self._lookup_login = self.login if config.lookup.sasl is None else Initiation(config.lookup.sasl)
        self._config = config
        self._connect_s = connect_seconds
        self._looked_up: dict[int, Address] = {}
        self._taught: dict[int, Address] = {}
        self.look_up: Callable[[], Awaitable[None]] | None = None
        """Asks the brokers where they all are; set by who can."""

    def learn(self, node: int, host: str, port: int) -> None:
        """Remembers where a client was told that a node is."""
        self._taught[node] = Address(host, port)

    def learn_looked_up(self, node: int, host: str, port: int) -> None:
        """Remembers where the look-up was told that a node is; that goes before what clients were told."""
        self._looked_up[node] = Address(host, port)

    def forget_looked_up(self) -> None:
        """What was looked up ages unseen once brokers answer no look-up any more."""
        self._looked_up.clear()

    def addresses(self, node: int | None) -> tuple[Address, ...]:
        """Where a connection for `node` goes (None: the bootstrap port); empty where no source knows."""
        if node is None:
            return self._config.bootstrap_servers
        if (named := self._config.nodes.get(node)) is not None:
            return (named,)
        if self._config.node_pattern is not None:
            return (Address.parse(self._config.node_pattern.replace("{node}", str(node))),)
        found = self._looked_up.get(node) or self._taught.get(node)
        return () if found is None else (found,)

    async def connect(self, node: int | None, leg: asyncio.BufferedProtocol, *, is_lookup: bool = False) -> Reached:
        """Connects `leg` to a node, or to the first bootstrap server that answers, and logs in first.

        Args:
            node: a broker's id; None is any.
            leg: is told of the connection when it can be used.
            is_lookup: log in as `upstream.lookup` says.

        Raises:
            UpstreamUnavailable: its text says what was tried and what to set.
        """
        addresses = self.addresses(node)
        if self.look_up is not None and (not addresses or self._has_moved(node)):
            # A client came before the first look-up of this process had its answer, for a node that is new, or for one
            # that moved after the last.
            await self.look_up()
            addresses = self.addresses(node)
        if not addresses:
            metrics.nodes_unknown.inc()
            raise UpstreamUnavailable(
                f"no source knows the address of node {node}: set upstream.nodes or upstream.nodePattern, "
                "or let a client fetch metadata through the proxy first"
            )
        login = self._lookup_login if is_lookup else self.login
        try:
            return await self._reach_first(addresses, leg, login)
        except UpstreamUnavailable:
            if self.look_up is None or not self._is_looked_up(node):
                raise
            # It came back under another address after the last look-up, and the client straight to its port.
            await self.look_up()
            moved = self.addresses(node)
            if moved == addresses:
                raise
        return await self._reach_first(moved, leg, login)

    async def _reach_first(
        self, addresses: tuple[Address, ...], leg: asyncio.BufferedProtocol, login: Initiation | None
    ) -> Reached:
        failures = []
        for address in addresses:
            try:
                return await self._reach_any(address, leg, login)
            except (UpstreamUnavailable, LoginFailed) as error:
                failures.append(f"{address}: {error}")
        raise UpstreamUnavailable("no broker took the connection: " + "; ".join(failures))

    def _has_moved(self, node: int | None) -> bool:
        """Whether it is a look-up that says where the node is, and clients were told otherwise."""
        taught = None if node is None else self._taught.get(node)
        return taught is not None and self._is_looked_up(node) and self.addresses(node) != (taught,)

    def _is_looked_up(self, node: int | None) -> bool:
        """Whether it is a look-up that says where the node is."""
        return node is not None and self.addresses(node) == (self._looked_up.get(node),)

    async def _reach_any(self, address: Address, leg: asyncio.BufferedProtocol, login: Initiation | None) -> Reached:
        """Tries all that a host name stands for; one that is silent uses up its share of the time, and not all of it.

        Raises:
            UpstreamUnavailable: none of them took the connection, or TLS failed.
            LoginFailed: one refused the login, as the others would.
        """
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._connect_s
        try:
            async with asyncio.timeout_at(end_s):
                found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise UpstreamUnavailable(f"the name was not resolved within {self._connect_s:g} s") from None
        except OSError as error:
            raise UpstreamUnavailable(error.strerror or type(error).__name__) from error
        failures = []
        for tried, (*_, place) in enumerate(found):
            share_s = (end_s - loop.time()) / (len(found) - tried)
            try:
                async with asyncio.timeout(share_s):
                    return await self._reach(address.host, Address(*place[:2]), leg, login)
            except TimeoutError:
                failures.append(f"no answer within {share_s:.2g} s")
            except OSError as error:
                failures.append(error.strerror or type(error).__name__)
        raise UpstreamUnavailable(", ".join(failures))

    async def _reach(
        self, host: str, place: Address, leg: asyncio.BufferedProtocol, login: Initiation | None
    ) -> Reached:
        if login is None:
            await self._open(host, place, leg)
            return Reached(host=host)
        conversation = Conversation()
        await self._open(host, place, conversation)
        try:
            login_s = await login.log_in(conversation.ask, host)
        except BaseException:  # cancelled by the time limit too: the socket must not stay
            if conversation.transport is not None:
                conversation.transport.abort()
            raise
        conversation.hand_over(leg)
        return Reached(host=host, login_s=login_s)

    async def _open(self, host: str, place: Address, leg: asyncio.BufferedProtocol) -> None:
        """Connects to one of the places of a host, with TLS where the brokers have it."""
        loop = asyncio.get_running_loop()
        if self.tls is None:
            await loop.create_connection(lambda: leg, *place)
            return
        secured: asyncio.Future[None] = loop.create_future()

        def failed(reason: str) -> None:
            if secured.done():
                _log.warning("TLS failed", address=str(place), error=reason)
            else:
                secured.set_exception(UpstreamUnavailable(f"TLS failed: {reason}"))

        layer = self.tls.layer(
            leg, server_hostname=host, on_secured=lambda _: secured.set_result(None), on_failed=failed
        )
        await loop.create_connection(lambda: layer, *place)
        try:
            await secured
        except BaseException:  # as above
            layer.abort()
            raise
