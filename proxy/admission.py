"""Which addresses may connect, and which may speak for others."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from wiremask.proxy.model import Section

Address = IPv4Address | IPv6Address


def _read_network(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError:
        raise ValueError('write a network as "10.0.0.0/8", its host bits zero, or one address') from None


Network = Annotated[
    IPv4Network | IPv6Network,
    BeforeValidator(_read_network),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "2001:db8::/32"]}),
]


class AdmissionConfig(Section):
    """Section `listeners[].clients`: whose connections are taken. `deny` wins."""

    allow: tuple[Network, ...] = ()
    """Networks of clients; empty means every one."""

    deny: tuple[Network, ...] = ()
    """Networks that are refused."""

    def admits(self, address: Address | None) -> bool:
        """Whether a client at this address may come; one whose address is not known may where nothing is asked."""
        if address is None:
            return not self.allow and not self.deny
        return not _within(address, self.deny) and (not self.allow or _within(address, self.allow))


class ProxyProtocolConfig(Section):
    """Section `listeners[].proxyProtocol`: a load balancer says in a PROXY header (1 or 2) who the client is."""

    trusted: tuple[Network, ...] = Field(min_length=1)
    """Networks of the load balancers. Each of their connections must begin with the header; others are refused."""

    def trusts(self, address: Address | None) -> bool:
        """Whether a header from this address is believed."""
        return address is not None and _within(address, self.trusted)


def _within(address: Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return any(address in network for network in networks)


def plain_address(text: object) -> Address | None:
    """An address as the socket gives it; an IPv4 one that came by an IPv6 socket is one of IPv4."""
    try:
        address = ip_address(str(text).partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, IPv6Address) and address.ipv4_mapped) or address
