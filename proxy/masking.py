"""The records field of one partition: batches in, masked batches out.

    split -> read (CRC, bounded decompression, structure) -> mask the values -> rebuild

A batch in which no value changed keeps its original bytes. What is refused depends on the direction. A producer may
send neither control batches nor empty ones, nor message sets of the formats before batches, and its batches tile the
field. A broker's field may end in the middle of a batch; that tail is cut off, because it holds bytes that no mask has
seen, and the reader asks for it again. Old segments hold message sets, which are masked as batches are.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, cast

from wiremask.protocol.batch import Batch, BatchSpan, read_header, split_batches
from wiremask.protocol.errors import DecompressedTooLarge, InvalidRecords
from wiremask.proxy import metrics
from wiremask.rules.outcome import MaskedTooLarge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wiremask.protocol.legacy import MessageSet
    from wiremask.proxy.budget import Claim
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


class TooHeavy(Exception):
    """A batch expands beyond what may be worked on here and now; a worker thread has more room."""


class Work:
    """What masking one frame may take, and what it has come to.

    Counts are kept here and told to the metrics once, when the frame is done: work that a thread does over again is not
    counted twice.

    Args:
        limit_bytes: what one batch may expand to.
        is_final: whether a batch that expands beyond it is refused; otherwise `TooHeavy` asks for another attempt.
        charge: takes account of memory until the claim that it gives is released.
    """

    __slots__ = ("_done", "charge", "is_final", "limit_bytes")

    def __init__(self, *, limit_bytes: int, is_final: bool, charge: Callable[[int], Claim]) -> None:
        self.limit_bytes = limit_bytes
        self.is_final = is_final
        self.charge = charge
        self._done: list[tuple[TopicPlan, int, int, int, Sequence[int]]] = []

    def count(self, outcome: Outcome, plan: TopicPlan) -> None:
        """Adds what became of one batch."""
        self._done.append((plan, outcome.changed, outcome.unreadable, len(outcome.failures), outcome.masked))

    def tell(self) -> None:
        """Adds it all to the metrics."""
        with metrics.TELLING:
            for plan, changed, unreadable, refused, masked in self._done:
                for tally, count in (
                    (metrics.masked_values, changed),
                    (metrics.unreadable_values, unreadable),
                    (metrics.refused_values, refused),
                ):
                    if count:
                        tally.counts[plan.at] += count
                for rule, count in zip(plan.rules, masked, strict=True):
                    if count:
                        metrics.masked_fields.counts[rule.name, plan.at] += count


def mask_produced(records: memoryview, plan: TopicPlan, work: Work) -> Pieces | None:
    """Masks what a producer sent for one partition; None if no byte changes.

    Raises:
        RecordsError: with the code that the partition is to be answered with.
        TooHeavy: see `Work`.
    """
    spans = split_batches(records, partial_tail=False)
    if not spans:
        raise InvalidRecords("no record batch")
    pieces: Pieces = []
    for span in spans:
        if span.magic != BATCH_MAGIC:
            raise InvalidRecords(f"a producer may not send messages of format {span.magic}, only record batches")
        header = read_header(records, span.start)
        if header.control or header.empty:
            raise InvalidRecords("a producer may send neither control batches nor empty ones")
        pieces.append(_mask_batch(records, span, plan, work, dense_offsets=True))
    return pieces if any(isinstance(piece, bytes) for piece in pieces) else None


def mask_fetched(records: memoryview, plan: TopicPlan, work: Work) -> Pieces | None:
    """Masks what a broker sent of one partition, one piece a batch; None if no byte changes.

    Raises:
        RecordsError: with the code that the partition is to be answered with.
        TooHeavy: see `Work`.
    """
    spans = split_batches(records, partial_tail=True)
    pieces: Pieces = []
    for is_batch, run in groupby(spans, lambda span: span.magic == BATCH_MAGIC):
        if not is_batch:
            pieces += _mask_sets(records, list(run), plan, work)
            continue
        for span in run:
            header = read_header(records, span.start)
            if header.control or header.empty:
                pieces.append(records[span.start : span.end])
            else:
                pieces.append(_mask_batch(records, span, plan, work, dense_offsets=False))
    is_cut = (spans[-1].end if spans else 0) < len(records)
    return pieces if is_cut or any(isinstance(piece, bytes) for piece in pieces) else None


def _mask_batch(
    records: memoryview, span: BatchSpan, plan: TopicPlan, work: Work, *, dense_offsets: bool
) -> bytes | memoryview:
    """One batch: new bytes, or a view of the old where no value changed."""
    try:
        batch = Batch.read(records, span.start, span.end, limit_bytes=work.limit_bytes, dense_offsets=dense_offsets)
    except DecompressedTooLarge:
        if work.is_final:
            raise
        raise TooHeavy from None
    return _mask(batch, records[span.start : span.end], plan, work, is_compressed=batch.header.codec != 0)


def _mask_sets(
    records: memoryview, spans: Sequence[BatchSpan], plan: TopicPlan, work: Work
) -> Iterator[bytes | memoryview]:
    """Adjacent messages of the formats before batches, one piece a set."""
    from wiremask.protocol.legacy import MessageSet, split_sets  # noqa: PLC0415 - few processes ever see one

    for start, end in split_sets(records, spans):
        try:
            read = MessageSet.read(records, start, end, limit_bytes=work.limit_bytes)
        except DecompressedTooLarge:
            if work.is_final:
                raise
            raise TooHeavy from None
        yield _mask(read, records[start:end], plan, work, is_compressed=read.is_compressed)


def _mask(
    batch: Batch | MessageSet, original: memoryview, plan: TopicPlan, work: Work, *, is_compressed: bool
) -> bytes | memoryview:
    expanded = work.charge(len(memoryview(batch.section))) if is_compressed else None
    try:
        outcome = plan.mask(cast("memoryview", batch.section), batch.values)
        work.count(outcome, plan)
        if outcome.failures:
            raise RecordsRefused(outcome.failures, plan)
        if not outcome.changed:
            return original
        return batch.rebuild(values=(outcome.values, outcome.spans))
    except MaskedTooLarge as error:
        raise DecompressedTooLarge(str(error)) from error
    finally:
        if expanded is not None:
            expanded.release()


def _explain(failure: Failure, plan: TopicPlan) -> str:
    if failure.rule < 0:
        return f"the value is not JSON that a rule can be applied to ({failure.detail})"
    return f"rule {plan.rules[failure.rule].name}: a field cannot be masked ({failure.detail})"
