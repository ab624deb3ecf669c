"""Skims of every kind and version, and what the strict walker says of the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.kafka_oracle import oracle
from wiremask.protocol.api import APIS, FETCH, PRODUCE
from wiremask.protocol.choices import Choices
from wiremask.protocol.errors import MalformedMessage
from wiremask.protocol.header import make_request_header, make_response_header
from wiremask.protocol.messages.fetch import FetchRequest, FetchResponse
from wiremask.protocol.messages.produce import ProduceRequest, ProduceResponse
from wiremask.protocol.messages.skims import (
    skim_fetch_request,
    skim_fetch_response,
    skim_produce_request,
    skim_produce_response,
)
from wiremask.protocol.skim import Skim

KINDS: dict[str, Any] = {
    "ProduceRequest": ProduceRequest,
    "FetchRequest": FetchRequest,
    "ProduceResponse": ProduceResponse,
    "FetchResponse": FetchResponse,
}
LIMIT = 1 << 20
CORRELATION_ID = 77
TAKEN = [
    (name, version)
    for name in KINDS
    for version in oracle(name).versions
    if APIS[PRODUCE if name.startswith("Produce") else FETCH].takes(version)
]


def clear_where(is_clear: Callable[[str | bytes], bool | None]) -> Choices:
    """Choices by which nothing happens to the topics that are clear; None is in doubt."""

    def choose(topic: str | bytes) -> object:
        found = is_clear(topic)
        return None if found is None else "something" if not found else False

    return Choices(choose)


def skim_of(name: str, version: int) -> tuple[Skim, bytes]:
    """The skim, and the header of its frames."""
    api = APIS[PRODUCE if name.startswith("Produce") else FETCH]
    if name.endswith("Response"):
        head = make_response_header(api, version, correlation_id=CORRELATION_ID)
        return (skim_produce_response if api.key == PRODUCE else skim_fetch_response)(api, version), head
    head = make_request_header(api, version, correlation_id=CORRELATION_ID, client_id="me")
    if api.key == PRODUCE:
        return skim_produce_request(version, head[8:]), head
    return skim_fetch_request(version, head[8:], limit_bytes=LIMIT), head


def walked(name: str, version: int, body: bytes) -> list[str | bytes] | None:
    """The topics that the walker sees in what may go on as it is; None if it may not."""
    try:
        message = KINDS[name].read(body, version)
    except MalformedMessage:
        return None
    if name.endswith("Response") and not message.node_endpoints.is_null:
        return None
    if name == "FetchRequest" and (
        message.max_bytes > LIMIT or any(one.max_bytes > LIMIT for topic in message.topics for one in topic.partitions)
    ):
        return None
    if name == "ProduceResponse":
        return []
    return [topic.topic_id if topic.name is None else topic.name for topic in message.topics]
