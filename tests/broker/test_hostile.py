"""Bytes that no client sends: each costs its sender the request or the connection, and nobody else anything."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable

import pytest

from support.batches import StoredRecord, gzip_bomb, write_batch, write_section
from support.capture import RawClient
from support.customers import KEY_ENV, MASKING_RULES, customer
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import ask_produce, fetch_frame, plain_frame, produce_frame, topic_id
from support.wait import eventually
from wiremask.protocol.api import APIS

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]

CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, UNSUPPORTED_VERSION, INVALID_RECORD = 2, 10, 35, 87
MIB = 1 << 20


REFUSED = {
    "unknown api key": plain_frame(500, 0),
    "negative api key": plain_frame(-1, 0),
    "api key of brokers": plain_frame(6, 0),
    "old produce": plain_frame(0, 2, struct.pack(">hii", 1, 1000, 0)),
    "future produce": plain_frame(0, 99, flexible=True),
    "old fetch": plain_frame(1, 3),
    "future metadata": plain_frame(3, 99, flexible=True),
    "metadata of a negative version": plain_frame(3, -2),
    "records that are not read yet": plain_frame(78, 1, flexible=True),
}


def _longer(frame: bytes, more: bytes) -> bytes:
    return struct.pack(">i", len(frame) - 4 + len(more)) + frame[4:] + more


BROKEN = {
    "negative size": struct.pack(">i", -5),
    "size below a header": struct.pack(">i", 3) + b"\x00\x00\x00",
    "tls hello": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "client id beyond the frame": struct.pack(">ihhih", 10, 3, 1, 7, 3000),
    "fetch with bytes after": _longer(fetch_frame("stored"), b"more"),
    "metadata with a count beyond the frame": plain_frame(3, 1, struct.pack(">i", 2**31 - 1)),
    "produce without a body": plain_frame(0, 9, flexible=True),
    "zeros": bytes(4) * 20,
}


@pytest.mark.parametrize("frame", REFUSED.values(), ids=REFUSED)
def test_unknown_api_or_version_closes_the_connection(
    frame: bytes, masking_proxy: ProxyProcess, make_topic: MakeTopic
) -> None:
    with RawClient(masking_proxy.bootstrap) as client, RawClient(masking_proxy.bootstrap) as other:
        before = masking_proxy.metric("wiremask_refused_requests_total")
        client.send(frame)
        closed = client.is_closed()
        answer = ask_produce(other, make_topic("stored"), write_batch([customer(1)]))

    assert closed
    assert answer[0].error_code == 0
    assert masking_proxy.metric("wiremask_refused_requests_total") > before


def test_api_versions_of_a_future_client_is_answered_in_the_oldest_layout(
    masking_proxy: ProxyProcess, kafka: KafkaCluster
) -> None:
    frame = plain_frame(18, 99, b"\x05name\x02v\x00", flexible=True)

    with RawClient(masking_proxy.bootstrap) as client, RawClient(kafka.bootstrap) as direct:
        through, expected = client.ask(frame), direct.ask(frame)
        still_open = client.ask(plain_frame(18, 0))

    assert through[:6] == expected[:6] == struct.pack(">ih", 7, UNSUPPORTED_VERSION)
    ranges = dict(_ranges(through))
    assert ranges[18][0] == 0
    assert ranges[18][1] >= 3
    assert still_open[:6] == struct.pack(">ih", 7, 0)


def test_api_versions_offers_no_more_than_broker_and_proxy_know(
    masking_proxy: ProxyProcess, kafka: KafkaCluster
) -> None:
    with RawClient(masking_proxy.bootstrap) as client, RawClient(kafka.bootstrap) as direct:
        offered, known = dict(_ranges(client.ask(plain_frame(18, 0)))), dict(_ranges(direct.ask(plain_frame(18, 0))))

    assert offered.keys() <= known.keys()
    assert all(low >= known[key][0] and high <= known[key][1] for key, (low, high) in offered.items())
    assert offered[0] == known[0]
    assert all(APIS[key].takes(high) for key, (_, high) in offered.items())


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_frame_closes_only_its_own_connection(
    data: bytes, start_proxy: StartProxy, make_topic: MakeTopic, masking_proxy: ProxyProcess
) -> None:
    with RawClient(masking_proxy.bootstrap) as client, RawClient(masking_proxy.bootstrap) as other:
        client.send(data)
        closed = client.is_closed()
        answer = ask_produce(other, make_topic("stored"), write_batch([customer(1)]))

    assert closed
    assert answer[0].error_code == 0
    assert masking_proxy.running


def test_tls_on_a_plaintext_port_is_named_in_the_log(masking_proxy: ProxyProcess) -> None:
    with RawClient(masking_proxy.bootstrap) as client:
        client.send(BROKEN["tls hello"])
        assert client.is_closed()

    assert masking_proxy.says("TLS")


@pytest.mark.parametrize("cut", [1, 3, 10, 40, 100])
def test_produce_that_ends_early_or_late_closes_the_connection(
    cut: int, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored")
    body = produce_frame(topic, write_batch([customer(1)]))[4:]

    for broken in (body[:-cut], body + bytes(cut)):
        with RawClient(masking_proxy.bootstrap) as client:
            client.send(struct.pack(">i", len(broken)) + broken)
            assert client.is_closed()

    assert kafka.segments(topic)[0] == b""


def test_frame_over_the_limit_closes_its_connection(start_proxy: StartProxy, make_topic: MakeTopic) -> None:
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV, settings={"limits": {"frameBytes": MIB}})
    topic = make_topic("stored")

    with RawClient(proxy.bootstrap) as client, RawClient(proxy.bootstrap) as other:
        client.send(struct.pack(">i", MIB + 1))
        closed = client.is_closed()
        answer = ask_produce(other, topic, write_batch([customer(1)]))

    assert closed
    assert answer[0].error_code == 0
    assert proxy.metric("wiremask_refused_requests_total", reason="FrameTooLarge") == 1


def test_promised_frame_that_never_comes_costs_no_memory(start_proxy: StartProxy) -> None:
    proxy = start_proxy()
    before = proxy.resident_bytes()
    clients = [RawClient(proxy.bootstrap) for _ in range(20)]

    for client in clients:
        client.send(struct.pack(">i", 100 * MIB) + plain_frame(0, 9, b"\x00" * 1000, flexible=True)[4:])
    with RawClient(proxy.bootstrap) as other:
        other.ask(plain_frame(18, 0))
    grown = proxy.resident_bytes() - before
    for client in clients:
        client.close()

    assert grown < 40 * MIB


def _wrong_crc() -> bytes:
    batch = bytearray(write_batch([customer(1)]))
    batch[17] ^= 0xFF
    return bytes(batch)


def _longer_than_it_is() -> bytes:
    batch = write_batch([customer(1)])
    return batch[:8] + struct.pack(">i", len(batch) - 12 + 1) + batch[12:]


def _sections() -> dict[str, bytes]:
    gap = write_section(
        [StoredRecord(offset_delta=place, timestamp_delta=0, key=None, value=customer(1)) for place in (0, 2)]
    )
    good = write_section([StoredRecord(offset_delta=0, timestamp_delta=0, key=None, value=customer(1))])
    return {
        "wrong crc": _wrong_crc(),
        "count above": write_batch([], section=good, count=2),
        "count below": write_batch([customer(1), customer(2)], count=1),
        "section cut": write_batch([], section=good[:-1], count=1),
        "section with bytes after": write_batch([], section=good + b"\x00", count=1),
        "offsets with a gap": write_batch([], section=gap, count=2),
        "no records": write_batch([]),
        "control batch": write_batch([customer(1)], attributes=0x20),
        "length too long": _longer_than_it_is(),
        "part of a batch": write_batch([customer(1)])[:-5],
        "batch and a half": write_batch([customer(1)]) + write_batch([customer(2)])[:30],
        "magic of the future": write_batch([customer(1)])[:16] + b"\x03" + write_batch([customer(1)])[17:],
        "compressed rubbish": write_batch([], codec="gzip", section=b"\x1f\x8bnot gzip at all", count=1),
        "empty field": b"",
    }


SECTIONS = _sections()


# Where the proxy and Kafka 4.3.1 differ: (the proxy's code, the broker's). The broker stores what other readers read otherwise.
STRICTER = {
    "offsets with a gap": (INVALID_RECORD, 0),
    "batch and a half": (INVALID_RECORD, 0),
    "compressed rubbish": (CORRUPT_MESSAGE, -1),
}


@pytest.mark.parametrize("name", SECTIONS)
def test_records_that_contradict_themselves_are_refused_as_the_broker_refuses_them(
    name: str, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic, direct_topic = make_topic("stored"), make_topic("stored")

    with RawClient(masking_proxy.bootstrap) as client, RawClient(kafka.bootstrap) as direct:
        through = ask_produce(client, topic, SECTIONS[name])[0].error_code
        broker = ask_produce(direct, direct_topic, SECTIONS[name])[0].error_code
        after = ask_produce(client, make_topic("stored"), write_batch([customer(1)]))

    assert (through, broker) == STRICTER.get(name, (through, through))
    assert through != 0
    assert after[0].error_code == 0
    assert kafka.segments(topic)[0] == b""


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A sound gzip batch of ten megabytes that expands to ten gigabytes."""
    return write_batch([], codec="gzip", section=gzip_bomb(expands_to=10 * 1024 * MIB), count=1)


