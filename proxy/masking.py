"""The records field of one partition: batches in, masked batches out.

    split -> read (CRC, bounded decompression, structure) -> mask values, keys and headers -> rebuild

A batch in which nothing changed keeps its original bytes. What is refused depends on the direction. A producer may
send neither control batches nor empty ones, nor message sets of the formats before batches, and its batches tile the
field. A broker's field may end in the middle of a batch; that tail is cut off, because it holds bytes that no mask has
seen, and the reader asks for it again. Old segments hold message sets, which are masked as batches are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from wiremask.protocol.batch import Batch, BatchSpan, read_header, split_batches
from wiremask.protocol.errors import DecompressedTooLarge, ErrorCode, InvalidRecords, RecordsError
from wiremask.proxy import metrics
from wiremask.proxy.plainmask import mask_plain
from wiremask.proxy.tally import tell_masked, tell_observed
from wiremask.rules.outcome import MaskedTooLarge, Reason
from wiremask.rules.records.batch import RecordCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wiremask.protocol.batch import BatchHeader
    from wiremask.protocol.legacy import MessageSet
    from wiremask.proxy.budget import Claim
    from wiremask.rules import Failure, TopicPlan
    from wiremask.rules.observers import Observation
    from wiremask.rules.records.batch import PartName, Records, RecordsOutcome

BATCH_MAGIC = 2
RATIO_FREE_BYTES = 8 << 20

LIGHT = 8
"""A frame may be so many times larger, or expand so much further, if the kernel masks all of it alone. For the work on
it to change to another thread, and its bytes to another core's cache, costs as much as to mask them."""

EXPANDED_TIMES = 3
"""What is expanded is there so often while it is masked: as it came, its masked values, and the section with them."""

BATCHES_AT_ONCE = 4096
"""What a batch costs beside its bytes adds up: a frame of more batches is worked on by a thread."""

HEADERS_LIMIT = 1_000_000
"""A header can be as small as two bytes, and what is known of one takes many more; producers send a few a record."""

Pieces = list[bytes | memoryview]


class TooManyHeaders(InvalidRecords):
    """A batch with more headers than are looked at."""


class RecordsRefused(InvalidRecords):
    """Records that a rule does not let pass.

    Attributes:
        record_errors: (index of the record in its batch, why), as a Produce response carries them.
    """

    def __init__(self, failures: Sequence[tuple[PartName, Failure]], plan: TopicPlan) -> None:
        self.record_errors = tuple((failure.index, _explain(part, failure, plan)) for part, failure in failures)
        index, why = self.record_errors[0]
        super().__init__(f"{len(failures)} record(s) refused; the first, at index {index}: {why}")


class TooHeavy(Exception):
    """More batches, or a longer expansion, than may be worked on here and now; a worker thread has more room."""


class TooManyRecords(RecordsError):
    """More records in a batch than `limits.recordsPerBatch`."""

    kafka_code = ErrorCode.MESSAGE_TOO_LARGE


