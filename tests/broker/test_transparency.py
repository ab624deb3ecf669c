"""Byte for byte: what the proxy passes on is what it was given, save for what a rule masks."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from support.batches import CODECS, StoredBatch, read_batches, write_batch
from support.capture import RawClient, Recorded, Relay, for_topic
from support.clients import CLIENTS, Client, Message
from support.customers import KEY_ENV, MASKING_RULES, customer, is_masked, messages
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import (
    LAST_FETCH,
    PRODUCE,
    TOPIC_IDS_FROM,
    ask_fetch,
    ask_produce,
    fetch_frame,
    read_produced,
    topic_id,
)
from support.rulefolder import IDLE_RULES, rule, ruleset

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]


LARGE_BYTES = 1 << 20
ON_WORKERS = {"limits": {"workerBytes": 1_024}}
IN_VAIN = ruleset(
    rule("stored", "passed-*", {"$.nowhere": "redact"}),
    rule("read", "fetched-*", {"$.nowhere": "redact"}, at=["fetch"]),
)
IDLE_PROXIES = {
    **{name: {"rules": rules} for name, rules in IDLE_RULES.items()},
    "nothing to mask": {"rules": IN_VAIN},
    "nothing to mask, on worker threads": {"rules": IN_VAIN, "settings": ON_WORKERS},
}
"""Settings of proxies that change nothing of topics `passed-*` and `fetched-*`: no rule is for them, or none finds a field."""

CUSTOMERS = [messages(10, first=first) for first in range(0, 30, 10)]
MASKING_PROXIES = {
    "at once": {"rules": MASKING_RULES, "env": KEY_ENV},
    "on worker threads": {"rules": MASKING_RULES, "env": KEY_ENV, "settings": ON_WORKERS},
}


@pytest.fixture(scope="module")
def proxies(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProxyProcess]]:
    """A proxy for each of `IDLE_PROXIES` and `MASKING_PROXIES`."""
    proxies = {
        name: ProxyProcess(home=tmp_path_factory.mktemp("alike"), upstream=kafka.bootstrap, **settings)
        for name, settings in {**IDLE_PROXIES, **MASKING_PROXIES}.items()
    }
    try:
        for proxy in proxies.values():
            proxy.start()
        yield proxies
    finally:
        for proxy in proxies.values():
            proxy.dispose()


@pytest.fixture(scope="module")
def fetched_topic(kafka: KafkaCluster) -> str:
    """A topic with a batch of each codec, some of them twice, and two of them large."""
    topic = kafka.create_topic("fetched-all")
    with RawClient(kafka.bootstrap) as client:
        for codec in (*CODECS, *CODECS):
            ask_produce(client, topic, write_batch([customer(number) for number in range(20)], codec=codec))
        for codec in ("none", "gzip"):
            ask_produce(client, topic, write_batch([message.value for message in _bulky(60)], codec=codec))
    return topic


def _bulky(count: int) -> list[Message]:
    """Customers with 30 KB each that hardly compress."""
    noise = random.Random(count)
    return [
        replace(message, value=b'{"noise":"%s",%s' % (base64.b64encode(noise.randbytes(22_500)), message.value[1:]))
        for message in messages(count)
        if message.value is not None
    ]


@dataclass(frozen=True, slots=True)
class Recording:
    """The Produce requests of one client for one topic."""

    topic: str
    requests: list[Recorded]


async def record(
    kafka: KafkaCluster,
    client: Client,
    topic: str,
    *,
    codec: str,
    idempotent: bool = False,
    sends: Sequence[Sequence[Message]] = CUSTOMERS,
    batch_bytes: int | None = None,
) -> Recording:
    """What `client` sends to the broker: with nothing else said, thirty customers in three batches."""
    broker = kafka.broker
    linger_ms = 5 if batch_bytes is None else 1_000
    with Relay(listen=broker.relay_port, target=broker.recorded_port) as relay:
        async with client.producer(
            relay.bootstrap, codec=codec, idempotent=idempotent, batch_bytes=batch_bytes, linger_ms=linger_ms
        ) as producer:
            for sent in sends:
                await producer.send(topic, sent)
        return Recording(topic, relay.requests(PRODUCE))


def replay(recording: Recording, address: str, topic: str) -> None:
    """Sends the recorded requests to another topic; each must be taken."""
    with RawClient(address) as client:
        for request in recording.requests:
            old, new = recording.topic.encode(), topic.encode()
            if request.version >= TOPIC_IDS_FROM:
                old, new = (topic_id(client, name).bytes for name in (recording.topic, topic))
            answer = read_produced(client.ask(for_topic(request.data, old, new)), request.version)
            assert [partition.error_code for partition in answer.values()] == [0]


@pytest.mark.parametrize("codec", CODECS)
async def test_recorded_requests_give_equal_segments_directly_and_through_the_proxy(
    client: Client, codec: str, proxies: dict[str, ProxyProcess], kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    for idempotent in (False, True):
        recording = await record(kafka, client, make_topic("record"), codec=codec, idempotent=idempotent)

        segments = _replay_everywhere(recording, proxies, kafka, make_topic)

        assert len(recording.requests) >= 3
        stored = kafka.segments(recording.topic)
        assert [name for name, segment in segments.items() if segment != stored] == []
        assert sum(len(batch.records) for batch in read_batches(stored[0])) == 30


@pytest.mark.parametrize("codec", ["none", "gzip"])
async def test_large_recorded_requests_give_equal_segments_directly_and_through_the_proxy(
    client: Client, codec: str, proxies: dict[str, ProxyProcess], kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    sent = _bulky(90)
    recording = await record(
        kafka, client, make_topic("record"), codec=codec, sends=[sent], batch_bytes=2 * LARGE_BYTES
    )

    segments = _replay_everywhere(recording, proxies, kafka, make_topic)

    stored = kafka.segments(recording.topic)
    assert max(len(request.data) for request in recording.requests) > LARGE_BYTES
    assert [name for name, segment in segments.items() if segment != stored] == []
    assert _values(read_batches(stored[0])) == [message.value for message in sent]


def _replay_everywhere(
    recording: Recording, proxies: dict[str, ProxyProcess], kafka: KafkaCluster, make_topic: MakeTopic
) -> dict[str, dict[int, bytes]]:
    """Sends the recorded requests directly and through each of `IDLE_PROXIES`; gives the segments, by the way taken."""
    addresses = {"direct": kafka.bootstrap, **{name: proxies[name].bootstrap for name in IDLE_PROXIES}}
    topics = {name: make_topic("passed") for name in addresses}
    for name, topic in topics.items():
        replay(recording, addresses[name], topic)
    return {name: kafka.segments(topic) for name, topic in topics.items()}


@pytest.mark.parametrize("rules", IDLE_RULES)
async def test_frames_leave_the_proxy_as_they_came(
    rules: str, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    broker = kafka.broker
    source = await record(kafka, CLIENTS[1], make_topic("record"), codec="lz4", idempotent=False)
    target = make_topic("target")

    with Relay(listen=broker.relay_port, target=broker.recorded_port) as relay:
        proxy = start_proxy(rules=IDLE_RULES[rules], upstream=relay.bootstrap)
        replay(source, proxy.bootstrap, target)
        passed = relay.requests(PRODUCE)

    old, new = source.topic.encode(), target.encode()
    assert [frame.data for frame in passed] == [for_topic(frame.data, old, new) for frame in source.requests]


@pytest.mark.parametrize("version", range(4, LAST_FETCH + 1))
@pytest.mark.parametrize("name", IDLE_PROXIES)
async def test_one_topic_fetched_both_ways_gives_equal_bytes(
    name: str, version: int, fetched_topic: str, proxies: dict[str, ProxyProcess], kafka: KafkaCluster
) -> None:
    with RawClient(kafka.bootstrap) as direct, RawClient(proxies[name].bootstrap) as through:
        target = topic_id(direct, fetched_topic) if version >= TOPIC_IDS_FROM else fetched_topic
        frames = [fetch_frame(target, version=version), fetch_frame(target, version=version, offset=10**9)]
        if name in IDLE_RULES:
            # The broker ends the answer with a part of a batch; where a rule looks at the records that is cut off.
            frames.append(fetch_frame(target, version=version, max_bytes=3_000, partition_max_bytes=3_000))
        answers = [direct.ask(frame) for frame in frames]
        passed = [through.ask(frame) for frame in frames]

    assert len(answers[0]) > 2 * LARGE_BYTES
    assert passed == answers


@pytest.mark.parametrize("batch_bytes", [None, LARGE_BYTES], ids=["small", "large"])
@pytest.mark.parametrize("codec", CODECS)
async def test_masked_batches_differ_only_in_masked_bytes_length_and_crc(
    client: Client,
    codec: str,
    batch_bytes: int | None,
    proxies: dict[str, ProxyProcess],
    kafka: KafkaCluster,
    make_topic: MakeTopic,
) -> None:
    sends = CUSTOMERS if batch_bytes is None else [messages(3_000)]
    recording = await record(
        kafka, client, make_topic("record"), codec=codec, idempotent=True, sends=sends, batch_bytes=batch_bytes
    )
    on_read = make_topic("viewed")

    replay(recording, kafka.bootstrap, on_read)
    masked = {}
    for name in MASKING_PROXIES:
        replay(recording, proxies[name].bootstrap, at_rest := make_topic("stored"))
        masked["stored", name] = read_batches(kafka.segments(at_rest)[0])
        with RawClient(proxies[name].bootstrap) as raw:
            masked["shown", name] = read_batches(ask_fetch(raw, on_read).records)

    original = read_batches(kafka.segments(recording.topic)[0])
    bare = [batch.without_values() for batch in original]
    assert max(len(batch.records) for batch in original) > (500 if batch_bytes else 5)
    assert _values(original) == [message.value for sent in sends for message in sent]
    assert [way for way, batches in masked.items() if [batch.without_values() for batch in batches] != bare] == []
    assert [way for way, batches in masked.items() if not all(batch.sound for batch in batches)] == []
    assert [way for way, batches in masked.items() if not _are_masked(_values(batches))] == []


def _are_masked(values: list[bytes]) -> bool:
    return all(is_masked(value, number) for number, value in enumerate(values))


def _values(batches: list[StoredBatch]) -> list[bytes]:
    return [record.value or b"" for batch in batches for record in batch.records]