def test_bomb_is_refused_in_bounded_memory_while_others_go_on(
    bomb: bytes, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV, settings={"limits": {"decompressedBytes": 64 * MIB}})
    target, topic = make_topic("stored"), make_topic("stored")
    before = proxy.peak_bytes()
    codes: list[int] = []
    answered = 0

    def explode() -> None:
        with RawClient(proxy.bootstrap) as client:
            codes.extend(ask_produce(client, target, bomb)[0].error_code for _ in range(3))

    thread = threading.Thread(target=explode)
    thread.start()
    with RawClient(proxy.bootstrap) as other:
        while thread.is_alive():
            assert ask_produce(other, topic, write_batch([customer(1)]))[0].error_code == 0
            answered += 1
    thread.join()

    assert codes == [MESSAGE_TOO_LARGE] * 3
    assert len(bomb) < 12_000_000
    assert proxy.peak_bytes() - before < 256 * MIB
    assert answered > 10, "a bomb kept the others waiting"
    assert kafka.segments(target)[0] == b""


def test_client_that_does_not_read_does_not_grow_the_proxy(
    start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("clear")
    with RawClient(kafka.bootstrap) as direct:
        ask_produce(direct, topic, write_batch([b"x" * 4 * MIB]))
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV)
    before = proxy.peak_bytes()

    with RawClient(proxy.bootstrap) as lazy, RawClient(proxy.bootstrap) as other:
        for number in range(60):
            lazy.send(fetch_frame(topic, correlation_id=number))
        eventually(lambda: proxy.metric("wiremask_buffered_bytes") > 0, what="what the client does not take")
        for _ in range(20):
            assert other.ask(plain_frame(18, 0))
        buffered = proxy.metric("wiremask_buffered_bytes")
        stalled = proxy.peak_bytes() - before
        sizes = [len(lazy.read() or b"") for _ in range(60)]
        drained = proxy.peak_bytes() - before

    assert 0 < buffered < 16 * MIB
    assert stalled < 64 * MIB
    assert all(size > 4 * MIB for size in sizes)
    assert drained < 64 * MIB
    eventually(lambda: proxy.metric("wiremask_buffered_bytes") == 0)


def test_unknown_topic_id_is_refused(masking_proxy: ProxyProcess, make_topic: MakeTopic) -> None:
    import uuid

    with RawClient(masking_proxy.bootstrap) as client:
        unknown = ask_produce(client, uuid.uuid4(), write_batch([customer(1)]), version=13)
        known = ask_produce(client, topic_id(client, make_topic("stored")), write_batch([customer(1)]), version=13)

    assert unknown[0].error_code == 100
    assert known[0].error_code == 0


def _ranges(answer: bytes) -> list[tuple[int, tuple[int, int]]]:
    """The api ranges of an ApiVersions response in layout 0 (correlation id, error code, array of key, min, max)."""
    (count,) = struct.unpack_from(">i", answer, 6)
    rows = [struct.unpack_from(">hhh", answer, 10 + 6 * place) for place in range(count)]
    return [(key, (low, high)) for key, low, high in rows]
