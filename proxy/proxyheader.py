r"""The PROXY protocol, versions 1 and 2: what a load balancer says first, about the client that it forwards.

    version 1   PROXY TCP4 192.0.2.7 192.0.2.1 51234 9092\r\n
    version 2   \r\n\r\n\0\r\nQUIT\n, version and command, family and transport, length of what follows, addresses, ...

It is read to its last byte and no further: what follows belongs to TLS or Kafka. `wanted` is what may be read next.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_START = b"PROXY "
_SHORTEST = 15  # PROXY UNKNOWN\r\n; version 2 is longer
_V1_LONGEST = 107
_V2_HEAD = 16
_V2_LONGEST = 2048
"""Addresses and the extensions that load balancers send take some hundred bytes."""

_ADDRESS_BYTES = {1: 4, 2: 16}  # TCP or UDP over IPv4, IPv6


class NoProxyHeader(Exception):
    """What came first is no PROXY header."""


class ProxyHeader:
    """The header of one connection, as its bytes come.

    Attributes:
        wanted: how many bytes may be read before the next `feed`; 0 when the header is complete.
        address: the client's address; None where the load balancer speaks for itself or does not know.
    """

    def __init__(self) -> None:
        self._here = bytearray()
        self.wanted = _SHORTEST
        self.address: IPv4Address | IPv6Address | None = None

    def feed(self, data: bytes) -> None:
        """Takes at most `wanted` bytes.

        Raises:
            NoProxyHeader: this is something else.
        """
        here = self._here
        here += data
        self.wanted -= len(data)
        if self.wanted:
            return
        if here.startswith(_SIGNATURE):
            self._read_2()
        elif here.startswith(_V1_START):
            self._read_1()
        else:
            raise NoProxyHeader("the connection does not begin with a PROXY header")

    def _read_1(self) -> None:
        here = bytes(self._here)
        if not here.endswith(b"\r\n"):
            if len(here) >= _V1_LONGEST:
                raise NoProxyHeader("the PROXY header is too long")
            self.wanted = 1
            return
        _, family, *rest = here[:-2].split(b" ")
        if family == b"UNKNOWN":
            return
        if family not in {b"TCP4", b"TCP6"} or len(rest) != 4:
            raise NoProxyHeader("the PROXY header names no addresses")
        try:
            self.address = ip_address(rest[0].decode("ascii"))
        except ValueError:
            raise NoProxyHeader("the PROXY header has an address that is none") from None

    def _read_2(self) -> None:
        here = self._here
        if len(here) < _V2_HEAD:
            self.wanted = _V2_HEAD - len(here)
            return
        size = int.from_bytes(here[14:16], "big")
        if size > _V2_LONGEST:
            raise NoProxyHeader("the PROXY header is too long")
        if len(here) < _V2_HEAD + size:
            self.wanted = _V2_HEAD + size - len(here)
            return
        version, command = here[12] >> 4, here[12] & 0xF
        if version != 2 or command > 1:
            raise NoProxyHeader("the PROXY header has a version or command that is none")
        count = _ADDRESS_BYTES.get(here[13] >> 4, 0)
        if command == 0 or not count:
            return
        if size < 2 * count + 4:
            raise NoProxyHeader("the PROXY header is shorter than its addresses")
        self.address = ip_address(bytes(here[_V2_HEAD : _V2_HEAD + count]))
