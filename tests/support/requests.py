"""Whole request frames and their answers, made and read with kafka-python's codecs (Kafka's own schemas)."""

from __future__ import annotations

import struct
import uuid
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

with warnings.catch_warnings():
    # It loads its schemas with importlib.resources.read_text, and warnings are errors here.
    warnings.simplefilter("ignore", DeprecationWarning)
    from kafka.protocol.consumer import FetchRequest, FetchResponse
    from kafka.protocol.metadata import MetadataRequest, MetadataResponse
    from kafka.protocol.producer import ProduceRequest, ProduceResponse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.capture import RawClient

PRODUCE, FETCH, METADATA = 0, 1, 3
TOPIC_IDS_FROM = 13
"""Produce and Fetch name topics by id from this version on."""

LAST_PRODUCE = 13
LAST_FETCH = 18
CLIENT_ID = "raw"
PLAIN_CORRELATION_ID = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """The answer for one partition."""

    error_code: int
    base_offset: int
    record_errors: tuple[tuple[int, str | None], ...]
    message: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The answer for one partition."""

    error_code: int
    high_watermark: int
    records: bytes
    preferred_read_replica: int


def plain_frame(api_key: int, version: int, body: bytes = b"", *, flexible: bool = False) -> bytes:
    """A request frame of any kind around `body`; `flexible` adds the (empty) tagged fields of request header 2."""
    name = CLIENT_ID.encode()
    header = (
        struct.pack(">hhih", api_key, version, PLAIN_CORRELATION_ID, len(name)) + name + (b"\x00" if flexible else b"")
    )
    return struct.pack(">i", len(header) + len(body)) + header + body


def produce_frame(
    topic: str | uuid.UUID,
    records: bytes | Mapping[int, bytes],
    *,
    version: int = 9,
    acks: int = -1,
    correlation_id: int = 1,
) -> bytes:
    """A Produce request for one topic; bytes go to partition 0. A topic id needs version 13 and later, a name 12 and earlier."""
    named = {"topic_id": topic} if isinstance(topic, uuid.UUID) else {"name": topic}
    partitions = records if not isinstance(records, bytes) else {0: records}
    topic_data = ProduceRequest.TopicProduceData
    request = ProduceRequest(
        version=version,
        transactional_id=None,
        acks=acks,
        timeout_ms=20_000,
        topic_data=[
            topic_data(
                version=version,
                partition_data=[
                    topic_data.PartitionProduceData(version=version, index=index, records=content)
                    for index, content in partitions.items()
                ],
                **named,
            )
        ],
    )
    request.with_header(correlation_id, CLIENT_ID)
    return bytes(request.encode(header=True, framed=True))


def read_produced(answer: bytes, version: int) -> dict[int, Produced]:
    """The partitions of a Produce response (a frame without its size)."""
    response = ProduceResponse.decode(answer, version=version, header=True)
    return {
        partition.index: Produced(
            error_code=partition.error_code,
            base_offset=partition.base_offset,
            record_errors=tuple(
                (error.batch_index, error.batch_index_error_message) for error in partition.record_errors or ()
            )
            if version >= 8
            else (),
            message=partition.error_message if version >= 8 else None,
        )
        for topic in response.responses
        for partition in topic.partition_responses
    }


def read_endpoints(answer: bytes, version: int) -> dict[int, tuple[str, int]]:
    """The leaders' addresses that a Produce response names (KIP-951)."""
    if version < 10:
        return {}
    response = ProduceResponse.decode(answer, version=version, header=True)
    return {node.node_id: (node.host, node.port) for node in response.node_endpoints or ()}


