"""The memory of a real proxy process under peers that do not move.

The bound is the one of ARCHITECTURE.md ("Memory"): `bufferedBytes`, and what two threads are masking at that moment.
"""

from __future__ import annotations

import threading
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

MIB = 1 << 20
LIMITS = {"frameBytes": 60 * MIB, "bufferedBytes": 128 * MIB, "stalledSeconds": 0.4}
SLACK = 40 * MIB
"""What the allocator keeps, and the read buffers of a hundred connections."""


@pytest.fixture
def broker() -> Iterator[ThreadedBroker]:
    broker = ThreadedBroker()
    yield broker
    broker.stop()


def test_a_hundred_readers_that_do_not_read(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    proxy = start_proxy_of(upstream=broker.address, settings={"limits": {**LIMITS, "stalledSeconds": 60}})
    before = proxy.resident_bytes()
    broker.answer_bytes = 20 * MIB

    with ExitStack() as stack:
        readers = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(100)]
        for reader in readers:
            reader.send(plain_frame(LIST_GROUPS, 2))
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 80, what="frames that wait")
        taken = proxy.metric("wiremask_buffered_bytes")
        held = proxy.peak_bytes() - before
        with ThreadPoolExecutor(100) as threads:
            sizes = list(threads.map(lambda reader: len(reader.read() or b""), readers))

    assert 0 < taken <= 128 * MIB
    assert held < 128 * MIB + SLACK
    assert sizes == [20 * MIB + 4] * 100
    eventually(lambda: proxy.metric("wiremask_buffered_bytes") == 0)


def test_a_hundred_frames_of_fifty_megabytes_that_never_arrive_whole(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    proxy = start_proxy_of(upstream=broker.address, settings={"limits": LIMITS})
    before = proxy.resident_bytes()
    half = plain_frame(LIST_GROUPS, 2, bytes(50 * MIB))[: 25 * MIB]

    with ExitStack() as stack:
        senders = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(100)]
        feeding = [threading.Thread(target=_feed, args=(sender, half), daemon=True) for sender in senders]
        for thread in feeding:
            thread.start()
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 90, what="frames that wait")
        with RawClient(proxy.bootstrap) as small:
            answered = len(small.ask(plain_frame(LIST_GROUPS, 2)))
        with RawClient(proxy.bootstrap, timeout_s=100) as whole:
            whole.send(plain_frame(LIST_GROUPS, 2, bytes(50 * MIB)))
            arrived = whole.read()
        held = proxy.peak_bytes() - before
        for thread in feeding:
            thread.join(60)

    assert answered == 104
    assert arrived is not None, "a whole frame must find room in the end"
    assert held < 128 * MIB + SLACK
    assert proxy.metric("wiremask_connections_closed_total", reason="stalled") >= 90
    eventually(lambda: proxy.metric("wiremask_frames_waiting") == 0, what="no frame that waits for ever")


def test_a_broker_that_does_not_read(broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]) -> None:
    proxy = start_proxy_of(upstream=broker.address, settings={"limits": {**LIMITS, "stalledSeconds": 60}})
    before = proxy.resident_bytes()
    broker.reads.clear()
    frame = plain_frame(LIST_GROUPS, 2, bytes(20 * MIB))

    with ExitStack() as stack, ThreadPoolExecutor(30) as threads:
        senders = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(30)]
        answers = [threads.submit(sender.ask, frame) for sender in senders]
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 20, what="frames that wait")
        held = proxy.peak_bytes() - before
        broker.reads.set()
        sizes = [len(answer.result()) for answer in answers]

    assert held < 128 * MIB + SLACK
    assert sizes == [104] * 30


GROWS_LIMITS = {"frameBytes": 32 * MIB, "bufferedBytes": 64 * MIB, "decompressedBytes": 16 * MIB}
VALUE = b'{"ssn":"' + b"1" * 300 + b'"}'
LONGER = "x" * 950
GROWS = (
    HEAD + "rules:\n  - name: ssn\n    topics: [payments]\n    at: [produce, fetch]\n"
    f"    value: {{format: json, fields: [{{path: $.ssn, mask: {{fixed: {LONGER}}}}}]}}\n"
)
BATCH = write_batch([VALUE] * 13000)
"""Four megabytes, of which the rule makes twelve."""

