"""Masked before it is stored, masked before it is read, and refused or marked where it cannot be read."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from support.batches import CODECS, read_batches, write_batch
from support.capture import RawClient
from support.clients import Client, Message, ProduceRefused
from support.customers import MARKER, customer, is_masked, messages, secrets
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import ask_fetch, ask_produce

pytestmark = pytest.mark.broker

INVALID_RECORD = 87
MakeTopic = Callable[..., str]

UNREADABLE = {
    "not json": b"plain text",
    "cut": customer(0)[:-1],
    "bytes after": customer(0) + b"}",
    "empty": b"",
    "not utf-8": b'{"ssn": "\xff\xfe"}',
    "byte order mark": b"\xef\xbb\xbf" + customer(0),
    "lone surrogate": b'{"ssn": "\\ud800"}',
    "too deep": b"[" * 100 + b"]" * 100,
    "control character": b'{"ssn": "1\n2"}',
}


@pytest.mark.parametrize("codec", CODECS)
async def test_what_is_stored_is_masked_with_every_codec(
    client: Client, codec: str, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored")
    sent = messages(40)

    async with client.producer(masking_proxy.bootstrap, codec=codec) as producer:
        await producer.send(topic, sent)
    stored = await client.consume(kafka.bootstrap, topic, len(sent))

    assert [is_masked(message.value or b"", number) for number, message in enumerate(stored)] == [True] * len(sent)
    assert [_but_value(message) for message in stored] == [_but_value(message) for message in sent]
    assert {batch.attributes & 7 for batch in read_batches(kafka.segments(topic)[0])} == {CODECS[codec]}


async def test_no_secret_is_in_any_file_of_the_broker(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored", partitions=2)
    first = 500_000 if client.name == "aiokafka" else 600_000
    sent = [message for part in range(2) for message in messages(30, first=first + 1000 * part, partition=part)]

    async with client.producer(masking_proxy.bootstrap) as producer:
        await producer.send(topic, sent)

    segments = kafka.segments(topic)
    assert sorted(segments) == [0, 1]
    assert all(b'"balance": 12.340000000000000000001,' in segment for segment in segments.values())
    assert not [
        n for m in sent for n, secret in enumerate(_secrets_of(m)) if any(secret in s for s in segments.values())
    ]
    assert kafka.stored_anywhere(secrets(first)[1]) == []


@pytest.mark.parametrize("codec", CODECS)
async def test_what_is_read_is_masked_and_what_is_stored_is_not(
    client: Client, codec: str, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    sent = messages(40)
    async with client.producer(kafka.bootstrap, codec=codec) as producer:
        await producer.send(topic, sent)

    shown = await client.consume(masking_proxy.bootstrap, topic, len(sent))
    stored = await client.consume(kafka.bootstrap, topic, len(sent))

    assert [is_masked(message.value or b"", number) for number, message in enumerate(shown)] == [True] * len(sent)
    assert [_but_value(message) for message in shown] == [_but_value(message) for message in sent]
    assert stored == sent


async def test_tombstones_stay_tombstones(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored", cleanup_policy="compact")
    sent = [
        Message(key=b"gone", value=None, timestamp_ms=1),
        messages(1)[0],
        Message(key=b"too", value=None, timestamp_ms=2),
    ]

    async with client.producer(masking_proxy.bootstrap) as producer:
        await producer.send(topic, sent)
    stored = await client.consume(kafka.bootstrap, topic, len(sent))

    assert [message.value is None for message in stored] == [True, False, True]
    assert is_masked(stored[1].value or b"", 0)


async def test_compacted_topic_with_gaps_keeps_its_offsets(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic(
        "viewed", cleanup_policy="compact", segment_ms="1", min_cleanable_dirty_ratio="0.0", max_compaction_lag_ms="1"
    )
    sent = [Message(key=b"key-%d" % (number % 3), value=customer(number), timestamp_ms=number) for number in range(9)]
    async with client.producer(kafka.bootstrap) as producer:
        await producer.send(topic, sent)

    shown = await client.consume(masking_proxy.bootstrap, topic, 3)

    # Compacted or not by now, offset and content belong together.
    assert all(message.offset is not None for message in shown)
    assert all(is_masked(message.value or b"", message.offset or 0) for message in shown)


async def test_same_value_gets_the_same_hash_from_both_ends(
    masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    stored_topic, shown_topic = make_topic("stored"), make_topic("viewed")
    batch = write_batch([customer(1), customer(2), customer(1)])

    with RawClient(masking_proxy.bootstrap) as client:
        ask_produce(client, stored_topic, batch)
        ask_produce(client, shown_topic, batch)
        shown = _emails(ask_fetch(client, shown_topic).records)
    stored = _emails(kafka.segments(stored_topic)[0])

    assert stored == shown
    assert stored[0] == stored[2] != stored[1]


async def test_rule_that_does_not_name_the_topic_masks_nothing(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("clear")
    sent = messages(10)

    async with client.producer(masking_proxy.bootstrap) as producer:
        await producer.send(topic, sent)

    assert await client.consume(kafka.bootstrap, topic, 10) == sent
    assert await client.consume(masking_proxy.bootstrap, topic, 10) == sent


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
async def test_unreadable_value_is_refused_with_its_place_in_the_batch(
    value: bytes, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored", partitions=2)
    mixed = write_batch([customer(1), value, customer(3), value])

    with RawClient(masking_proxy.bootstrap) as client:
        answers = ask_produce(client, topic, {0: mixed, 1: write_batch([customer(4)])})
        again = ask_produce(client, topic, write_batch([customer(5)]))

    assert answers[0].error_code == INVALID_RECORD
    assert [index for index, _ in answers[0].record_errors] == [1, 3]
    assert answers[1].error_code == again[0].error_code == 0
    stored = {
        part: [r.value for b in read_batches(data) for r in b.records] for part, data in kafka.segments(topic).items()
    }
    assert [is_masked(value or b"", number) for part, number in ((0, 5), (1, 4)) for value in stored[part]] == [
        True,
        True,
    ]


@pytest.mark.parametrize("version", range(3, 14))
def test_refusal_in_every_version_of_produce(version: int, masking_proxy: ProxyProcess, make_topic: MakeTopic) -> None:
    from support.requests import topic_id

    topic = make_topic("stored", partitions=2)

    with RawClient(masking_proxy.bootstrap) as client:
        target = topic_id(client, topic) if version >= 13 else topic
        alone = ask_produce(client, target, write_batch([b"?"]), version=version)
        merged = ask_produce(client, target, {0: write_batch([b"?"]), 1: write_batch([customer(1)])}, version=version)

    assert alone[0].error_code == merged[0].error_code == INVALID_RECORD
    assert merged[1].error_code == 0
    assert [index for index, _ in alone[0].record_errors] == ([0] if version >= 8 else [])
    assert (alone[0].message is not None) == (version >= 8)


async def test_client_is_told_that_the_record_is_invalid(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored")

    async with client.producer(masking_proxy.bootstrap) as producer:
        with pytest.raises(ProduceRefused) as refused:
            await producer.send(topic, [Message(value=b"plain text")])
        await producer.send(topic, messages(1))
    stored = await client.consume(kafka.bootstrap, topic, 1)

    assert refused.value.code == client.invalid_record
    assert is_masked(stored[0].value or b"", 0)


async def test_unreadable_value_becomes_the_marker_where_the_rule_says_so(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("marked")
    sent = [Message(value=value) for value in UNREADABLE.values()] + messages(1)

    async with client.producer(masking_proxy.bootstrap) as producer:
        await producer.send(topic, sent)
    stored = await client.consume(kafka.bootstrap, topic, len(sent))

    assert [message.value for message in stored[:-1]] == [MARKER] * len(UNREADABLE)
    assert is_masked(stored[-1].value or b"", 0)


async def test_unreadable_value_never_stops_a_consumer(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    sent = [Message(value=value) for value in UNREADABLE.values()] + messages(1)
    async with client.producer(kafka.bootstrap) as producer:
        await producer.send(topic, sent)

    shown = await client.consume(masking_proxy.bootstrap, topic, len(sent))

    assert [message.value for message in shown[:-1]] == [MARKER] * len(UNREADABLE)
    assert is_masked(shown[-1].value or b"", 0)


@pytest.mark.parametrize("idempotent", [False, True], ids=["plain", "idempotent"])
async def test_idempotent_producers_are_masked_too(
    client: Client, idempotent: bool, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored")

    async with client.producer(masking_proxy.bootstrap, idempotent=idempotent, codec="zstd") as producer:
        for first in range(0, 40, 10):
            await producer.send(topic, messages(10, first=first))
    stored = await client.consume(kafka.bootstrap, topic, 40)

    assert [is_masked(message.value or b"", number) for number, message in enumerate(stored)] == [True] * 40


@pytest.mark.parametrize("acks", [0, 1])
async def test_producers_that_await_less_are_masked_too(
    client: Client, acks: int, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored")

    async with client.producer(masking_proxy.bootstrap, acks=acks) as producer:
        await producer.send(topic, messages(40))
    stored = await client.consume(kafka.bootstrap, topic, 40)

    assert [is_masked(message.value or b"", number) for number, message in enumerate(stored)] == [True] * 40


async def test_members_of_a_group_read_what_is_masked_for_them(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    async with client.producer(kafka.bootstrap) as producer:
        await producer.send(topic, messages(40))

    first = await client.consume(masking_proxy.bootstrap, topic, 15, group=topic)
    rest = await client.consume(masking_proxy.bootstrap, topic, 25, group=topic)

    shown = [message.value or b"" for message in first + rest]
    assert [is_masked(value, number) for number, value in enumerate(shown)] == [True] * 40


def test_produce_without_acknowledgement_that_is_refused_closes_the_connection(
    masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    from support.requests import produce_frame

    topic = make_topic("stored")

    with RawClient(masking_proxy.bootstrap) as client, RawClient(masking_proxy.bootstrap) as other:
        client.send(produce_frame(topic, write_batch([b"plain text"]), acks=0))
        closed = client.is_closed()
        answer = ask_produce(other, topic, write_batch([customer(1)]))

    assert closed
    assert answer[0].error_code == 0
    assert b"plain text" not in kafka.segments(topic)[0]


def test_partial_batch_at_the_end_of_a_fetch_is_cut_off(
    masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    with RawClient(kafka.bootstrap) as direct:
        for number in range(6):
            ask_produce(direct, topic, write_batch([customer(number), customer(number)]))
        size = len(kafka.segments(topic)[0]) // 6
        limits = [size + 1, size + 100, 2 * size - 1, 2 * size + size // 2, 5 * size + 61]

        through = []
        with RawClient(masking_proxy.bootstrap) as client:
            for limit in limits:
                raw = ask_fetch(direct, topic, max_bytes=limit).records
                assert len(raw) == limit, "the broker sent no partial batch"
                through.append(ask_fetch(client, topic, max_bytes=limit).records)

    for limit, records in zip(limits, through, strict=True):
        batches = read_batches(records)
        # Masks may make the batches larger than the reader asked for; the last whole one then waits for the next fetch.
        assert max(1, limit // size - 1) <= len(batches) <= limit // size
        assert len(batches) == 1 or len(records) <= limit
        assert [batch.base_offset for batch in batches] == [2 * place for place in range(len(batches))]
        assert all(batch.sound for batch in batches)
        assert all(is_masked(r.value or b"", batch.base_offset // 2) for batch in batches for r in batch.records)
        assert not [n for number in range(6) for n, secret in enumerate(secrets(number)) if secret in records]


async def test_client_with_small_fetches_reads_everything(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    with RawClient(kafka.bootstrap) as direct:
        for number in range(0, 60, 3):
            ask_produce(direct, topic, write_batch([customer(n) for n in range(number, number + 3)]))

    shown = await client.consume(masking_proxy.bootstrap, topic, 60, fetch_bytes=2_000)

    assert [is_masked(message.value or b"", number) for number, message in enumerate(shown)] == [True] * 60


@pytest.mark.parametrize("codec", ["none", "gzip"])
async def test_large_records_are_masked(
    client: Client, codec: str, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("stored")

    async with client.producer(masking_proxy.bootstrap, codec=codec) as producer:
        await producer.send(topic, [Message(value=_five_megabytes(b"123-45-6789"))])
    stored = await client.consume(kafka.bootstrap, topic, 1)

    assert stored[0].value == _five_megabytes(b"***-**-6789")


@pytest.mark.parametrize("codec", ["none", "gzip"])
async def test_large_records_are_masked_for_their_reader(
    client: Client, codec: str, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    sent = [Message(value=_five_megabytes(b"123-45-%d" % number)) for number in (6789, 6790)]
    async with client.producer(kafka.bootstrap, codec=codec) as producer:
        await producer.send(topic, sent)

    shown = await client.consume(masking_proxy.bootstrap, topic, 2)
    stored = await client.consume(kafka.bootstrap, topic, 2)

    assert [message.value for message in shown] == [_five_megabytes(b"***-**-%d" % number) for number in (6789, 6790)]
    assert [message.value for message in stored] == [message.value for message in sent]


async def test_first_record_of_a_topic_that_the_broker_makes_at_first_use_is_masked(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("stored")
    sent = messages(5)

    async with client.producer(masking_proxy.bootstrap) as producer:
        await producer.send(topic, sent)
    stored = await client.consume(kafka.bootstrap, topic, len(sent))

    assert [is_masked(message.value or b"", number) for number, message in enumerate(stored)] == [True] * len(sent)
    assert [_but_value(message) for message in stored] == [_but_value(message) for message in sent]
    assert not [n for number in range(5) for n, s in enumerate(secrets(number)) if s in kafka.segments(topic)[0]]


def _five_megabytes(ssn: bytes) -> bytes:
    return b'{"filler":"%s","ssn":"%s"}' % (b"0123456789abcdef" * 327_680, ssn)


def _secrets_of(message: Message) -> tuple[bytes, ...]:
    return secrets(int(json.loads(message.value or b"")["id"]))


def _but_value(message: Message) -> tuple[object, ...]:
    return message.key, message.headers, message.timestamp_ms, message.partition


def _emails(records: bytes) -> list[str]:
    values = [record.value for batch in read_batches(records) for record in batch.records]
    return [json.loads(value or b"")["contact"][0]["email"] for value in values]
