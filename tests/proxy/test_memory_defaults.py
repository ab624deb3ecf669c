"""A real proxy at its default limits never takes more than `bufferedBytes` above what it takes idle, with ordinary masks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from support.batches import write_batch
from support.capture import RawClient
from support.requests import fetch_frame, plain_frame, produce_frame
from support.scripted import HEAD
from support.threaded import LIST_GROUPS, ThreadedBroker
from support.wait import eventually
from wiremask.proxy.limits import LimitsConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.proxy import ProxyProcess

LIMIT_BYTES = LimitsConfig().buffered_bytes
CLEAR, MASKED = b"123-45-6789", b"***-**-6789"
VALUE = b'{"ssn":"' + CLEAR + b'","text":"' + b"x" * 960 + b'"}'
RULES = (
    HEAD + "rules:\n  - name: ssn\n    topics: [TOPIC]\n    at: [produce, fetch]\n"
    "    value: {format: json, fields: [{path: $.ssn, mask: {partial: {keepLast: 4}}}]}\n"
)
PEERS, GO_ON = 100, 5


def fifty_megabytes(*, batches: int) -> bytes:
    """So many equal batches of records."""
    return write_batch([VALUE] * (50_000 // batches)) * batches


@pytest.fixture
def broker() -> Iterator[ThreadedBroker]:
    broker = ThreadedBroker()
    yield broker
    broker.stop()


@pytest.mark.parametrize(
    ("topic", "batches", "held_for"),
    [
        ("payments", 50, "no room"),
        ("payments", 1, "no room"),
        ("others", 50, "peer is slow"),
    ],
    ids=["batches of 1 MB", "one batch", "no rule"],
)
def test_a_hundred_readers_ask_for_fifty_megabytes_and_do_not_read(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess], topic: str, batches: int, held_for: str
) -> None:
    proxy = start_proxy_of(upstream=broker.address, rules=RULES.replace("TOPIC", topic))
    before = proxy.resident_bytes()
    broker.hold(fifty_megabytes(batches=batches))

    with ExitStack() as stack:
        readers = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(PEERS)]
        for reader in readers:
            reader.send(fetch_frame("payments"))
        eventually(lambda: held_legs(proxy, held_for) >= PEERS - 10, what="brokers that are not read")
        small = ask_something_small(proxy)
        held = proxy.peak_bytes() - before
        for reader in readers[GO_ON:]:
            reader.close()
        with ThreadPoolExecutor(GO_ON) as threads:
            answers = list(threads.map(lambda reader: reader.read() or b"", readers[:GO_ON]))
        peak = proxy.peak_bytes() - before

    assert small == 104
    assert held < LIMIT_BYTES
    assert peak < LIMIT_BYTES
    assert {(answer.count(MASKED), answer.count(CLEAR)) for answer in answers} == {expected(topic)}
    eventually(lambda: proxy.metric("wiremask_buffered_bytes") == 0)


@pytest.mark.parametrize("batches", [50, 1], ids=["batches of 1 MB", "one batch"])
def test_a_hundred_producers_send_fifty_megabytes_to_a_broker_that_does_not_read(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess], batches: int
) -> None:
    proxy = start_proxy_of(upstream=broker.address, rules=RULES.replace("TOPIC", "payments"))
    before = proxy.resident_bytes()
    broker.reads.clear()
    frame = produce_frame("payments", fifty_megabytes(batches=batches), version=8)

    with ExitStack() as stack, ThreadPoolExecutor(PEERS) as threads:
        producers = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(PEERS)]
        sending = [threads.submit(send, producer, frame) for producer in producers]
        eventually(lambda: held_legs(proxy, "no room") >= PEERS - 30, what="producers that are not read")
        held = proxy.peak_bytes() - before
        for producer in producers[GO_ON:]:
            producer.cut()
        broker.reads.set()
        answers = [producer.read() for producer in producers[:GO_ON]]
        for one in sending:
            one.result()
        peak = proxy.peak_bytes() - before

    assert held < LIMIT_BYTES
    assert peak < LIMIT_BYTES
    assert None not in answers
    eventually(lambda: proxy.metric("wiremask_buffered_bytes") == 0)


def expected(topic: str) -> tuple[int, int]:
    """How often the masked text is in an answer, and the clear one."""
    return (50_000, 0) if topic == "payments" else (0, 50_000)


def held_legs(proxy: ProxyProcess, reason: str) -> float:
    """How many sockets are not read for this reason, or were not."""
    return proxy.metric("wiremask_holds_total", reason=reason)


def ask_something_small(proxy: ProxyProcess) -> int:
    """The size of the answer of one that comes while all others wait."""
    with RawClient(proxy.bootstrap) as small:
        return len(small.ask(plain_frame(LIST_GROUPS, 2)))


def send(client: RawClient, data: bytes) -> None:
    """Sends as long as the other side lives."""
    with suppress(OSError):
        client.send(data)
