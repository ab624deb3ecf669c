"""What the connection shall do with a frame, as the pipeline says it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wiremask.protocol.frame import frame_pieces
from wiremask.protocol.header import RequestHeader, make_response_header
from wiremask.proxy.session import Exchange, Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wiremask.protocol.messages.produce import PartitionRefusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Send `pieces` to the broker; `exchange` awaits the answer, None where there will be none (acks=0)."""

    pieces: Pieces
    exchange: Exchange | None
    then_close: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The proxy answers by itself: `exchange` has its reply."""

    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Send `pieces` to the client in their turn; empty for the answer to a look-up."""

    pieces: Pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Send the proxy's own request for topic names first, and come back with what the broker says."""

    pieces: Pieces
    exchange: Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """The client's login is taken by the proxy: check the token, and answer with what comes of it."""

    header: RequestHeader
    token: bytes = field(repr=False)


RequestStep = Forward | Answer | LookUp | Verify
ResponseStep = Reply | LookUp


def exchange_of(header: RequestHeader, refusals: Iterable[PartitionRefusal] = ()) -> Exchange:
    """The exchange that a request begins."""
    return Exchange(
        api=header.api,
        version=header.version,
        correlation_id=header.correlation_id,
        client_id=header.client_id,
        refusals=tuple(refusals),
    )


def answer(header: RequestHeader, body: bytes) -> Answer:
    """An answer of the proxy's own, with its header."""
    exchange = exchange_of(header)
    head = make_response_header(header.api, header.version, correlation_id=header.correlation_id)
    exchange.reply = frame_pieces(head, body)
    return Answer(exchange=exchange)
