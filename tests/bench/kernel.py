"""The mask kernel against what a Python engineer writes without it.

Both sides take the bytes of a produced record batch (magic 2, uncompressed) and give the bytes of the batch with four
masked fields in each value. Both check the CRC that came and write a new one.

- Ours: what makes new bytes of old ones in `proxy.masking.mask_produced`, by the same calls: split, read, mask, rebuild. Its
  look at the header before (control batches, counts), its limits and its counters are the pipeline's and not in here. A
  batch is written anew even if no value changed, so that masks can be compared with none.
- Theirs: aiokafka's record reader and builder (its C extension, without which nothing is measured), orjson, and the same
  masks as plain functions on plain dicts: no rule language, no failure policy, and a field that is missing is skipped.
  The masks keep no separators, so that each is one slice in Python: a mask that Python is slow at would prove little.

Method: a pair is one run of each side over the same batch, one right after the other, in turns first and second, each
repeated until it took `PAIR_S` of CPU. A ratio is theirs by ours of one pair, so that a machine that slows down for a while
slows both. The clock is the thread's own CPU time; neither side uses a second thread. Before the first pair both sides
run once and their records are compared: a bench of two things that do not do the same would be worth nothing.

The allocator is brought into a defined state first (`settle_allocator`), for both sides alike.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson
from aiokafka.record import default_records
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from bench import records
from bench.rows import Bar, Row
from bench.stats import Spread, spread
from wiremask.protocol.batch import Batch, split_batches
from wiremask.rules import compile_ruleset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from wiremask.rules import KeyReference, TopicPlan

PAIR_S = 0.15
PAIRS = 15
BAR = 6.0
BATCH_BYTES = {"1 MB": 1_000_000, "16 KB": 16_384}

SETTLING_BYTES = 32 * 1024 * 1024 - 64 * 1024
LIMIT_BYTES = 64 * 1024 * 1024

_TOPIC = "bench"
_REDACTED = "[redacted]"


class NothingToCompareWith(Exception):
    """The other side cannot be measured fairly here; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelResult:
    """One size of batch. Times are nanoseconds of CPU a record, rates bytes of values a second."""

    batch: str
    records: int
    ours_ns: Spread
    theirs_ns: Spread
    ratio: Spread

    @property
    def rate(self) -> float:
        """Bytes of values that the kernel masks in a second."""
        return records.VALUE_BYTES / self.ours_ns.median * 1e9

    @property
    def seconds_per_gb(self) -> float:
        """CPU seconds for 10^9 bytes of values."""
        return 1e9 / self.rate


