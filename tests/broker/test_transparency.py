"""Byte for byte: what the proxy passes on is what it was given, save for what a rule masks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from support.batches import CODECS, StoredBatch, read_batches, write_batch
from support.capture import RawClient, Recorded, Relay, for_topic
from support.clients import CLIENTS, Client
from support.customers import customer, is_masked, messages
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
from support.rulefolder import IDLE_RULES

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]


@pytest.fixture(scope="module")
def idle_proxies(kafka: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ProxyProcess]]:
    """A proxy for each of `IDLE_RULES`."""
    proxies = {
        name: ProxyProcess(home=tmp_path_factory.mktemp("idle"), upstream=kafka.bootstrap, rules=rules)
        for name, rules in IDLE_RULES.items()
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
    """A topic with a batch of each codec, some of them twice."""
    topic = kafka.create_topic("fetched")
    with RawClient(kafka.bootstrap) as client:
        for codec in (*CODECS, *CODECS):
            ask_produce(client, topic, write_batch([customer(number) for number in range(20)], codec=codec))
    return topic


@dataclass(frozen=True, slots=True)
class Recording:
    """The Produce requests of one client for one topic."""

    topic: str
    requests: list[Recorded]


async def record(kafka: KafkaCluster, client: Client, topic: str, *, codec: str, idempotent: bool) -> Recording:
    """What `client` sends to the broker for thirty customers in three batches."""
    broker = kafka.broker
    with Relay(listen=broker.relay_port, target=broker.recorded_port) as relay:
        async with client.producer(relay.bootstrap, codec=codec, idempotent=idempotent) as producer:
            for first in range(0, 30, 10):
                await producer.send(topic, messages(10, first=first))
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


@pytest.mark.parametrize("rules", IDLE_RULES)
async def test_recorded_requests_give_equal_segments_directly_and_through_the_proxy(
    rules: str, idle_proxies: dict[str, ProxyProcess], kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = idle_proxies[rules]

    for client in CLIENTS:
        for codec in CODECS:
            for idempotent in (False, True):
                recording = await record(kafka, client, make_topic("record"), codec=codec, idempotent=idempotent)
                direct, through = make_topic("direct"), make_topic("passed")
                replay(recording, kafka.bootstrap, direct)
                replay(recording, proxy.bootstrap, through)

                assert len(recording.requests) >= 3
                stored = kafka.segments(direct)
                assert kafka.segments(through) == stored == kafka.segments(recording.topic)
                assert sum(len(batch.records) for batch in read_batches(stored[0])) == 30


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
@pytest.mark.parametrize("rules", IDLE_RULES)
async def test_one_topic_fetched_both_ways_gives_equal_bytes(
    rules: str, version: int, fetched_topic: str, idle_proxies: dict[str, ProxyProcess], kafka: KafkaCluster
) -> None:
    proxy = idle_proxies[rules]

    with RawClient(kafka.bootstrap) as direct, RawClient(proxy.bootstrap) as through:
        target = topic_id(direct, fetched_topic) if version >= TOPIC_IDS_FROM else fetched_topic
        # The second limit makes the broker end the answer with a part of a batch.
        frames = [
            fetch_frame(target, version=version),
            fetch_frame(target, version=version, max_bytes=3_000, partition_max_bytes=3_000),
            fetch_frame(target, version=version, offset=10**9),
        ]
        answers = [direct.ask(frame) for frame in frames]
        passed = [through.ask(frame) for frame in frames]

    assert len(answers[0]) > 10_000
    assert passed == answers


@pytest.mark.parametrize("codec", CODECS)
async def test_masked_batches_differ_only_in_masked_bytes_length_and_crc(
    client: Client, codec: str, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    recording = await record(kafka, client, make_topic("record"), codec=codec, idempotent=True)
    at_rest, on_read = make_topic("stored"), make_topic("viewed")

    replay(recording, masking_proxy.bootstrap, at_rest)
    replay(recording, kafka.bootstrap, on_read)
    with RawClient(masking_proxy.bootstrap) as raw:
        fetched = read_batches(ask_fetch(raw, on_read).records)

    original = read_batches(kafka.segments(recording.topic)[0])
    assert _values(original) == [customer(number) for number in range(30)]
    for masked in (read_batches(kafka.segments(at_rest)[0]), fetched):
        assert [batch.without_values() for batch in masked] == [batch.without_values() for batch in original]
        assert all(batch.sound for batch in masked)
        assert [is_masked(value, number) for number, value in enumerate(_values(masked))] == [True] * 30


def _values(batches: list[StoredBatch]) -> list[bytes]:
    return [record.value or b"" for batch in batches for record in batch.records]
