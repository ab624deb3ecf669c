"""The load: librdkafka clients that produce and fetch a fixed amount, and a clock for the CPU of the process between.

Produce: idempotence off, `acks=all`, no compression, one partition. A batch is full when it is sent, because the client
waits for more records (`linger.ms`) longer than the run needs to make them. Fetch: a consumer with the default fetch sizes (1
MB a partition) reads the partition from its beginning to its end.
"""

from __future__ import annotations

import itertools
import mmap
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from bench.records import VALUE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

TIMEOUT_S = 120.0
POLL_RECORDS = 10_000
_QUIET = {"log_level": 0, "broker.address.family": "v4"}


class BadRun(Exception):
    """A run did not do what it measures, so its figure means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run took."""

    value_bytes: int
    wall_s: float
    cpu_s: float

    @property
    def cpu_per_gb(self) -> float:
        """CPU seconds for 10^9 bytes of record values."""
        return self.cpu_s / self.value_bytes * 1e9


class CpuClock:
    """CPU seconds, user and system, of a process and of all its children, in nanoseconds' resolution.

    `/proc/PID/stat` (and psutil with it) counts in ticks of 10 ms, a tenth of what a run with small batches takes. The
    process clock is the same sum in full resolution.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def read(self) -> float:
        """Seconds since the processes began."""
        family = [self._process, *self._process.children(recursive=True)]
        ended = self._process.cpu_times()
        return ended.children_user + ended.children_system + sum(_process_seconds(one.pid) for one in family)


def _process_seconds(pid: int) -> float:
    # clock_getcpuclockid(3) makes the number so; 2 is CPUCLOCK_SCHED, the time that the scheduler saw the process run.
    return time.clock_gettime((~pid << 3) | 2)


def produce(
    bootstrap: str, topic: str, values: Sequence[bytes], *, count: int, batch_bytes: int, clock: CpuClock
) -> Run:
    """Sends `count` records, `values` over and over, and waits until the broker has them all.

    Raises:
        BadRun: a record was not delivered.
    """
    failures: list[KafkaError] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            **_QUIET,
            "bootstrap.servers": bootstrap,
            "acks": "all",
            "compression.type": "none",
            "batch.size": batch_bytes,
            "batch.num.messages": 1_000_000,
            "message.max.bytes": 2 * max(batch_bytes, 1_000_000),
            "linger.ms": 1_000,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 64 * 1024,
            "delivery.report.only.error": True,
            "on_delivery": note,
        }
    )
    producer.list_topics(topic, timeout=20)
    cpu_before, begin = clock.read(), time.perf_counter()
    for value in itertools.islice(itertools.cycle(values), count):
        while True:
            try:
                producer.produce(topic, value, partition=0)
            except BufferError:
                producer.poll(0.01)
            else:
                break
    left = producer.flush(TIMEOUT_S)
    run = Run(value_bytes=count * VALUE_BYTES, wall_s=time.perf_counter() - begin, cpu_s=clock.read() - cpu_before)
    if failures or left:
        raise BadRun(f"{len(failures) + left} of {count} records were not delivered: {failures[:1]}")
    return run


def fetch(
    bootstrap: str, topic: str, *, count: int, clock: CpuClock, samples: list[bytes], exactly: bool = True
) -> Run:
    """Reads `count` records from the beginning.

    Args:
        samples: gets the last value of each poll.
        exactly: the topic holds no more than `count`; False for a run that only warms up, which reads some of it.

    Raises:
        BadRun: records did not come, or others than were sent.
    """
    consumer = Consumer(
        {
            **_QUIET,
            "bootstrap.servers": bootstrap,
            "group.id": "bench",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
        }
    )
    cpu_before, begin = clock.read(), time.perf_counter()
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    received = value_bytes = 0
    while received < count:
        if time.perf_counter() - begin > TIMEOUT_S:
            raise BadRun(f"{received} of {count} records came within {TIMEOUT_S:g} s")
        messages = consumer.consume(min(POLL_RECORDS, count - received), timeout=1)
        for message in messages:
            if (error := message.error()) is not None:
                raise BadRun(f"a consumer was told: {error}")
            value_bytes += len(message.value() or b"")
        received += len(messages)
        if messages:
            samples.append(messages[-1].value() or b"")
    wall_s, cpu_s = time.perf_counter() - begin, clock.read() - cpu_before
    consumer.close()
    # Masks shorten some values; GB are those of the records as they were made, the same for all lanes.
    if exactly and (received != count or not 0.95 <= value_bytes / (count * VALUE_BYTES) <= 1):
        raise BadRun(f"{received} records of {value_bytes} bytes came instead of {count}")
    return Run(value_bytes=received * VALUE_BYTES, wall_s=wall_s, cpu_s=cpu_s)


def mean_batch_bytes(segments: Iterable[Path]) -> float:
    """The size of the batches in log segments, on average; the last is left out, because it was what remained.

    Each begins with its base offset (8 bytes) and the length of what follows the length (4 bytes).

    Raises:
        BadRun: there are fewer than two.
    """
    sizes = [size for segment in segments for size in _batch_sizes(segment)][:-1]
    if not sizes:
        raise BadRun("too little is stored to tell the size of the batches")
    return sum(sizes) / len(sizes)


def _batch_sizes(segment: Path) -> Iterable[int]:
    with segment.open("rb") as file:
        while len(head := file.read(12)) == 12:
            (length,) = struct.unpack_from(">i", head, 8)
            if length <= 0:
                return
            yield 12 + length
            file.seek(length, 1)


def holds(file: Path, text: bytes) -> bool:
    """Whether a file has these bytes anywhere."""
    if not file.stat().st_size:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(text) >= 0
