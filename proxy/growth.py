"""Masks can make records larger: a hash is longer than what it hides. What follows from it, each way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.errors import ErrorCode
from wiremask.protocol.splice import size_of
from wiremask.proxy import metrics
from wiremask.proxy.log import logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.protocol.messages.fetch import FetchedPartition
    from wiremask.protocol.messages.produce import ProduceResponse
    from wiremask.protocol.messages.share import ShareFetchedPartition
    from wiremask.proxy.session import Session

_log = logger()


def leave_out_what_outgrew(
    masked: Sequence[tuple[FetchedPartition | ShareFetchedPartition, list[bytes | memoryview]]],
    *,
    size: int,
    max_bytes: int | None,
) -> None:
    """Leaves out whole batches at the end that masks made too large for the reader, who asks for them again.

    The first batch stays, however large it is: a broker does the same, so that a reader is never stuck.
    """
    grown = sum(size_of(batches) - len(partition.records or b"") for partition, batches in masked)
    if max_bytes is None or grown <= 0:
        return
    excess = min(grown, size + grown - max_bytes)
    for position, (_, batches) in reversed(tuple(enumerate(masked))):
        while excess > 0 and len(batches) > (position == 0):
            excess -= len(batches.pop())


def tell_outgrown(session: Session, response: ProduceResponse, *, grown_bytes: int) -> None:
    """A broker that finds a batch too large sees what the masks made of it, which its producer cannot know."""
    too_large = [
        (topic.key, partition.index)
        for topic in response.topics
        for partition in topic.partitions
        if partition.error_code == ErrorCode.MESSAGE_TOO_LARGE
    ]
    if too_large:
        topic, partition = too_large[0]
        metrics.outgrown_partitions.inc(len(too_large))
        _log.warning(
            "masked records are too large for the broker",
            session=session.number,
            topic=topic if isinstance(topic, str) else topic.hex(),
            partition=partition,
            count=len(too_large),
            bytes=grown_bytes,
            reason="masks added this many bytes to the request; raise max.message.bytes of the topic",
        )