MOST_BYTES = LimitsConfig.model_validate(GROWS_LIMITS).most_bytes


def test_a_hundred_readers_that_do_not_read_what_masks_made_three_times_as_large(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    settings = {"limits": {**GROWS_LIMITS, "stalledSeconds": 300}}
    proxy = start_proxy_of(upstream=broker.address, rules=GROWS, settings=settings)
    before = proxy.resident_bytes()
    broker.hold(BATCH)

    with ExitStack() as stack:
        readers = [stack.enter_context(RawClient(proxy.bootstrap, timeout_s=120)) for _ in range(100)]
        for reader in readers:
            reader.send(fetch_frame("payments"))
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 80, what="frames that wait for memory")
        eventually(lambda: proxy.metric("wiremask_turns_waiting") >= 1, what="frames that wait to be masked")
        with RawClient(proxy.bootstrap) as small:
            answered = len(small.ask(plain_frame(LIST_GROUPS, 2)))
        taken = proxy.metric("wiremask_buffered_bytes")
        held = proxy.peak_bytes() - before
        with ThreadPoolExecutor(100) as threads:
            answers = list(threads.map(_read_masked, readers))
        peak = proxy.peak_bytes() - before

    assert answered == 104
    assert 0 < taken <= 64 * MIB
    assert held < MOST_BYTES + SLACK
    assert peak < MOST_BYTES + SLACK
    assert answers == [(True, False)] * 100
    eventually(lambda: proxy.metric("wiremask_buffered_bytes") == 0)


def test_readers_that_stall_and_frames_that_never_arrive_whole_do_not_keep_a_reader_from_its_records(
    broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]
) -> None:
    settings = {"limits": {**GROWS_LIMITS, "stalledSeconds": 0.4}}
    proxy = start_proxy_of(upstream=broker.address, rules=GROWS, settings=settings)
    before = proxy.resident_bytes()
    broker.hold(BATCH)
    half = produce_frame("payments", BATCH)[: 2 * MIB]

    with ExitStack() as stack:
        peers = [stack.enter_context(RawClient(proxy.bootstrap)) for _ in range(60)]
        for peer in peers[:30]:
            peer.send(fetch_frame("payments"))
        feeding = [threading.Thread(target=_feed, args=(peer, half), daemon=True) for peer in peers[30:]]
        for thread in feeding:
            thread.start()
        eventually(lambda: proxy.metric("wiremask_frames_waiting") >= 20, what="frames that wait for memory")
        with RawClient(proxy.bootstrap, timeout_s=120) as reader:
            reader.send(fetch_frame("payments"))
            answer = _read_masked(reader)
        peak = proxy.peak_bytes() - before
        for thread in feeding:
            thread.join(60)

    assert answer == (True, False)
    assert peak < MOST_BYTES + SLACK
    eventually(lambda: proxy.metric("wiremask_buffered_bytes") == 0)
    assert proxy.metric("wiremask_turns_waiting") == 0


def _read_masked(reader: RawClient) -> tuple[bool, bool]:
    """Whether an answer has what the mask put there, and what stood there before."""
    answer = reader.read() or b""
    return answer.count(LONGER.encode()) == 13000, VALUE[8:-2] in answer


def test_two_hundred_idle_connections(broker: ThreadedBroker, start_proxy_of: Callable[..., ProxyProcess]) -> None:
    proxy = start_proxy_of(upstream=broker.address)
    before = proxy.resident_bytes()

    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(RawClient(proxy.bootstrap)).ask(plain_frame(LIST_GROUPS, 2))
        held = proxy.resident_bytes() - before

    assert held < 20 * MIB


def _feed(client: RawClient, data: bytes) -> None:
    with suppress(OSError):
        client.send(data)
