"""A host and a port, as configuration and metadata write them."""

from __future__ import annotations

from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema


class Address(NamedTuple):
    """Where to listen or connect; text form `host:port`, with brackets round an IPv6 host."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: object) -> Address:
        """Reads `host:port`.

        Raises:
            ValueError: says what to write instead.
        """
        if isinstance(text, Address):
            return text
        if not isinstance(text, str):
            raise ValueError('write an address as "host:port"')  # noqa: TRY004 - pydantic turns ValueError into an error of the field
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ValueError('put brackets round an IPv6 host: "[::1]:9092"')
        if not (colon and host and port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ValueError('write an address as "host:port", with a port from 0 to 65535')
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


AddressField = Annotated[
    Address,
    BeforeValidator(Address.parse),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["kafka:9092", "[::1]:9092"]}),
]
