"""Share groups through the proxy: the same masks as Fetch, and no record lost to a batch that cannot be read."""

from __future__ import annotations

import struct
import uuid
from typing import Any

import pytest

from support.batches import read_batches, write_batch
from support.kafka_oracle import oracle
from support.requests import plain_frame
from support.scripted import metadata, proxied, rules_text
from wiremask.protocol import api as apis
from wiremask.protocol.errors import ErrorCode

CLEAR = b'{"ssn":"123-45-6789"}'
MASKED = b'{"ssn":"[redacted]"}'
TOPIC = uuid.UUID(int=7)
ACQUIRED = [{"first_offset": 0, "last_offset": 4, "delivery_count": 1}]
versions = pytest.mark.parametrize("version", [1, 2])


def share_fetch_frame(*topics: uuid.UUID, version: int = 1, max_bytes: int = 50_000_000) -> bytes:
    acknowledged = [{"first_offset": 0, "last_offset": 1, "acknowledge_types": [1, 3]}]
    partitions = [{"partition_index": 0, "acknowledgement_batches": acknowledged}]
    values = {
        "group_id": "group",
        "member_id": "member",
        "share_session_epoch": 0,
        "max_wait_ms": 500,
        "min_bytes": 1,
        "max_bytes": max_bytes,
        "max_records": 500,
        "batch_size": 500,
        "share_acquire_mode": 0,
        "is_renew_ack": False,
        "topics": [{"topic_id": topic, "partitions": partitions} for topic in topics],
        "forgotten_topics_data": [],
    }
    body = oracle("ShareFetchRequest").encode(values, version)
    return plain_frame(apis.SHARE_FETCH, version, body, flexible=True)


def share_fetched(partitions: dict[int, bytes], *, topic: uuid.UUID = TOPIC, version: int = 1) -> bytes:
    return oracle("ShareFetchResponse").encode(
        {
            "throttle_time_ms": 3,
            "error_code": 0,
            "error_message": None,
            "acquisition_lock_timeout_ms": 30_000,
            "responses": [
                {
                    "topic_id": topic,
                    "partitions": [
                        {
                            "partition_index": index,
                            "error_code": 0,
                            "error_message": None,
                            "acknowledge_error_code": 121,
                            "acknowledge_error_message": "invalid record state",
                            "current_leader": {"leader_id": 0, "leader_epoch": 0},
                            "records": records,
                            "acquired_records": ACQUIRED,
                        }
                        for index, records in partitions.items()
                    ],
                }
            ],
            "node_endpoints": [{"node_id": 1, "host": "kafka-1.internal", "port": 9092, "rack": None}],
        },
        version,
    )


def read_share_fetched(frame: bytes | None, version: int = 1) -> dict[str, Any]:
    assert frame is not None
    assert frame[4] == 0, "the response header has a tagged section, and nothing in it"
    return oracle("ShareFetchResponse").decode(frame[5:], version)


def values(records: bytes) -> list[bytes | None]:
    return [record.value for batch in read_batches(records) for record in batch.records]


@versions
async def test_masks_what_a_member_of_a_share_group_reads(version: int) -> None:
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(TOPIC, "payments")
        client = await stage.connect()
        frame = share_fetch_frame(TOPIC, version=version)
        body = share_fetched({0: write_batch([CLEAR, None, CLEAR]), 1: b""}, version=version)

        await client.send(frame)
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, body)
        told = read_share_fetched(await client.read(), version)

        expected = oracle("ShareFetchResponse").decode(body, version)
        first, second = told["responses"][0]["partitions"]
        assert asked.frame == frame[4:]
        assert values(first.pop("records")) == [MASKED, None, MASKED]
        expected["responses"][0]["partitions"][0].pop("records")
        assert [first, second] == expected["responses"][0]["partitions"]
        assert told["node_endpoints"] == [
            {"node_id": 1, "host": "127.0.0.1", "port": stage.listener.config.ports[2], "rack": None}
        ]


async def test_asks_for_a_topic_s_name_before_it_forwards_a_share_fetch() -> None:
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()

        await client.send(share_fetch_frame(TOPIC))
        look_up = await stage.broker.asked()
        hears_nothing = await stage.broker.hears_nothing()
        await stage.broker.answer(look_up, metadata(12, topics={"payments": TOPIC}))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, share_fetched({0: write_batch([CLEAR])}))
        told = read_share_fetched(await client.read())

        assert look_up.header.api.key == apis.METADATA
        assert hears_nothing
        assert asked.header.api.key == apis.SHARE_FETCH
        assert values(told["responses"][0]["partitions"][0]["records"]) == [MASKED]


