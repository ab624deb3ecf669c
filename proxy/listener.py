"""The addresses that clients see: a bootstrap port, and one port for each broker node.

Node N is served on `bootstrap port + 1 + (N - nodes.first)`. This is arithmetic without state, so a proxy that restarts
and two proxies beside each other agree. With `tls.nodeNames` all nodes are on the bootstrap port, each under a host
name of its own. What is bound and what is advertised are separate settings.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from wiremask.proxy import metrics
from wiremask.proxy.address import Address, AddressField
from wiremask.proxy.admission import AdmissionConfig, ProxyProtocolConfig
from wiremask.proxy.log import logger
from wiremask.proxy.model import DEFAULTS, Port, Seconds, Section
from wiremask.proxy.principal import PrincipalRules, subject_of
from wiremask.proxy.sasl.bearer import BearerConfig
from wiremask.proxy.sasl.termination import ClientLogins
from wiremask.proxy.tls import ServerSide, ServerTlsConfig, Tls

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from wiremask.proxy.acceptor import Acceptor
    from wiremask.proxy.reloadedfiles import Reloaded

_BACKLOG = 1024
"""Clients of one port that wait to be taken; the kernel may keep fewer (net.core.somaxconn)."""

_log = logger()


class NodesConfig(Section):
    """The broker node ids that a listener serves, both ends included."""

    first: int = Field(default=0, ge=0)
    last: int = Field(default=99, ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> NodesConfig:
        if self.last < self.first:
            raise ValueError("nodes.last is below nodes.first")
        return self


class ListenerSaslConfig(Section):
    """Section `listeners[].sasl`: who clients are, by logins that pass to the brokers or that the proxy takes."""

    principal_claim: str = Field(default="sub", min_length=1)
    """The claim of an OAUTHBEARER token that is taken for the name; `sasl.oauthbearer.sub.claim.name` of a broker."""

    mechanisms: tuple[Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"], ...] = ()
    """Clients log in at the proxy, and must, by one of these. Without any, their logins pass to the brokers."""

    required: bool = False
    """The brokers ask for a login: clients have `limits.loginSeconds` for it, and nothing else of them is forwarded
    before. Without this, a client that never begins one and asks for nothing stays for `limits.idleSeconds`."""

    credentials: Path | None = None
    """For PLAIN and SCRAM: a file with the lines that `wiremask credential` prints."""

    bearer: BearerConfig | None = None
    """For OAUTHBEARER: whose access tokens are taken."""

    session_seconds: Seconds | None = None
    """How long a login at the proxy is good, as `connections.max.reauth.ms`; a client logs in again before."""

    @property
    def must_log_in(self) -> bool:
        """Whether clients are nobody before they have logged in."""
        return self.required or bool(self.mechanisms)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> ListenerSaslConfig:
        wants_file = bool({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}.intersection(self.mechanisms))
        if wants_file != (self.credentials is not None):
            raise ValueError(
                "PLAIN and SCRAM need credentials (a file for `wiremask credential`), and nothing else does"
            )
        if ("OAUTHBEARER" in self.mechanisms) != (self.bearer is not None):
            raise ValueError("OAUTHBEARER needs bearer, and nothing else does")
        return self


class ListenerConfig(Section):
    """One entry of `listeners`."""

    name: str = Field(default="default", min_length=1)
    """Named in logs, metrics and rules."""

    address: AddressField = Address("127.0.0.1", 9092)
    """Where the bootstrap port is bound; node ports follow it. Loopback unless you say otherwise."""

    advertised_host: str | None = None
    """The host that clients are told; the bound host when not set."""

    advertised_port: Port | None = None
    """The bootstrap port that clients see, where it differs from the bound one; node ports follow it."""

    nodes: NodesConfig = DEFAULTS
    """Which broker nodes have a port."""

    tls: ServerTlsConfig | None = None
    """Clients speak TLS; without this section they do not."""

    sasl: ListenerSaslConfig = DEFAULTS
    """Who clients are."""

    clients: AdmissionConfig = DEFAULTS
    """Which addresses may connect."""

    proxy_protocol: ProxyProtocolConfig | None = None
    """A load balancer stands before this listener and says who the clients are."""

    @model_validator(mode="after")
    def _ports_exist(self) -> ListenerConfig:
        if self.address.host in ("0.0.0.0", "::") and self.advertised_host is None:  # noqa: S104 - compared, not bound
            raise ValueError("set advertisedHost: clients cannot connect to the address that means all interfaces")
        span = len(self.ports) - 1
        for port in (self.address.port, self.advertised_port or 0):
            if port + span > 65535:
                raise ValueError(f"node {self.nodes.last} would need port {port + span}: lower the port or nodes.last")
        return self

    @property
    def ports(self) -> range:
        """Every port that is bound, the bootstrap port first."""
        nodes = 0 if self.node_names is not None else 1 + self.nodes.last - self.nodes.first
        return range(self.address.port, self.address.port + 1 + nodes)

    @property
    def node_names(self) -> str | None:
        """The host names that tell nodes apart on one port; None where each has a port."""
        return self.tls.node_names if self.tls is not None else None


class Listener:
    """The bound ports of one `listeners` entry, and the addresses that stand for brokers."""

    def __init__(self, config: ListenerConfig) -> None:
        """Reads the files of TLS and of logins; nothing is bound yet.

        Raises:
            TlsUnusable, CredentialsUnusable, KeysUnusable: one of them cannot be used.
        """
        self.config = config
        self.logins = ClientLogins(config.sasl, use=config.name) if config.sasl.mechanisms else None
        self.tls: Tls | None = None
        if config.tls is not None:
            self.tls = Tls(config.tls, use=config.name)
            self._principals = PrincipalRules.read(config.tls.principal_mapping_rules)
        self._warned: set[int] = set()
        metrics.nodes_outside_range.labels(config.name).inc(0)

    @property
    def reloaded(self) -> list[Reloaded]:
        """What is made of files."""
        tls: list[Reloaded] = [] if self.tls is None else [self.tls]
        return tls + ([] if self.logins is None else self.logins.reloaded)

    def principal_of(self, certificate: bytes) -> str:
        """Who a client with this certificate (DER) is.

        Raises:
            NoPrincipal: the mapping rules give no name.
        """
        return f"User:{self._principals.name(subject_of(certificate))}"

    def node_by_name(self, tls: ssl.SSLObject) -> int | None:
        """The node whose host name a client asked for; None (a bootstrap connection) for every other name."""
        pattern, name = self.config.node_names, tls.server_name if isinstance(tls, ServerSide) else None
        if pattern is None or name is None:
            return None
        before, after = pattern.lower().split("{node}")
        name = name.lower()
        number = name.removeprefix(before).removesuffix(after)
        is_node = number.isascii() and number.isdigit() and len(number) <= 10
        return int(number) if is_node and name == f"{before}{int(number)}{after}" else None

    async def open(
        self, acceptor: Acceptor, connection: Callable[[Listener, int | None], asyncio.BaseProtocol]
    ) -> None:
        """Binds every port; `connection(self, node)` makes the protocol of each client that comes.

        Raises:
            OSError: a port is taken, or the host is none of this machine's.
        """
        loop = asyncio.get_running_loop()
        host, first = self.config.address.host, self.config.nodes.first
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for place, port in enumerate(self.config.ports):
            node = first + place - 1 if place else None
            for bound in _bind([(family, (address, port, *scope)) for family, _, _, _, (address, _, *scope) in found]):
                acceptor.listen(bound, lambda node=node: connection(self, node))  # type: ignore[misc]

    def advertise(self, node: int, host: str, port: int) -> tuple[str, int]:
        """The address that a client is told for a broker node that said it is at `host:port`.

        A node that has no port here gets a host name that can never resolve and that says why, so that no client goes
        round the proxy. Entries that stand for "no node" (id -1, no host) stay as they are.
        """
        if node < 0 or not host:
            return host, port
        nodes, config = self.config.nodes, self.config
        if config.node_names is not None:
            return config.node_names.replace("{node}", str(node)), config.advertised_port or config.address.port
        if nodes.first <= node <= nodes.last:
            base = config.advertised_port or config.address.port
            return config.advertised_host or config.address.host, base + 1 + node - nodes.first
        metrics.nodes_outside_range.labels(config.name).inc()
        if node not in self._warned:
            self._warned.add(node)
            _log.error(
                "broker node has no port on this listener",
                listener=config.name,
                node=node,
                error=f"set listeners.nodes so that {node} lies from first to last (now {nodes.first} to {nodes.last})",
            )
        return f"node-{node}-is-outside-listener-nodes.invalid", port


def _bind(addresses: Sequence[tuple[int, tuple[Any, ...]]]) -> list[socket.socket]:
    """Binds all addresses of a name, save those of a family that this kernel does not know, if there are others."""
    bound, unknown = [], None
    for family, address in addresses:
        try:
            bound.append(socket.create_server(address, family=family, backlog=_BACKLOG))
        except OSError as error:
            if error.errno != errno.EAFNOSUPPORT:
                raise
            unknown = error
    if unknown is not None and not bound:
        raise unknown
    return bound
