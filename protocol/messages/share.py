"""Share groups: records on their way to a member of one, and what it acknowledges (KIP-932)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wiremask.protocol.encode import INT32
from wiremask.protocol.fields import Int16, Int32, Many, Records, Uuid, put_elements
from wiremask.protocol.messages.node import Addresses, Node, put_addresses
from wiremask.protocol.view import Element, Message

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from wiremask.protocol.splice import Edits


class ShareFetchTopic(Element):
    """A topic that a ShareFetch request asks for, or acknowledges records of; always by id."""

    topic_id = Uuid("TopicId")


class ShareFetchRequest(Message):
    """A ShareFetch request; inside a share session it names only what changed, often nothing."""

    max_bytes = Int32("MaxBytes")
    topics = Many("Topics", ShareFetchTopic)
    forgotten_topics = Many("ForgottenTopicsData", ShareFetchTopic)

    def lowered(self, *, max_bytes: int) -> Buffer:
        """The body with its limit lowered to this: itself if it is not above, else one copy."""
        if self.max_bytes <= max_bytes:
            return self.walked.body
        body = bytearray(self.walked.body)
        INT32.pack_into(body, ShareFetchRequest.max_bytes.start(self), max_bytes)
        return body


class AcquiredRecords(Element):
    """A range of offsets that the member has acquired; not read further."""


class ShareFetchedPartition(Element):
    """A partition of a ShareFetch response; its records are views of the frame.

    Which records are acquired is not changed with them: a masked batch has the offsets of the one that it was made of.
    """

    index = Int32("PartitionIndex")
    error_code = Int16("ErrorCode")
    records = Records("Records")
    acquired = Many("AcquiredRecords", AcquiredRecords)

    def put_records(self, edits: Edits, *pieces: Buffer) -> None:
        """Put other records in the place of these; without pieces, none."""
        ShareFetchedPartition.records.put(edits, self, *pieces)

    def fail(self, edits: Edits, error_code: int) -> None:
        """Withhold the records with their acquisition, and say why; what became of acknowledgements stays.

        A record that is acquired and not there is a gap to a client, which would acknowledge it so, and the broker
        would archive it: lost. With nothing acquired there is nothing to acknowledge. The broker keeps its lock until
        `group.share.record.lock.duration.ms` is over, delivers the records again, and archives them only once
        `group.share.delivery.count.limit` is reached, as it does for a member that dies over them.

        Source: ShareCompletedFetch.fetchRecords, ShareFetchCollector.initialize (Kafka 4.3).
        """
        ShareFetchedPartition.error_code.put(edits, self, error_code)
        ShareFetchedPartition.records.put(edits, self)
        put_elements(edits, self.acquired, ())


class ShareFetchedTopic(Element):
    """A topic of a ShareFetch response; always by id."""

    name: Final = None
    topic_id = Uuid("TopicId")
    partitions = Many("Partitions", ShareFetchedPartition)


class ShareFetchResponse(Message):
    """A ShareFetch response; node endpoints (KIP-951) when a leader moved."""

    error_code = Int16("ErrorCode")
    topics = Many("Responses", ShareFetchedTopic)
    node_endpoints = Many("NodeEndpoints", Node)

    def put_addresses(self, edits: Edits, addresses: Addresses) -> None:
        """Rewrite the addresses of new leaders."""
        put_addresses(edits, self.node_endpoints, addresses)


class ShareAcknowledgeRequest(Message):
    """Acknowledgements apart from a ShareFetch; nothing of it is changed."""


class ShareAcknowledgeResponse(Message):
    """The answer to acknowledgements; node endpoints (KIP-951) when a leader moved."""

    error_code = Int16("ErrorCode")
    node_endpoints = Many("NodeEndpoints", Node)

    def put_addresses(self, edits: Edits, addresses: Addresses) -> None:
        """Rewrite the addresses of new leaders."""
        put_addresses(edits, self.node_endpoints, addresses)
