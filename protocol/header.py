"""Request and response headers, of both kinds.

    request v1     api key int16, version int16, correlation id int32, client id: length int16 (-1 is null), UTF-8
    request v2     the same, then a tagged section; the client id keeps its old form
    response v0    correlation id int32
    response v1    the same, then a tagged section

Which kind it is depends on api and version (protocol/api.py).

Source: RequestHeader.json, ResponseHeader.json; KIP-482; RequestHeader.parse in Kafka 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import TYPE_CHECKING, Final

from wiremask.protocol.api import API_VERSIONS, APIS, Api, find
from wiremask.protocol.errors import MalformedFrame

if TYPE_CHECKING:
    from typing_extensions import Buffer

_REQUEST: Final = Struct(">hhih")
_RESPONSE: Final = Struct(">i")
_UVARINT_BYTES: Final = 5
_INT32_MAX: Final = 2**31 - 1
_TAGS_LIMIT: Final = 1000
"""Kafka defines no tagged field of a header. Each is looked at, so that a frame full of them would cost seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeader:
    """The head of a request; its body starts `body_start` bytes into the frame."""

    api: Api
    version: int
    correlation_id: int
    client_id: str | None
    body_start: int

    @property
    def is_taken(self) -> bool:
        """Whether the body can be read and forwarded.

        False only for ApiVersions of a version that the table lacks, which is answered with the versions that it has.
        """
        return self.api.takes(self.version)


def read_request_header(frame: Buffer) -> RequestHeader:
    """Read the header of a request that the proxy serves.

    A client id that is not UTF-8 is read as Java reads it, with replacement characters; the bytes are forwarded as they
    are.

    Raises:
        UnknownApi: an api or version that the table lacks or refuses, save ApiVersions, whatever its version.
        MalformedFrame: the bytes end inside the header, or its lengths contradict them.
    """
    view = memoryview(frame)
    if len(view) < _REQUEST.size:
        raise MalformedFrame(f"{len(view)} bytes are no request")
    key, version, correlation_id, length = _REQUEST.unpack_from(view)
    api = APIS[key] if key == API_VERSIONS and version >= 0 else find(key, version)
    start = _REQUEST.size
    end = start + max(length, 0)
    if length < -1 or end > len(view):
        raise MalformedFrame(f"{api.name} {version}: the client id has a length of {length}")
    return RequestHeader(
        api=api,
        version=version,
        correlation_id=correlation_id,
        client_id=None if length < 0 else str(view[start:end], "utf-8", "replace"),
        body_start=_skip_tags(view, end) if api.has_flexible_request_header(version) else end,
    )


def read_response_header(frame: Buffer, *, flexible: bool) -> tuple[int, int]:
    """The correlation id of a response, and where its body starts.

    `flexible` is what `Api.has_flexible_response_header` says for the request that it answers.

    Raises:
        MalformedFrame: the bytes end inside the header.
    """
    view = memoryview(frame)
    if len(view) < _RESPONSE.size:
        raise MalformedFrame(f"{len(view)} bytes are no response")
    (correlation_id,) = _RESPONSE.unpack_from(view)
    return correlation_id, _skip_tags(view, _RESPONSE.size) if flexible else _RESPONSE.size


def make_request_header(api: Api, version: int, *, correlation_id: int, client_id: str) -> bytes:
    """The header of a request of the proxy's own."""
    name = client_id.encode()
    tags = b"\0" if api.has_flexible_request_header(version) else b""
    return _REQUEST.pack(api.key, version, correlation_id, len(name)) + name + tags


def make_response_header(api: Api, version: int, *, correlation_id: int) -> bytes:
    """The header of an answer that the proxy gives itself."""
    tags = b"\0" if api.has_flexible_response_header(version) else b""
    return _RESPONSE.pack(correlation_id) + tags


def _skip_tags(view: memoryview, at: int) -> int:
    """Where the tagged section at `at` ends; Kafka defines no header tags, so all of them are stepped over."""
    if at < len(view) and view[at] == 0:
        return at + 1
    count, at = _read_uvarint(view, at)
    if count > _TAGS_LIMIT:
        raise MalformedFrame(f"a header with {count} tagged fields")
    previous = -1
    for _ in range(count):
        tag, at = _read_uvarint(view, at)
        size, at = _read_uvarint(view, at)
        if tag <= previous or size > len(view) - at:
            raise MalformedFrame("a header's tagged section contradicts its bytes")
        previous = tag
        at += size
    return at


def _read_uvarint(view: memoryview, at: int) -> tuple[int, int]:
    """Up to five bytes, 31 bits: Java reads more bits and loses or negates them."""
    value = 0
    for index, byte in enumerate(view[at : at + _UVARINT_BYTES]):
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80 and value <= _INT32_MAX:
            return value, at + index + 1
    raise MalformedFrame("a header's tagged section has a number that does not end, or is beyond 31 bits")