async def test_withholds_records_of_a_topic_id_that_nobody_names() -> None:
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()

        await client.send(share_fetch_frame())
        await stage.broker.answer(await stage.broker.asked(), share_fetched({0: write_batch([CLEAR])}))
        await stage.broker.answer(await stage.broker.asked(), metadata(12))
        told = read_share_fetched(await client.read())

        (partition,) = told["responses"][0]["partitions"]
        assert (partition["error_code"], partition["records"]) == (ErrorCode.UNKNOWN_TOPIC_ID, b"")
        assert partition["acquired_records"] == []


def with_wrong_crc(batch: bytes) -> bytes:
    return batch[:20] + bytes([batch[20] ^ 1]) + batch[21:]


def with_unknown_codec(batch: bytes) -> bytes:
    from wiremask.protocol.batch import crc32c

    changed = batch[:22] + bytes([batch[22] | 7]) + batch[23:]
    return changed[:17] + struct.pack(">I", crc32c(changed[21:])) + changed[21:]


@pytest.mark.parametrize(
    "spoil",
    [with_wrong_crc, with_unknown_codec, lambda batch: batch[:16] + b"\x09" + batch[17:]],
    ids=["crc", "codec", "magic"],
)
async def test_what_it_cannot_read_is_not_acquired_so_that_the_client_acknowledges_no_gap(spoil: Any) -> None:
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(TOPIC, "payments")
        client = await stage.connect()
        spoiled = spoil(write_batch([CLEAR]))

        await client.send(share_fetch_frame(TOPIC))
        await stage.broker.answer(await stage.broker.asked(), share_fetched({0: spoiled, 1: write_batch([CLEAR])}))
        told = read_share_fetched(await client.read())

        first, second = told["responses"][0]["partitions"]
        assert (first["error_code"], first["records"], first["acquired_records"]) == (2, b"", [])
        assert (first["acknowledge_error_code"], first["acknowledge_error_message"]) == (121, "invalid record state")
        assert (second["error_code"], second["acquired_records"]) == (0, ACQUIRED)
        assert values(second["records"]) == [MASKED]


async def test_masks_that_outgrow_the_limit_leave_no_batch_out_since_all_are_acquired() -> None:
    async with proxied(rules_text("fetch", mask="{fixed: {value: " + "x" * 500 + "}}")) as stage:
        stage.learn(TOPIC, "payments")
        client = await stage.connect()

        await client.send(share_fetch_frame(TOPIC, max_bytes=100))
        await stage.broker.answer(await stage.broker.asked(), share_fetched({0: write_batch([CLEAR]) * 5}))
        told = read_share_fetched(await client.read())

        (partition,) = told["responses"][0]["partitions"]
        assert values(partition["records"]) == [b'{"ssn":"' + b"x" * 500 + b'"}'] * 5
        assert partition["acquired_records"] == ACQUIRED


async def test_cuts_a_partial_batch_off_what_a_share_group_reads() -> None:
    whole, partial = write_batch([CLEAR]), write_batch([CLEAR])[:-1]
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(TOPIC, "payments")
        client = await stage.connect()

        await client.send(share_fetch_frame(TOPIC))
        await stage.broker.answer(await stage.broker.asked(), share_fetched({0: whole + partial}))
        told = read_share_fetched(await client.read())

        assert values(told["responses"][0]["partitions"][0]["records"]) == [MASKED]


@versions
async def test_acknowledgements_pass_and_their_answer_leads_to_the_proxy(version: int) -> None:
    request = {
        "group_id": "group",
        "member_id": "member",
        "share_session_epoch": 4,
        "is_renew_ack": False,
        "topics": [],
    }
    answer = {
        "throttle_time_ms": 0,
        "error_code": 0,
        "error_message": None,
        "acquisition_lock_timeout_ms": 30_000,
        "responses": [],
        "node_endpoints": [{"node_id": 0, "host": "kafka-0.internal", "port": 9092, "rack": "a"}],
    }
    async with proxied() as stage:
        client = await stage.connect()
        body = oracle("ShareAcknowledgeRequest").encode(request, version)
        frame = plain_frame(apis.SHARE_ACKNOWLEDGE, version, body, flexible=True)

        await client.send(frame)
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, oracle("ShareAcknowledgeResponse").encode(answer, version))
        told = await client.read()

        assert asked.frame == frame[4:]
        assert told is not None
        assert oracle("ShareAcknowledgeResponse").decode(told[5:], version)["node_endpoints"] == [
            {"node_id": 0, "host": "127.0.0.1", "port": stage.listener.config.ports[1], "rack": "a"}
        ]


async def test_a_share_fetch_that_does_not_parse_closes_the_connection() -> None:
    async with proxied() as stage:
        client = await stage.connect()

        await client.send(plain_frame(apis.SHARE_FETCH, 1, b"garbage", flexible=True))

        assert await client.read() is None