def measure(
    size: str, *, pairs: int = PAIRS, pair_s: float = PAIR_S, progress: Callable[[], None] = lambda: None
) -> KernelResult:
    """Runs the pairs for one of `BATCH_BYTES`; calls `progress` after each.

    Raises:
        NothingToCompareWith: aiokafka runs without its C extension, or the two sides mask differently.
    """
    require_compiled_aiokafka()
    settle_allocator()
    plan = compile_plan()
    original = build_batch(records.values(BATCH_BYTES[size] // records.VALUE_BYTES))
    require_equal(mask_by_kernel(plan, original), mask_in_python(original))
    count = len(read_values(original))
    ours: list[float] = []
    theirs: list[float] = []
    sides: list[tuple[list[float], Callable[[], object]]] = [
        (ours, lambda: mask_by_kernel(plan, original)),
        (theirs, lambda: mask_in_python(original)),
    ]
    for _ in range(pairs):
        for times, run in sides:
            times.append(time_ns(run, at_least_s=pair_s) / count)
        sides.reverse()
        progress()
    return KernelResult(
        batch=size,
        records=count,
        ours_ns=spread(ours),
        theirs_ns=spread(theirs),
        ratio=spread([their / our for our, their in zip(ours, theirs, strict=True)]),
    )


def rows(result: KernelResult) -> list[Row]:
    """The table: how much faster, and the rate."""
    return [
        Row(
            part="kernel",
            name=f"batches of {result.batch}: aiokafka + orjson",
            unit="ns/record",
            figure=result.theirs_ns,
            ratio=result.ratio,
            to="kernel",
            bar=Bar(kind="at least", limit=BAR),
        ),
        Row(part="kernel", name=f"batches of {result.batch}: kernel", unit="ns/record", figure=result.ours_ns),
    ]


def compile_plan() -> TopicPlan:
    """The four masks as the proxy has them."""

    def no_key(reference: KeyReference) -> str:
        raise AssertionError(f"no rule here has a key: {reference}")

    plan = compile_ruleset({"bench.yaml": records.rules(produce=_TOPIC, fetch=_TOPIC)}, no_key)
    matched = plan.match(_TOPIC, "produce")
    assert matched is not None
    return matched


def mask_by_kernel(plan: TopicPlan, data: bytes) -> bytes:
    """Our side: split, read, mask, rebuild."""
    (span,) = split_batches(data, partial_tail=False)
    batch = Batch.read(data, span.start, span.end, limit_bytes=LIMIT_BYTES, dense_offsets=True)
    outcome = plan.mask_records(batch)
    assert outcome.value is not None
    assert not outcome.value.failures
    return batch.rebuild(values=(outcome.value.values, outcome.value.spans))


def mask_in_python(data: bytes) -> bytearray:
    """Their side: read records, decode JSON, mask, encode, build."""
    batch = DefaultRecordBatch(data)
    if not batch.validate_crc():
        raise ValueError("wrong CRC")
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=batch.compression_type,
        is_transactional=batch.is_transactional,
        producer_id=batch.producer_id,
        producer_epoch=batch.producer_epoch,
        base_sequence=batch.base_sequence,
        batch_size=2 * len(data),
    )
    for record in batch:
        value = record.value
        if value is not None:
            document = orjson.loads(value)
            mask_document(document)
            value = orjson.dumps(document)
        builder.append(record.offset, record.timestamp, record.key, value, record.headers)
    return cast("bytearray", builder.build())


def mask_document(document: dict[str, Any]) -> None:
    """The four masks, in place."""
    customer = document.get("customer")
    if isinstance(customer, dict):
        if isinstance(ssn := customer.get("ssn"), str):
            customer["ssn"] = mask_partial(ssn, 0, 4)
        if isinstance(phone := customer.get("phone"), str):
            customer["phone"] = mask_partial(phone, 0, 3)
        if isinstance(customer.get("email"), str):
            customer["email"] = _REDACTED
    card = document.get("card")
    if isinstance(card, dict) and isinstance(number := card.get("number"), str):
        card["number"] = mask_partial(number, 6, 4)


def mask_partial(text: str, first: int, last: int) -> str:
    """Hides all but the first and last characters, and all of them where there are no others."""
    hidden = len(text) - first - last
    if hidden <= 0:
        return "*" * len(text)
    return f"{text[:first]}{'*' * hidden}{text[len(text) - last :]}"


def build_batch(values: Sequence[bytes]) -> bytes:
    """A batch as a producer sends it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 30,
    )
    for offset, value in enumerate(values):
        builder.append(offset, 1_772_000_000_000 + offset, None, value, [])
    return bytes(builder.build())


def read_values(data: Buffer) -> list[bytes]:
    """The values of a batch, by aiokafka."""
    return [cast("bytes", record.value) for record in DefaultRecordBatch(data)]


def require_compiled_aiokafka() -> None:
    """Raises `NothingToCompareWith` if aiokafka reads and builds records in Python, which is many times slower."""
    for part in (DefaultRecordBatch, DefaultRecordBatchBuilder):
        if part.__module__ == default_records.__name__:
            raise NothingToCompareWith("aiokafka runs without its C extension here; install a wheel that has it")


def require_equal(ours: Buffer, theirs: Buffer) -> None:
    """Raises `NothingToCompareWith` unless both batches hold the same documents, masked."""
    ours_read = [orjson.loads(value) for value in read_values(ours)]
    if ours_read != [orjson.loads(value) for value in read_values(theirs)]:
        raise NothingToCompareWith("the two sides do not mask alike")
    if not all(document["customer"]["email"] == _REDACTED for document in ours_read):
        raise NothingToCompareWith("neither side masks")


def settle_allocator() -> None:
    """Has glibc keep what is freed, as in a process that has handled a large frame.

    A fresh process gives memory beyond 128 KB back to the system at each free and takes it anew, page fault by page
    fault: 452 of them for one batch of 1 MB, which doubles the kernel's time or does not, after what else was allocated.
    To free one mapped block of 32 MB raises both of glibc's thresholds to their limit; its pages are never touched.
    """
    block = bytearray(SETTLING_BYTES)
    del block


def time_ns(run: Callable[[], object], *, at_least_s: float) -> float:
    """Nanoseconds of this thread's CPU for one run."""
    begin = now = time.thread_time_ns()
    limit = begin + at_least_s * 1e9
    runs = 0
    while now < limit:
        run()
        runs += 1
        now = time.thread_time_ns()
    return (now - begin) / runs
