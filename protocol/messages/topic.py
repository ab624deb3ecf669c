"""Topic ids and names: responses that teach which belongs to which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wiremask.protocol.fields import Int16, Many, OptionalText, Uuid
from wiremask.protocol.view import Element, Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NO_TOPIC_ID: Final = bytes(16)


class NamedTopic(Element):
    """A topic of a response with both its name and its id, as far as the broker knows and tells them."""

    error_code = Int16("ErrorCode")
    name = OptionalText("Name")
    topic_id = Uuid("TopicId")


def topic_names(topics: Iterable[NamedTopic]) -> Iterator[tuple[bytes, str]]:
    """The (id, name) pairs that the topics teach; those with an error, no name or the zero id teach nothing."""
    for topic in topics:
        topic_id, name = topic.topic_id, topic.name
        if topic.error_code == 0 and name and topic_id is not None and topic_id != NO_TOPIC_ID:
            yield topic_id, name


class CreateTopicsRequest(Message):
    """The topics that are to be made; nothing of it is changed."""


class CreateTopicsResponse(Message):
    """The answer to CreateTopics; has ids from version 7 on."""

    topics = Many("Topics", NamedTopic)


class DescribeTopicPartitionsRequest(Message):
    """The topics that an admin client asks about; nothing of it is changed."""


class DescribeTopicPartitionsResponse(Message):
    """The answer to DescribeTopicPartitions (KIP-966)."""

    topics = Many("Topics", NamedTopic)
