"""The records field of one partition: batches in, masked batches out.

    split -> read (CRC, bounded decompression, structure) -> mask the values -> rebuild

A batch in which no value changed keeps its original bytes. What is refused depends on the direction. A producer may
send neither control batches nor empty ones, and its batches tile the field. A broker's field may end in the middle of a
batch; that tail is cut off, because it holds bytes that no mask has seen, and the reader asks for it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from wiremask.protocol.batch import Batch, BatchSpan, read_header, split_batches
from wiremask.protocol.errors import DecompressedTooLarge, InvalidRecords, UnsupportedMagic
from wiremask.proxy import metrics
from wiremask.rules.outcome import MaskedTooLarge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules import Failure, Outcome, TopicPlan

BATCH_MAGIC = 2

Pieces = list[bytes | memoryview]


class RecordsRefused(InvalidRecords):
    """Values that a rule does not let pass.

    Attributes:
        record_errors: (index of the record in its batch, why), as a Produce response carries them.
    """

    def __init__(self, failures: Sequence[Failure], plan: TopicPlan) -> None:
        self.record_errors = tuple((failure.index, _explain(failure, plan)) for failure in failures)
        super().__init__(
            f"{len(failures)} record(s) refused; the first, at index {failures[0].index}: {self.record_errors[0][1]}"
        )


def mask_produced(records: memoryview, plan: TopicPlan, *, limit_bytes: int) -> Pieces | None:
    """Masks what a producer sent for one partition; None if no byte changes.

    Args:
        limit_bytes: what one batch may expand to.

    Raises:
        RecordsError: with the code that the partition is to be answered with.
    """
    spans = split_batches(records, partial_tail=False)
    if not spans:
        raise InvalidRecords("no record batch")
    pieces: Pieces = []
    for span in spans:
        _refuse_old_format(span)
        header = read_header(records, span.start)
        if header.control or header.empty:
            raise InvalidRecords("a producer may send neither control batches nor empty ones")
        pieces.append(_mask_batch(records, span, plan, limit_bytes=limit_bytes, dense_offsets=True))
    return pieces if any(isinstance(piece, bytes) for piece in pieces) else None


def mask_fetched(records: memoryview, plan: TopicPlan, *, limit_bytes: int) -> Pieces | None:
    """Masks what a broker sent of one partition; None if no byte changes.

    Raises:
        RecordsError: with the code that the partition is to be answered with.
    """
    spans = split_batches(records, partial_tail=True)
    pieces: Pieces = []
    for span in spans:
        _refuse_old_format(span)
        header = read_header(records, span.start)
        if header.control or header.empty:
            pieces.append(records[span.start : span.end])
        else:
            pieces.append(_mask_batch(records, span, plan, limit_bytes=limit_bytes, dense_offsets=False))
    is_cut = (spans[-1].end if spans else 0) < len(records)
    return pieces if is_cut or any(isinstance(piece, bytes) for piece in pieces) else None


def _mask_batch(
    records: memoryview, span: BatchSpan, plan: TopicPlan, *, limit_bytes: int, dense_offsets: bool
) -> bytes | memoryview:
    """One batch: new bytes, or a view of the old where no value changed."""
    batch = Batch.read(records, span.start, span.end, limit_bytes=limit_bytes, dense_offsets=dense_offsets)
    try:
        outcome = plan.mask(cast("memoryview", batch.section), batch.values)
    except MaskedTooLarge as error:
        raise DecompressedTooLarge(str(error)) from error
    if outcome.failures:
        metrics.refused_values.labels(plan.at).inc(len(outcome.failures))
        raise RecordsRefused(outcome.failures, plan)
    if not outcome.changed:
        return records[span.start : span.end]
    _count(outcome, plan)
    return batch.rebuild(values=(outcome.values, outcome.spans))


def _refuse_old_format(span: BatchSpan) -> None:
    if span.magic != BATCH_MAGIC:
        raise UnsupportedMagic(f"records of message format {span.magic} are not read yet; the topic has a rule")


def _count(outcome: Outcome, plan: TopicPlan) -> None:
    metrics.masked_values.labels(plan.at).inc(outcome.changed)
    if outcome.unreadable:
        metrics.unreadable_values.labels(plan.at).inc(outcome.unreadable)
    for rule, count in zip(plan.rules, outcome.masked, strict=True):
        if count:
            metrics.masked_fields.labels(rule.name, plan.at).inc(count)


def _explain(failure: Failure, plan: TopicPlan) -> str:
    if failure.rule < 0:
        return f"the value is not JSON that a rule can be applied to ({failure.detail})"
    return f"rule {plan.rules[failure.rule].name}: a field cannot be masked ({failure.detail})"
