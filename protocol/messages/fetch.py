"""Fetch: records on their way to a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.encode import INT32
from wiremask.protocol.fields import Int16, Int32, Many, OptionalText, Records, Uuid
from wiremask.protocol.messages.node import Addresses, Node, put_addresses
from wiremask.protocol.view import Element, Message

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wiremask.protocol.splice import Edits


class FetchPartition(Element):
    """A partition that a Fetch request asks for."""

    index = Int32("Partition")
    max_bytes = Int32("PartitionMaxBytes")


class FetchTopic(Element):
    """A topic that a Fetch request asks for, by name up to version 12 and by id from 13 on."""

    name = OptionalText("Topic")
    topic_id = Uuid("TopicId")
    partitions = Many("Partitions", FetchPartition)


class ForgottenTopic(Element):
    """A topic of which the fetch session (KIP-227) drops partitions."""

    name = OptionalText("Topic")
    topic_id = Uuid("TopicId")


class FetchRequest(Message):
    """A Fetch request; inside a fetch session it names only what changed, often nothing."""

    max_bytes = Int32("MaxBytes")
    topics = Many("Topics", FetchTopic)
    forgotten_topics = Many("ForgottenTopicsData", ForgottenTopic)

    def lowered(self, *, max_bytes: int, partition_max_bytes: int) -> Buffer:
        """The body with its limits lowered to these: itself if none is above them, else one copy."""
        patches: list[tuple[int, int]] = []
        if self.max_bytes > max_bytes:
            patches.append((FetchRequest.max_bytes.start(self), max_bytes))
        patches.extend(
            (FetchPartition.max_bytes.start(partition), partition_max_bytes)
            for topic in self.topics
            for partition in topic.partitions
            if partition.max_bytes > partition_max_bytes
        )
        if not patches:
            return self.walked.body
        body = bytearray(self.walked.body)
        for start, limit in patches:
            INT32.pack_into(body, start, limit)
        return body


class FetchedPartition(Element):
    """A partition of a Fetch response; its records are views of the frame."""

    index = Int32("PartitionIndex")
    error_code = Int16("ErrorCode")
    records = Records("Records")

    def put_records(self, edits: Edits, *pieces: Buffer) -> None:
        """Put other records in the place of these; without pieces, none."""
        FetchedPartition.records.put(edits, self, *pieces)

    def fail(self, edits: Edits, error_code: int) -> None:
        """Withhold the records, and say why."""
        FetchedPartition.error_code.put(edits, self, error_code)
        FetchedPartition.records.put(edits, self)


class FetchedTopic(Element):
    """A topic of a Fetch response, by name up to version 12 and by id from 13 on."""

    name = OptionalText("Topic")
    topic_id = Uuid("TopicId")
    partitions = Many("Partitions", FetchedPartition)


class FetchResponse(Message):
    """A Fetch response; node endpoints (KIP-951) from version 16 on, when a leader moved."""

    error_code = Int16("ErrorCode")
    topics = Many("Responses", FetchedTopic)
    node_endpoints = Many("NodeEndpoints", Node)

    def put_addresses(self, edits: Edits, addresses: Addresses) -> None:
        """Rewrite the addresses of new leaders."""
        if not self.node_endpoints.is_null:
            put_addresses(edits, self.node_endpoints, addresses)
