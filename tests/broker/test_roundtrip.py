"""Two real clients and a real broker, with a proxy between them that has nothing to mask: nobody can tell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.batches import CODECS, read_batches, write_batch
from support.capture import RawClient
from support.clients import Client, Message
from support.customers import messages
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import ask_produce, brokers_told, topic_id

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]


@pytest.mark.parametrize("codec", CODECS)
async def test_records_arrive_as_they_were_sent_with_every_codec(
    client: Client, codec: str, plain_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("codec")
    sent = messages(40)

    async with client.producer(plain_proxy.bootstrap, codec=codec) as producer:
        offsets = await producer.send(topic, sent)
    received = await client.consume(plain_proxy.bootstrap, topic, len(sent))

    assert received == sent
    assert [message.offset for message in received] == offsets == list(range(len(sent)))
    assert {batch.attributes & 7 for batch in read_batches(kafka.segments(topic)[0])} == {CODECS[codec]}


async def test_one_client_reads_what_the_other_wrote(
    client: Client, plain_proxy: ProxyProcess, make_topic: MakeTopic
) -> None:
    from support.clients import CLIENTS

    (other,) = [candidate for candidate in CLIENTS if candidate is not client]
    topic = make_topic("across")
    sent = messages(10)

    async with client.producer(plain_proxy.bootstrap, codec="snappy") as producer:
        await producer.send(topic, sent)

    assert await other.consume(plain_proxy.bootstrap, topic, len(sent)) == sent


async def test_odd_records_keep_their_nulls_and_empties(
    client: Client, plain_proxy: ProxyProcess, make_topic: MakeTopic
) -> None:
    topic = make_topic("odd", cleanup_policy="compact")
    sent = [
        Message(key=b"tombstone", value=None, timestamp_ms=1),
        Message(key=b"empty", value=b"", timestamp_ms=2),
        Message(key=b"\x00\xff", value=b"\xff\x00 not text", timestamp_ms=3),
        Message(
            key=b"headers", value=b"{}", headers=(("a", None), ("a", b""), ("\N{SNOWMAN}", b"\xff")), timestamp_ms=4
        ),
    ]

    async with client.producer(plain_proxy.bootstrap) as producer:
        await producer.send(topic, sent)

    assert await client.consume(plain_proxy.bootstrap, topic, len(sent)) == sent


@pytest.mark.parametrize("acks", [0, 1, "all"])
async def test_every_kind_of_acknowledgement(
    client: Client, acks: int | str, plain_proxy: ProxyProcess, make_topic: MakeTopic
) -> None:
    topic = make_topic("acks")
    sent = messages(20)

    async with client.producer(plain_proxy.bootstrap, acks=acks) as producer:
        offsets = await producer.send(topic, sent)

    assert await client.consume(plain_proxy.bootstrap, topic, len(sent)) == sent
    if acks != 0:
        assert offsets == list(range(len(sent)))


async def test_idempotent_producer(
    client: Client, plain_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("idempotent")

    async with client.producer(plain_proxy.bootstrap, idempotent=True) as producer:
        for first in range(0, 60, 20):
            await producer.send(topic, messages(20, first=first))

    assert await client.consume(plain_proxy.bootstrap, topic, 60) == messages(60)
    batches = read_batches(kafka.segments(topic)[0])
    assert len({batch.producer_id for batch in batches}) == 1
    assert batches[0].producer_id >= 0


@pytest.mark.parametrize("codec", ["none", "lz4"])
async def test_records_of_five_megabytes(
    client: Client, codec: str, plain_proxy: ProxyProcess, make_topic: MakeTopic
) -> None:
    topic = make_topic("large")
    sent = [
        Message(
            key=b"large", value=(b'{"n":%d,"filler":"' % number) + b"0123456789abcdef" * 327_680 + b'"}', timestamp_ms=1
        )
        for number in range(3)
    ]

    async with client.producer(plain_proxy.bootstrap, codec=codec) as producer:
        await producer.send(topic, sent)

    assert await client.consume(plain_proxy.bootstrap, topic, len(sent)) == sent


async def test_topic_that_the_broker_makes_at_first_use(
    client: Client, plain_proxy: ProxyProcess, topic_name: Callable[[str], str]
) -> None:
    topic = topic_name("automatic")
    sent = messages(5)

    async with client.producer(plain_proxy.bootstrap) as producer:
        await producer.send(topic, sent)

    assert await client.consume(plain_proxy.bootstrap, topic, len(sent)) == sent


async def test_partitions_keep_their_own_records(
    client: Client, plain_proxy: ProxyProcess, make_topic: MakeTopic
) -> None:
    topic = make_topic("partitions", partitions=7)
    sent = [message for partition in range(7) for message in messages(5, first=partition * 5, partition=partition)]

    async with client.producer(plain_proxy.bootstrap) as producer:
        await producer.send(topic, sent)
    received = await client.consume(plain_proxy.bootstrap, topic, len(sent))

    assert sorted(received, key=lambda message: message.key or b"") == sorted(
        sent, key=lambda message: message.key or b""
    )


def test_clients_are_told_of_the_proxy_and_of_no_broker(plain_proxy: ProxyProcess, kafka: KafkaCluster) -> None:
    node = kafka.broker.node_id

    with RawClient(plain_proxy.bootstrap) as bootstrap, RawClient(f"127.0.0.1:{plain_proxy.port_of(node)}") as direct:
        told = brokers_told(bootstrap), brokers_told(direct)

    assert told == ({node: ("127.0.0.1", plain_proxy.port_of(node))},) * 2


@pytest.mark.parametrize("version", range(3, 14))
def test_every_version_of_produce(
    version: int, plain_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("version")
    batch = write_batch([b"one", None, b"three"])

    with RawClient(plain_proxy.bootstrap) as client:
        target = topic_id(client, topic) if version >= 13 else topic
        answer = ask_produce(client, target, batch, version=version)

    assert answer[0].error_code == 0
    (stored,) = read_batches(kafka.segments(topic)[0])
    assert [record.value for record in stored.records] == [b"one", None, b"three"]


def test_answers_come_in_the_order_of_the_requests(plain_proxy: ProxyProcess, make_topic: MakeTopic) -> None:
    from support.requests import fetch_frame, produce_frame

    topic = make_topic("order")
    # A fetch that waits at the broker stands first; what follows on the connection must wait behind it.
    frames = [fetch_frame(topic, wait_ms=700, correlation_id=0)]
    frames += [produce_frame(topic, write_batch([b"x"]), correlation_id=number) for number in range(1, 30)]

    with RawClient(f"127.0.0.1:{plain_proxy.port_of(3)}") as client:
        client.send(b"".join(frames))
        answers = [client.read() for _ in frames]

    assert [int.from_bytes((answer or b"")[:4], "big") for answer in answers] == list(range(30))