def fetch_frame(
    topic: str | uuid.UUID | None,
    *,
    partition: int = 0,
    offset: int = 0,
    version: int = 11,
    max_bytes: int = 50_000_000,
    partition_max_bytes: int = 50_000_000,
    wait_ms: int = 500,
    correlation_id: int = 1,
    session: tuple[int, int] = (0, -1),
    rack: str = "",
    committed: bool = False,
) -> bytes:
    """A Fetch request. A topic id needs version 13 and later, a name 12 and earlier.

    Args:
        topic: None adds no partition to those of the session.
        session: id and epoch of a fetch session (KIP-227); without one by default, (0, 0) opens one.
        rack: where the reader is (KIP-392), from version 11 on.
        committed: reads no record of an open or aborted transaction.
    """
    named = {"topic_id": topic} if isinstance(topic, uuid.UUID) else {"topic": topic}
    topics = FetchRequest.FetchTopic
    wanted = topics.FetchPartition(
        version=version,
        partition=partition,
        current_leader_epoch=-1,
        fetch_offset=offset,
        last_fetched_epoch=-1,
        log_start_offset=-1,
        partition_max_bytes=partition_max_bytes,
    )
    request = FetchRequest(
        version=version,
        replica_id=-1,
        max_wait_ms=wait_ms,
        min_bytes=1,
        max_bytes=max_bytes,
        isolation_level=int(committed),
        session_id=session[0],
        session_epoch=session[1],
        topics=[] if topic is None else [topics(version=version, partitions=[wanted], **named)],
        forgotten_topics_data=[],
        rack_id=rack,
    )
    request.with_header(correlation_id, CLIENT_ID)
    return bytes(request.encode(header=True, framed=True))


def read_fetched(answer: bytes, version: int) -> dict[int, Fetched]:
    """The partitions of a Fetch response (a frame without its size)."""
    response = FetchResponse.decode(answer, version=version, header=True)
    return {
        partition.partition_index: Fetched(
            error_code=partition.error_code,
            high_watermark=partition.high_watermark,
            records=bytes(partition.records or b""),
            preferred_read_replica=partition.preferred_read_replica if version >= 11 else -1,
        )
        for topic in response.responses
        for partition in topic.partitions
    }


def session_id(answer: bytes, version: int) -> int:
    """The fetch session that a Fetch response belongs to; 0 for none."""
    found: int = FetchResponse.decode(answer, version=version, header=True).session_id
    return found


def read_fetch_endpoints(answer: bytes, version: int) -> dict[int, tuple[str, int]]:
    """The leaders' addresses that a Fetch response names (KIP-951)."""
    if version < 16:
        return {}
    response = FetchResponse.decode(answer, version=version, header=True)
    return {node.node_id: (node.host, node.port) for node in response.node_endpoints or ()}


def ask_produce(
    client: RawClient, topic: str | uuid.UUID, records: bytes | Mapping[int, bytes], *, version: int = 9
) -> dict[int, Produced]:
    """Produces and reads the answer.

    Raises:
        ConnectionError: the connection was closed instead.
    """
    return read_produced(client.ask(produce_frame(topic, records, version=version)), version)


def ask_fetch(
    client: RawClient, topic: str | uuid.UUID, *, version: int = 11, offset: int = 0, max_bytes: int = 50_000_000
) -> Fetched:
    """Fetches partition 0 and reads the answer.

    Raises:
        ConnectionError: the connection was closed instead.
    """
    frame = fetch_frame(topic, version=version, offset=offset, max_bytes=max_bytes, partition_max_bytes=max_bytes)
    return read_fetched(client.ask(frame), version)[0]


def topic_id(client: RawClient, topic: str) -> uuid.UUID:
    """The id of a topic, by Metadata 12."""
    request = MetadataRequest(
        version=12,
        topics=[MetadataRequest.MetadataRequestTopic(version=12, topic_id=uuid.UUID(int=0), name=topic)],
        allow_auto_topic_creation=False,
        include_topic_authorized_operations=False,
    )
    request.with_header(1, CLIENT_ID)
    answer = client.ask(bytes(request.encode(header=True, framed=True)))
    (found,) = MetadataResponse.decode(answer, version=12, header=True).topics
    identity: uuid.UUID = found.topic_id
    return identity


def brokers_told(client: RawClient) -> dict[int, tuple[str, int]]:
    """The broker addresses that a Metadata response gives."""
    request = MetadataRequest(version=1, topics=[])
    request.with_header(1, CLIENT_ID)
    answer = client.ask(bytes(request.encode(header=True, framed=True)))
    return {
        broker.node_id: (broker.host, broker.port)
        for broker in MetadataResponse.decode(answer, version=1, header=True).brokers
    }
