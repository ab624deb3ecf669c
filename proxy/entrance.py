"""What a client's socket meets before its first frame: who may come, the PROXY header, TLS.

    socket open -> [PROXY header] -> address admitted, counted -> [TLS handshake -> node by SNI, principal] -> leg

Each step hands the socket to the next and is gone. All of it together has `limits.handshakeSeconds`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from wiremask.proxy.admission import plain_address
from wiremask.proxy.principal import NoPrincipal
from wiremask.proxy.proxyheader import NoProxyHeader, ProxyHeader
from wiremask.proxy.tlslayer import PEER_LEFT

if TYPE_CHECKING:
    from wiremask.proxy.admission import Address
    from wiremask.proxy.listener import Listener
    from wiremask.proxy.tlslayer import TlsLayer


class Visitor(Protocol):
    """The connection that a socket is for."""

    @property
    def client(self) -> asyncio.BufferedProtocol:
        """What reads the frames."""

    def admit(self, address: str | None) -> bool:
        """A client comes from there; False if there is no room for it."""

    def identify(self, *, node: int | None, principal: str | None) -> None:
        """What its TLS handshake told; None is nothing."""

    def turn_away(self, reason: str, error: str) -> None:
        """It does not come in."""


class Entrance(asyncio.BufferedProtocol):
    """The way in of one connection."""

    def __init__(self, visitor: Visitor, listener: Listener, *, limit_s: float) -> None:
        self._visitor = visitor
        self._listener = listener
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None  # until the leg has it
        self._header: ProxyHeader | None = None  # while it is being read
        self._peer: Address | None = None
        self._memory = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connects."""
        self._transport = cast("asyncio.Transport", transport)
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._too_slow)
        peer = transport.get_extra_info("peername")
        address = plain_address(peer[0]) if isinstance(peer, tuple) else None
        proxy_protocol = self._listener.config.proxy_protocol
        if proxy_protocol is None:
            self._enter(address)
        elif proxy_protocol.trusts(address):
            self._header, self._peer = ProxyHeader(), address
        else:
            self._turn_away("address refused", f"{address} is not one of proxyProtocol.trusted")

    # The PROXY header: read to its last byte and no further.

    def get_buffer(self, _hint: int) -> bytearray:
        """Where the next bytes of the header go."""
        self._memory = bytearray(self._header.wanted if self._header is not None else 1)
        return self._memory

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes of the header are there."""
        header = self._header
        if header is None or self._transport is None:
            return
        try:
            header.feed(bytes(self._memory[:nbytes]))
        except NoProxyHeader as error:
            self._turn_away("no PROXY header", str(error))
            return
        if not header.wanted:
            self._header = None
            self._enter(header.address or self._peer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The client left before it was in."""
        self._turn_away("client closed", "the client closed the connection before its PROXY header was complete")

    # In.

    def _enter(self, address: Address | None) -> None:
        transport = self._transport
        assert transport is not None
        if not self._listener.config.clients.admits(address):
            self._turn_away("address refused", f"{address} may not connect by clients.allow and clients.deny")
        elif not self._visitor.admit(None if address is None else str(address)):
            self.close()
        elif self._listener.tls is None:
            self._is_in()
            _hand_over(transport, self._visitor.client)
        else:
            layer = self._listener.tls.layer(
                self._visitor.client,
                on_secured=self._secured,
                on_failed=self._tls_failed,
            )
            _hand_over(transport, layer)

    def _secured(self, layer: TlsLayer) -> None:
        certificate = layer.tls.getpeercert(binary_form=True)
        try:
            principal = None if certificate is None else self._listener.principal_of(certificate)
        except NoPrincipal as error:
            self._turn_away("no principal", str(error))
            layer.close()
            return
        self._is_in()
        self._visitor.identify(node=self._listener.node_by_name(layer.tls), principal=principal)

    def _tls_failed(self, reason: str) -> None:
        self._turn_away("client closed" if reason is PEER_LEFT else "TLS failed", reason)

    def _is_in(self) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._turn_away("handshake timeout", f"not in after {self._limit_s:g} s (limits.handshakeSeconds)")

    def _turn_away(self, reason: str, error: str) -> None:
        self.close()
        self._visitor.turn_away(reason, error)

    def close(self) -> None:
        """Closes the socket, if it is not in yet."""
        transport = self._transport
        self._is_in()
        if transport is not None:
            transport.close()


def _hand_over(transport: asyncio.Transport, protocol: asyncio.BaseProtocol) -> None:
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
