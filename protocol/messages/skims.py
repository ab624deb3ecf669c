"""How messages that carry records are skimmed (protocol/skim.pyx) and refilled (protocol/refill.pyx): their slots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.messages.fetch import (
    FetchedPartition,
    FetchedTopic,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from wiremask.protocol.messages.produce import ProducePartition, ProduceRequest, ProduceResponse, ProduceTopic
from wiremask.protocol.refill import Refill
from wiremask.protocol.skim import Skim

if TYPE_CHECKING:
    from wiremask.protocol.api import Api


_PRODUCED = {
    "topics": ProduceRequest.topics.slot,
    "name": ProduceTopic.name.slot,
    "topic_id": ProduceTopic.topic_id.slot,
    "width": ProduceTopic.layout.width,
    "partitions": ProduceTopic.partitions.slot,
    "partition_width": ProducePartition.layout.width,
    "records": ProducePartition.records.slot,
    "number": ProduceRequest.acks.slot,
}
_ASKED = {
    "topics": FetchRequest.topics.slot,
    "name": FetchTopic.name.slot,
    "topic_id": FetchTopic.topic_id.slot,
    "width": FetchTopic.layout.width,
    "partitions": FetchTopic.partitions.slot,
    "partition_width": FetchPartition.layout.width,
    "partition_limit": FetchPartition.max_bytes.slot,
    "number": FetchRequest.max_bytes.slot,
}
_FETCHED = {
    "topics": FetchResponse.topics.slot,
    "name": FetchedTopic.name.slot,
    "topic_id": FetchedTopic.topic_id.slot,
    "width": FetchedTopic.layout.width,
    "partitions": FetchedTopic.partitions.slot,
    "partition_width": FetchedPartition.layout.width,
    "records": FetchedPartition.records.slot,
    "endpoints": FetchResponse.node_endpoints.slot,
}


def skim_produce_request(version: int, head: bytes) -> Skim:
    """Passes if nothing happens to any topic; its number is acks. `head` is the header behind the correlation id."""
    return Skim(ProduceRequest.program(version), head, is_request=True, **_PRODUCED)


def skim_fetch_request(version: int, head: bytes, *, limit_bytes: int) -> Skim:
    """Likewise, if also no limit is above `limit_bytes`; its number is the limit of the whole request."""
    return Skim(FetchRequest.program(version), head, is_request=True, limit_bytes=limit_bytes, **_ASKED)


def skim_produce_response(api: Api, version: int) -> Skim:
    """Passes if it names no address."""
    program, head = ProduceResponse.program(version), _response_head(api, version)
    return Skim(program, head, is_request=False, endpoints=ProduceResponse.node_endpoints.slot)


def skim_fetch_response(api: Api, version: int) -> Skim:
    """Passes if nothing happens to any topic and it names no address."""
    return Skim(FetchResponse.program(version), _response_head(api, version), is_request=False, **_FETCHED)


def refill_produce_request(version: int, head: bytes) -> Refill:
    """The records of a Produce request; its number is acks. `head` is the header behind the correlation id."""
    return Refill(ProduceRequest.program(version), head, is_request=True, **_PRODUCED)


def refill_fetch_response(api: Api, version: int) -> Refill:
    """The records of a Fetch response that names no address."""
    return Refill(FetchResponse.program(version), _response_head(api, version), is_request=False, **_FETCHED)


def _response_head(api: Api, version: int) -> bytes:
    return b"\0" if api.has_flexible_response_header(version) else b""
