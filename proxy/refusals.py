"""What is not forwarded, and how clients and operators are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.protocol.errors import ErrorCode, ProtocolError, RecordsError
from wiremask.protocol.messages.produce import PartitionRefusal
from wiremask.proxy import metrics
from wiremask.proxy.log import logger
from wiremask.proxy.masking import RecordsRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.proxy.session import Session
    from wiremask.rules import Direction

_log = logger()


class TopicUnknown(RecordsError):
    """No broker told the name of a topic id, so nobody can say which rules cover its records."""

    kafka_code = ErrorCode.UNKNOWN_TOPIC_ID


class RulesUnfit(ProtocolError):
    """Rules that met first on this topic cannot be compiled together."""


class LoginUnfinished(ProtocolError):
    """A request came before the broker had let the client in."""


def refusal(topic: str | bytes | None, partition: int, error: RecordsError) -> PartitionRefusal:
    """The answer for one partition."""
    assert topic is not None, "a topic has a name or an id"
    return PartitionRefusal(
        topic=topic,
        index=partition,
        error_code=error.kafka_code,
        message=f"wiremask: {error}",
        record_errors=error.record_errors if isinstance(error, RecordsRefused) else (),
    )


def code_for_reader(error: RecordsError) -> ErrorCode:
    """The code of a partition whose records a reader does not get.

    Readers expect few codes there and no other: Java's fail with an illegal state on one that no broker sends. What
    cannot be read is corrupt to them, whatever the cause; the log names it.

    Source: FetchCollector and ShareFetchCollector, handleInitializeErrors (Kafka 4.3).
    """
    return ErrorCode.UNKNOWN_TOPIC_ID if error.kafka_code == ErrorCode.UNKNOWN_TOPIC_ID else ErrorCode.CORRUPT_MESSAGE


def tell_refused(session: Session, at: Direction, refusals: Sequence[PartitionRefusal]) -> None:
    """One log line for a frame, however many partitions it has; the counter has them all."""
    for refusal in refusals:
        metrics.refused_partitions.labels(at, ErrorCode(refusal.error_code).name).inc()
    first = refusals[0]
    _log.warning(
        f"{at} refused",
        session=session.number,
        client_id=session.client_id,
        principal=session.identity.principal,
        topic=first.topic if isinstance(first.topic, str) else first.topic.hex(),
        partition=first.index,
        count=len(refusals),
        error=first.message,
    )
