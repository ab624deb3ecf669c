"""Metadata: where the brokers are, and which id is which topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.encode import encode
from wiremask.protocol.fields import Int32, Many, OptionalText
from wiremask.protocol.messages.node import Addresses, Node, put_addresses
from wiremask.protocol.messages.topic import NamedTopic
from wiremask.protocol.view import Message

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wiremask.protocol.splice import Edits


class MetadataRequest(Message):
    """Which topics a client asks about; nothing of it is changed."""


class MetadataResponse(Message):
    """Brokers and topics of a cluster; the cluster id is there from version 2 on."""

    brokers = Many("Brokers", Node)
    cluster_id = OptionalText("ClusterId")
    controller_id = Int32("ControllerId")
    topics = Many("Topics", NamedTopic)

    def put_addresses(self, edits: Edits, addresses: Addresses) -> None:
        """Rewrite the addresses of all brokers."""
        put_addresses(edits, self.brokers, addresses)


def make_brokers_request(version: int) -> bytes:
    """The body of a Metadata request that asks for the brokers and no topic.

    Raises:
        ValueError: version 0, in which no topics means all of them.
    """
    if version == 0:
        raise ValueError("Metadata 0 cannot ask for no topics")
    return encode("MetadataRequest", version, {"Topics": (), "AllowAutoTopicCreation": False})


def make_topics_request(version: int, topic_ids: Iterable[bytes]) -> bytes:
    """The body of a Metadata request that asks for topics by id; it creates none.

    Raises:
        ValueError: a version before 12, in which brokers cannot look topics up by id (KIP-516).
    """
    if version < 12:
        raise ValueError(f"Metadata {version} cannot ask by topic id")
    topics = [{"TopicId": topic_id, "Name": None} for topic_id in topic_ids]
    return encode("MetadataRequest", version, {"Topics": topics, "AllowAutoTopicCreation": False})
