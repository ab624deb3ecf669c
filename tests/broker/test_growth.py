"""Masks make records larger: what the broker then says to a producer, and what a reader with little room is given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.batches import read_batches, write_batch
from support.capture import RawClient
from support.client import Client, ProduceRefused
from support.customers import KEY_ENV, MASKING_RULES, customer, is_masked, messages
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess
from support.requests import ask_fetch, ask_produce

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]

MESSAGE_TOO_LARGE = 10
FULL = 20
"""Customers in a batch that the broker takes as they are, and not once they are masked."""

BATCHES, IN_A_BATCH = 60, 8
ROOM = 40_000
"""Bytes for which a reader asks: fewer than all batches have, and so many that growth is more than its slack."""


def test_a_batch_that_masks_make_too_large_is_refused_by_the_broker_and_told_as_growth(
    start_proxy: Callable[..., ProxyProcess], kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    full = write_batch([customer(number) for number in range(FULL)])
    topic = make_topic("stored", partitions=3, max_message_bytes=str(len(full)))
    proxy = start_proxy(rules=MASKING_RULES, env=KEY_ENV)
    small = write_batch([customer(0)])

    with RawClient(kafka.bootstrap) as direct:
        taken = ask_produce(direct, make_topic("clear", max_message_bytes=str(len(full))), full)
    with RawClient(f"127.0.0.1:{proxy.port_of(kafka.broker.node_id)}") as client:
        found = ask_produce(client, topic, {0: full, 1: small, 2: full})
        again = ask_produce(client, topic, {1: small})

    assert taken[0].error_code == 0
    assert {index: partition.error_code for index, partition in found.items()} == {
        0: MESSAGE_TOO_LARGE,
        1: 0,
        2: MESSAGE_TOO_LARGE,
    }
    assert again[1].base_offset == 1
    assert proxy.metric("wiremask_outgrown_partitions_total") == 2
    assert proxy.says("masked records are too large for the broker", topic, "raise max.message.bytes of the topic")


async def test_a_producer_is_told_that_its_record_is_too_large(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    (message,) = messages(1)
    clear = make_topic("clear")
    async with client.producer(kafka.bootstrap) as producer:
        await producer.send(clear, [message])
    topic = make_topic("stored", max_message_bytes=str(len(kafka.segments(clear)[0])))

    async with client.producer(kafka.bootstrap) as producer:
        placed = await producer.send(topic, [message])
    async with client.producer(masking_proxy.bootstrap) as producer:
        with pytest.raises(ProduceRefused) as refused:
            await producer.send(topic, [message])

    assert placed == [0]
    assert refused.value.code == MESSAGE_TOO_LARGE


def fill(kafka: KafkaCluster, topic: str) -> None:
    """Stores batches of customers in the clear."""
    with RawClient(kafka.bootstrap) as direct:
        for first in range(0, BATCHES * IN_A_BATCH, IN_A_BATCH):
            batch = write_batch([customer(number) for number in range(first, first + IN_A_BATCH)])
            assert ask_produce(direct, topic, batch)[0].error_code == 0


def test_batches_at_the_end_that_masks_leave_no_room_for_come_with_the_next_fetch(
    masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    fill(kafka, topic)

    fetches, values = [], []
    with (
        RawClient(f"127.0.0.1:{masking_proxy.port_of(kafka.broker.node_id)}") as client,
        RawClient(kafka.bootstrap) as direct,
    ):
        unmasked = ask_fetch(direct, topic, max_bytes=ROOM).records
        while len(values) < BATCHES * IN_A_BATCH:
            records = ask_fetch(client, topic, offset=len(values), max_bytes=ROOM).records
            fetches.append(len(records))
            values += [record.value or b"" for batch in read_batches(records) for record in batch.records]

    assert all(is_masked(value, number) for number, value in enumerate(values))
    assert max(fetches) <= ROOM
    assert ROOM - len(unmasked) < len(unmasked) // BATCHES * 4, "the broker did not fill the reader's room"
    assert len(fetches) > 1


async def test_a_reader_with_little_room_is_given_frames_that_it_takes(
    client: Client, masking_proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    topic = make_topic("viewed")
    fill(kafka, topic)

    read = await client.consume(masking_proxy.bootstrap, topic, BATCHES * IN_A_BATCH, fetch_bytes=ROOM)

    assert [message.offset for message in read] == list(range(BATCHES * IN_A_BATCH))
    assert all(is_masked(message.value or b"", number) for number, message in enumerate(read))