class Outgrown(RecordsError):
    """Masks made more of a frame than `limits.frameBytes`."""

    kafka_code = ErrorCode.MESSAGE_TOO_LARGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What masking one frame may take in one attempt.

    Attributes:
        limit_bytes: what one batch may expand to; if the attempt is not final, all batches together (`LIGHT` times as
            much where they are).
        is_final: whether a batch that expands beyond it is refused; otherwise `TooHeavy` asks for another attempt.
        charge: takes account of memory until the claim that it gives is released.
        ratio: how many times its own size a section may expand to, once that is beyond RATIO_FREE_BYTES.
        records: the most that a batch may have.
        headers: the most that one of its records may have, where a rule looks at them.
        output_bytes: what all records of the frame may be masked to.
    """

    limit_bytes: int
    is_final: bool
    charge: Callable[[int], Claim]
    ratio: int = 1_000
    records: int = 1_000_000
    headers: int = 10_000
    output_bytes: int = 2**31 - 1


class Work:
    """What masking one frame has come to in one attempt, and what it still may take.

    Counts are kept here and told to the metrics once, when the frame is done: work that a thread does over again is not
    counted twice.

    Attributes:
        may: what the attempt may take.
        made_bytes: what records were masked to so far.
        enough_bytes: a reader who has got so much asks again for what is left out; None if nothing may be.
    """

    __slots__ = ("_batches", "_done", "_expanded_bytes", "_observed", "enough_bytes", "made_bytes", "may")

    def __init__(self, may: Allowance) -> None:
        self.may = may
        self.made_bytes = 0
        self.enough_bytes: int | None = None
        self._batches = 0
        self._expanded_bytes = 0
        self._done: list[tuple[TopicPlan, RecordCounts]] = []
        self._observed: list[tuple[TopicPlan, list[Observation]]] = []

    def room_for(self, size: int) -> int:
        """What so many bytes may expand to: for what has expanded very far, its ratio decides."""
        return min(self.may.limit_bytes, max(RATIO_FREE_BYTES, self.may.ratio * size))

    def begin(self, batches: int) -> None:
        """Begins a field of so many batches.

        Raises:
            TooHeavy: with those before, they are too many for here and now.
        """
        self._batches += batches
        if self._batches > BATCHES_AT_ONCE and not self.may.is_final:
            raise TooHeavy

    def reserve(self, limit_bytes: int) -> Claim:
        """Takes account of what a batch may expand to, until the claim is released."""
        return self.may.charge(limit_bytes)

    def expanded(self, count: int, reserved: Claim, plan: TopicPlan) -> None:
        """Takes account of what a batch did expand to.

        Raises:
            TooHeavy: with those before, it is too much for here and now.
        """
        self._expanded_bytes += count
        if self._expanded_bytes > self.may.limit_bytes * (LIGHT if plan.is_light else 1) and not self.may.is_final:
            raise TooHeavy
        reserved.expanded(EXPANDED_TIMES * count)

    def made(self, piece: bytes | memoryview) -> None:
        """Takes account of a batch as it leaves.

        Raises:
            Outgrown: with those before, it is more than a frame may be.
        """
        self.made_bytes += len(piece)
        if self.made_bytes > self.may.output_bytes and self.enough_bytes is None:
            raise Outgrown(f"masks made more than {self.may.output_bytes} bytes of a frame (limits.frameBytes)")

    @property
    def is_enough(self) -> bool:
        """Whether what is left of the frame is left out: masks have made enough of it."""
        return self.enough_bytes is not None and self.made_bytes > self.enough_bytes

    def count(self, counts: RecordCounts, plan: TopicPlan) -> None:
        """Adds what became of one batch, or of several."""
        self._done.append((plan, counts))

    def observe(self, records: Records, plan: TopicPlan) -> None:
        """Adds what the rules would do to a batch that only observe."""
        if plan.observers:
            self._observed.append((plan, [observer.observe(records) for observer in plan.observers]))

    def tell(self) -> None:
        """Adds it all to the metrics."""
        with metrics.TELLING:
            for plan, counts in self._done:
                tell_masked(counts, plan)
            for plan, observations in self._observed:
                tell_observed(observations, plan.at)


def mask_produced(records: memoryview, plan: TopicPlan, work: Work) -> Pieces | None:
    """Masks what a producer sent for one partition; None if no byte changes.

    Raises:
        RecordsError: with the code that the partition is to be answered with.
        TooHeavy: see `Work`.
    """
    if (plain := _mask_plain(records, plan, work)) is not None:
        return plain.pieces
    spans = split_batches(records, partial_tail=False)
    if not spans:
        raise InvalidRecords("no record batch")
    work.begin(len(spans))
    pieces: Pieces = []
    for span in spans:
        if span.magic != BATCH_MAGIC:
            raise InvalidRecords(f"a producer may not send messages of format {span.magic}, only record batches")
        header = read_header(records, span.start)
        if header.control or header.empty:
            raise InvalidRecords("a producer may send neither control batches nor empty ones")
        _check_count(header, work)
        pieces.append(_mask_batch(records, span, header, plan, work))
        work.made(pieces[-1])
    return pieces if any(isinstance(piece, bytes) for piece in pieces) else None


def mask_fetched(records: memoryview, plan: TopicPlan, work: Work) -> Pieces | None:
    """Masks what a broker sent of one partition, one piece a batch; None if no byte changes.

    Raises:
        RecordsError: with the code that the partition is to be answered with.
        TooHeavy: see `Work`.
    """
    if (plain := _mask_plain(records, plan, work)) is not None:
        return plain.pieces
    spans = split_batches(records, partial_tail=True)
    work.begin(len(spans))
    pieces: Pieces = []
    is_cut = (spans[-1].end if spans else 0) < len(records)
    masked = _fetched(records, spans, plan, work)
    while not work.is_enough and (piece := next(masked, None)) is not None:
        pieces.append(piece)
        work.made(piece)
    return pieces if is_cut or work.is_enough or any(isinstance(piece, bytes) for piece in pieces) else None


class _Plain(NamedTuple):
    pieces: Pieces | None


def _mask_plain(records: memoryview, plan: TopicPlan, work: Work) -> _Plain | None:
    """The short form of all that is below, for plain batches; None where it must be gone through."""
    if plan.kernel is None or work.enough_bytes is not None:
        return None
    masked = mask_plain(
        records,
        plan.kernel,
        is_produced=plan.at == "produce",
        records_limit=work.may.records,
        limit_bytes=work.may.output_bytes,
    )
    if masked is None:
        return None
    content, batches, changed, unreadable, fields = masked
    work.begin(batches)
    work.count(RecordCounts(parts=[(changed, unreadable, fields)], failures=[]), plan)
    work.made(records if content is None else content)
    return _Plain(None if content is None else [content])


def _fetched(
    records: memoryview, spans: Sequence[BatchSpan], plan: TopicPlan, work: Work
) -> Iterator[bytes | memoryview]:
    for is_batch, run in groupby(spans, lambda span: span.magic == BATCH_MAGIC):
        if not is_batch:
            yield from _mask_sets(records, list(run), plan, work)
            continue
        for span in run:
            header = read_header(records, span.start)
            if header.control or header.empty:
                yield records[span.start : span.end]
            else:
                _check_count(header, work)
                yield _mask_batch(records, span, header, plan, work)


def _mask_batch(
    records: memoryview, span: BatchSpan, header: BatchHeader, plan: TopicPlan, work: Work
) -> bytes | memoryview:
    """One batch: new bytes, or a view of the old where no value changed."""
    original = records[span.start : span.end]
    limit_bytes = work.room_for(len(original))
    reserved = work.reserve(limit_bytes) if header.codec else None
    try:
        batch = Batch.read(records, span.start, span.end, limit_bytes=limit_bytes, dense_offsets=plan.at == "produce")
        if plan.masks_headers:
            _check_headers(batch, work)
        return _mask(batch, original, plan, work, reserved)
    except DecompressedTooLarge:
        if work.may.is_final or limit_bytes < work.may.limit_bytes:
            raise
        raise TooHeavy from None
    finally:
        if reserved is not None:
            reserved.release()


def _check_count(header: BatchHeader, work: Work) -> None:
    if header.count > work.may.records:
        raise TooManyRecords(
            f"a batch of {header.count} records, of which limits.recordsPerBatch takes {work.may.records}"
        )


def _check_headers(batch: Batch, work: Work) -> None:
    if batch.most_headers > work.may.headers:
        raise TooManyHeaders(
            f"a record of {batch.most_headers} headers, of which limits.headersPerRecord takes {work.may.headers}"
        )
    if batch.header_count > HEADERS_LIMIT:
        raise TooManyHeaders(f"a batch of {batch.header_count} headers, of which a rule takes {HEADERS_LIMIT}")


def _mask_sets(
    records: memoryview, spans: Sequence[BatchSpan], plan: TopicPlan, work: Work
) -> Iterator[bytes | memoryview]:
    """Adjacent messages of the formats before batches, one piece a set."""
    from wiremask.protocol.legacy import MessageSet, split_sets  # noqa: PLC0415 - few processes ever see one

    for start, end in split_sets(records, spans):
        limit_bytes = work.room_for(end - start)
        reserved = work.reserve(limit_bytes)
        try:
            read = MessageSet.read(records, start, end, limit_bytes=limit_bytes)
            # A reader counts on each message of a set, so none is left out.
            yield _mask(read, records[start:end], plan.keeping, work, reserved if read.is_compressed else None)
        except DecompressedTooLarge:
            if work.may.is_final or limit_bytes < work.may.limit_bytes:
                raise
            raise TooHeavy from None
        finally:
            reserved.release()


def _mask(
    batch: Batch | MessageSet, original: memoryview, plan: TopicPlan, work: Work, reserved: Claim | None
) -> bytes | memoryview:
    if reserved is not None:
        work.expanded(len(memoryview(batch.section)), reserved, plan)
    try:
        work.observe(batch, plan)
        outcome = plan.mask_records(batch)
        work.count(outcome.counts(), plan)
        if outcome.is_unchanged:
            return original
        failures = outcome.failures
        if failures and plan.at == "produce":
            raise RecordsRefused(failures, plan)
        most_bytes = work.may.limit_bytes if work.may.is_final and reserved is not None else work.may.output_bytes
        return _rebuild(batch, outcome, [failure.index for _, failure in failures], most_bytes)
    except MaskedTooLarge as error:
        raise DecompressedTooLarge(str(error)) from error


def _rebuild(batch: Batch | MessageSet, outcome: RecordsOutcome, left_out: Sequence[int], most_bytes: int) -> bytes:
    """The batch with its masked parts, and without the records at some places."""
    values = None if outcome.value is None else (outcome.value.values, outcome.value.spans)
    keys = None if outcome.key is None else (outcome.key.values, outcome.key.spans)
    if not isinstance(batch, Batch):
        return batch.rebuild(keys=keys, values=values)
    headers = None if outcome.headers is None else (outcome.headers.values, outcome.headers.spans)
    omitted = bytearray(batch.header.count)
    for index in left_out:
        omitted[index] = True
    return batch.rebuild(
        keys=keys, values=values, headers=headers, omitted=omitted if left_out else None, limit_bytes=most_bytes
    )


def _explain(part: PartName, failure: Failure, plan: TopicPlan) -> str:
    if failure.rule < 0:
        return f"the {part} cannot be read in the format of its rules ({failure.detail})"
    if failure.reason is Reason.MISSING:
        return f"rule {plan.rules[failure.rule].name}: {failure.detail}"
    return f"rule {plan.rules[failure.rule].name}: a field cannot be masked ({failure.detail})"
