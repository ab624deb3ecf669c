"""Produce: records on their way to the broker, and what became of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wiremask.protocol.encode import encode, encode_struct
from wiremask.protocol.fields import Int16, Int32, Many, OptionalText, Records, Uuid, append_elements, put_count
from wiremask.protocol.messages.node import Addresses, Node, put_addresses
from wiremask.protocol.schema import load
from wiremask.protocol.splice import Edits, Replacement
from wiremask.protocol.view import Element, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from typing_extensions import Buffer


class ProducePartition(Element):
    """A partition that records are for; they are a view of the frame."""

    index = Int32("Index")
    records = Records("Records")


class ProduceTopic(Element):
    """A topic that records are for, by name up to version 12 and by id from 13 on."""

    name = OptionalText("Name")
    topic_id = Uuid("TopicId")
    partitions = Many("PartitionData", ProducePartition)

    @property
    def key(self) -> str | bytes:
        """Its id or its name, whichever the version has."""
        return self.topic_id or self.name or ""


class ProduceRequest(Message):
    """A Produce request; with acks 0 it has no response."""

    transactional_id = OptionalText("TransactionalId")
    acks = Int16("Acks")
    topics = Many("TopicData", ProduceTopic)

    def edit(self) -> ProduceEdits:
        """A new, empty set of edits of this body."""
        return ProduceEdits(self)


class ProduceEdits(Edits):
    """Edits of a Produce request: other records for a partition, or none and no partition."""

    def __init__(self, request: ProduceRequest) -> None:
        super().__init__(request.walked.body)
        self._request = request
        self._removed: defaultdict[int, dict[int, ProducePartition]] = defaultdict(dict)  # by row of the topic

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self._removed) or super().__bool__()

    def put_records(self, partition: ProducePartition, *pieces: Buffer) -> None:
        """Put other records in the place of a partition's; the pieces are kept, not copied."""
        ProducePartition.records.put(self, partition, *pieces)

    def remove(self, topic: ProduceTopic, partition: ProducePartition) -> None:
        """Leave a partition out; a topic of which none is left disappears. Its records may not have been put too."""
        self._removed[topic.row][partition.row] = partition

    @property
    def is_empty(self) -> bool:
        """Whether all that came was removed, so that there is nothing to forward."""
        return bool(self._removed) and all(self._is_gone(topic) for topic in self._request.topics)

    def replacements(self) -> list[Replacement]:
        """All replacements, those that remove partitions and topics too, in no order."""
        if not self._removed:
            return super().replacements()
        topics = self._request.topics
        removals = Edits(self._request.walked.body)
        gone = 0
        for topic in topics:
            if self._is_gone(topic):
                gone += 1
                removals.replace(*topic.span)
            elif removed := self._removed.get(topic.row):
                put_count(removals, topic.partitions, len(topic.partitions) - len(removed))
                for partition in removed.values():
                    removals.replace(*partition.span)
        if gone:
            put_count(removals, topics, len(topics) - gone)
        return super().replacements() + removals.replacements()

    def _is_gone(self, topic: ProduceTopic) -> bool:
        """A topic that came without partitions is no work of ours, and stays."""
        removed = self._removed.get(topic.row)
        return removed is not None and len(removed) == len(topic.partitions)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionRefusal:
    """A partition whose records the proxy did not forward; `topic` is the key of its topic in the request.

    `record_errors` are (index of the record in its batch, message). From version 8 on they reach clients, as the
    message does.
    """

    topic: str | bytes
    index: int
    error_code: int
    message: str | None = None
    record_errors: tuple[tuple[int, str | None], ...] = ()


class ProducedPartition(Element):
    """What became of a partition's records."""

    index = Int32("Index")
    error_code = Int16("ErrorCode")


class ProducedTopic(Element):
    """A topic of a Produce response, by name up to version 12 and by id from 13 on."""

    name = OptionalText("Name")
    topic_id = Uuid("TopicId")
    partitions = Many("PartitionResponses", ProducedPartition)

    @property
    def key(self) -> str | bytes:
        """Its id or its name, whichever the version has."""
        return self.topic_id or self.name or ""


class ProduceResponse(Message):
    """A Produce response; node endpoints (KIP-951) from version 10 on, when a leader moved."""

    topics = Many("Responses", ProducedTopic)
    node_endpoints = Many("NodeEndpoints", Node)

    def put_addresses(self, edits: Edits, addresses: Addresses) -> None:
        """Rewrite the addresses of new leaders."""
        if not self.node_endpoints.is_null:
            put_addresses(edits, self.node_endpoints, addresses)

    def merge(self, edits: Edits, refusals: Iterable[PartitionRefusal]) -> None:
        """Add the partitions that the proxy refused to those that the broker answered for."""
        by_topic = _by_topic(refusals)
        for topic in self.topics:
            refused = by_topic.pop(topic.key, ())
            if refused:
                append_elements(
                    edits, topic.partitions, [_encode_partition(refusal, self.version) for refusal in refused]
                )
        if by_topic:
            append_elements(
                edits, self.topics, [_encode_topic(name, new, self.version) for name, new in by_topic.items()]
            )


def make_produce_response(version: int, refusals: Iterable[PartitionRefusal]) -> bytes:
    """The body of a response to a request of which nothing was forwarded."""
    topics = [_topic(name, refused) for name, refused in _by_topic(refusals).items()]
    return encode("ProduceResponse", version, {"Responses": topics})


def _by_topic(refusals: Iterable[PartitionRefusal]) -> dict[str | bytes, Sequence[PartitionRefusal]]:
    grouped: defaultdict[str | bytes, list[PartitionRefusal]] = defaultdict(list)
    for refusal in refusals:
        grouped[refusal.topic].append(refusal)
    return dict(grouped)


def _topic(name: str | bytes, refusals: Sequence[PartitionRefusal]) -> dict[str, Any]:
    named = {"TopicId": name} if isinstance(name, bytes) else {"Name": name}
    return {**named, "PartitionResponses": [_partition(refusal) for refusal in refusals]}


def _partition(refusal: PartitionRefusal) -> dict[str, Any]:
    return {
        "Index": refusal.index,
        "ErrorCode": refusal.error_code,
        "BaseOffset": -1,
        "RecordErrors": [
            {"BatchIndex": index, "BatchIndexErrorMessage": message} for index, message in refusal.record_errors
        ],
        "ErrorMessage": refusal.message,
    }


def _encode_topic(name: str | bytes, refusals: Sequence[PartitionRefusal], version: int) -> bytes:
    schema = load("ProduceResponse")
    fields = schema.field("Responses").fields
    return encode_struct(fields, version, _topic(name, refusals), flexible=version in schema.flexible)


def _encode_partition(refusal: PartitionRefusal, version: int) -> bytes:
    schema = load("ProduceResponse")
    fields = schema.field("Responses", "PartitionResponses").fields
    return encode_struct(fields, version, _partition(refusal), flexible=version in schema.flexible)
