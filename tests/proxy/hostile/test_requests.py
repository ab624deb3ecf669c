"""Requests that are made to get round the rules: what reaches the broker is masked, or nothing does."""

from __future__ import annotations

import struct
import uuid
from typing import Any

import pytest

from support.batches import read_batches, write_batch
from support.hostile import BEYOND, TWICE, produce_of, sent
from support.kafka_oracle import oracle
from support.requests import fetch_frame, plain_frame, produce_frame, read_fetched, read_produced
from support.scripted import Stage, fetched, metadata, proxied, rules_text
from wiremask.protocol.errors import ErrorCode

SSN = b"123-45-6789"
RECORDS = write_batch([b'{"ssn":"123-45-6789"}'])
MASKED = [b'{"ssn":"[redacted]"}']
TOPIC_ID, OTHER_ID = uuid.UUID(int=7), uuid.UUID(int=8)
PRODUCE, FETCH = 0, 1


@pytest.mark.parametrize("version", [3, 8, 9, 12, 13])
@pytest.mark.parametrize("topics", TWICE.values(), ids=TWICE)
async def test_what_is_named_twice_is_masked_twice(topics: list[tuple[str, list[int]]], version: int) -> None:
    ids = {"payments": TOPIC_ID, "clear": OTHER_ID}
    async with proxied(rules_text("produce")) as stage:
        for name, topic_id in ids.items():
            stage.learn(topic_id, name)
        client = await stage.connect()

        named = [(ids[topic] if version >= 13 else topic, partitions) for topic, partitions in topics]
        await client.send(produce_of(version, named))
        asked = await stage.broker.asked()

        expected = [(index, MASKED) for topic, partitions in topics for index in partitions]
        assert sent(asked.body, version) == expected
        assert SSN not in asked.frame


@pytest.mark.parametrize("version", [3, 9, 13])
async def test_no_topics_and_no_partitions_carry_nothing(version: int) -> None:
    async with proxied(rules_text("produce")) as stage:
        stage.learn(TOPIC_ID, "payments")
        client = await stage.connect()
        topic: str | uuid.UUID = TOPIC_ID if version >= 13 else "payments"

        for topics in ([], [(topic, [])]):
            frame = produce_of(version, topics)
            await client.send(frame)
            assert (await stage.broker.asked()).frame == frame[4:]


async def test_an_id_of_a_topic_made_a_second_ago_is_asked_for_and_masked() -> None:
    async with proxied(rules_text("produce, fetch", more="")) as stage:
        stage.learn(OTHER_ID, "payments")  # its name, before it was deleted and made anew
        client = await stage.connect()

        await client.send(produce_frame(TOPIC_ID, RECORDS, version=13))
        await stage.broker.answer(await stage.broker.asked(), metadata(12, topics={"payments": TOPIC_ID}))
        asked = await stage.broker.asked()

        assert asked.header.api.name == "Produce"
        assert SSN not in asked.frame


@pytest.mark.parametrize("version", [11, 14], ids=["replica 1", "replica -2, a debugging consumer"])
async def test_a_fetch_in_the_name_of_a_replica_is_masked_too(version: int) -> None:
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(TOPIC_ID, "payments")
        client = await stage.connect()
        topic: str | uuid.UUID = TOPIC_ID if version >= 13 else "payments"
        frame = bytearray(fetch_frame(topic, version=version))
        body = frame.index(b"raw") + 3 + (version >= 12)
        frame[body : body + 4] = struct.pack(">i", 1 if version == 11 else -2)

        await client.send(bytes(frame))
        told = await answered(stage, client, version, topic)

        assert [record.value for batch in read_batches(told) for record in batch.records] == MASKED


async def test_a_fetch_with_the_state_of_a_replica_is_masked_too() -> None:
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(TOPIC_ID, "payments")
        client = await stage.connect()
        values = oracle("FetchRequest").sample(17)
        values["topics"] = [{**values["topics"][0], "topic_id": TOPIC_ID}]
        values["replica_state"] = {"replica_id": 1, "replica_epoch": 5}
        body = oracle("FetchRequest").encode(values, 17)

        await client.send(plain_frame(FETCH, 17, body, flexible=True))
        told = await answered(stage, client, 17, TOPIC_ID)

        assert [record.value for batch in read_batches(told) for record in batch.records] == MASKED


@pytest.mark.parametrize("version", [11, 17])
async def test_a_fetch_from_inside_a_session_that_names_no_topic_is_masked(version: int) -> None:
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(TOPIC_ID, "payments")
        client = await stage.connect()

        await client.send(fetch_frame(None, version=version, session=(77, 3)))
        told = await answered(stage, client, version, TOPIC_ID if version >= 13 else "payments")

        assert [record.value for batch in read_batches(told) for record in batch.records] == MASKED


async def answered(stage: Stage, client: Any, version: int, topic: str | uuid.UUID) -> bytes:
    """The records that the client gets of a topic with a rule."""
    await stage.broker.answer(await stage.broker.asked(), fetched(version, {topic: {0: RECORDS}}))
    frame = await client.read()
    assert frame is not None
    assert SSN not in frame
    return read_fetched(frame, version)[0].records


@pytest.mark.parametrize("frame", BEYOND.values(), ids=BEYOND)
async def test_a_version_or_key_beyond_the_table_never_arrives(frame: bytes) -> None:
    async with proxied() as stage:
        client = await stage.connect()

        await client.send(frame)

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


async def test_no_version_between_what_a_client_wants_and_what_the_proxy_offers_is_forwarded() -> None:
    async with proxied(rules_text("produce, fetch")) as stage:
        client = await stage.connect()
        await client.send(plain_frame(18, 0))
        offers = struct.pack(">hi", 0, 2) + struct.pack(">hhhhhh", PRODUCE, 0, 99, FETCH, 0, 99)
        await stage.broker.answer(await stage.broker.asked(), offers)
        told = await client.read() or b""
        ranges = dict(zip(("produce", "fetch"), struct.iter_unpack(">hhh", told[10:]), strict=True))

        refused = []
        for key, _, last in ranges.values():
            other = await stage.connect()
            await other.send(plain_frame(key, last + 1, flexible=True))
            refused.append(await other.read())

        assert [(key, last) for key, _, last in ranges.values()] == [(PRODUCE, 13), (FETCH, 18)]
        assert refused == [None, None]


async def test_a_refused_id_takes_no_other_partition_with_it() -> None:
    async with proxied(rules_text("produce")) as stage:
        stage.learn(OTHER_ID, "payments")
        client = await stage.connect()

        await client.send(produce_of(13, [(TOPIC_ID, [0]), (OTHER_ID, [1])]))
        await stage.broker.answer(await stage.broker.asked(), metadata(12))
        asked = await stage.broker.asked()
        values = oracle("ProduceResponse").sample(13)
        values.pop("node_endpoints")
        values["responses"] = []
        await stage.broker.answer(asked, oracle("ProduceResponse").encode(values, 13))
        told = await client.read()

        assert sent(asked.body, 13) == [(1, MASKED)]
        assert told is not None
        assert read_produced(told, 13)[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID
