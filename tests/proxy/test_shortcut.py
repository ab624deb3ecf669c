"""The short way: frames that need nothing go on as they lie, large ones while they arrive."""

from __future__ import annotations

import asyncio
import struct
import sys
import uuid

import pytest

from support.batches import write_batch
from support.requests import fetch_frame, plain_frame, produce_frame, read_produced
from support.scripted import Stage, fetched, produced, proxied, rules_text
from wiremask.proxy import metrics

LARGE = write_batch([b'{"ssn":"123-45-6789"}' + b" " * 1000] * 400)
SMALL = write_batch([b'{"ssn":"123-45-6789"}'])
TOPIC_ID = uuid.UUID(int=0x1234)


async def beginning_at_broker(stage: Stage, count: int) -> bytes:
    """What the broker has of a frame whose end it does not have."""
    async with asyncio.timeout(10):
        while not stage.broker.peers or len(arrived_at(stage)) < count:  # noqa: ASYNC110 - a reader has no event
            await asyncio.sleep(0.005)
    return arrived_at(stage)


def arrived_at(stage: Stage) -> bytes:
    """What the broker has read and not made a request of."""
    (peer,) = stage.broker.peers
    return bytes(peer.reader._buffer)  # type: ignore[attr-defined]


@pytest.mark.parametrize("version", [3, 8, 9, 12])
async def test_a_large_produce_of_a_topic_without_a_rule_goes_on_while_it_arrives(version: int) -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = produce_frame("clear", LARGE, version=version)

        await client.send(frame[:200_000])
        early = await beginning_at_broker(stage, 190_000)
        await client.send(frame[200_000:] + produce_frame("clear", SMALL, version=version, correlation_id=2))
        first, second = await stage.broker.asked(), await stage.broker.asked()
        await stage.broker.answer(first, produced(version, {"clear": {0: 0}}))
        answer = await client.read()

        assert early == frame[4:200_000]
        assert first.frame == frame[4:]
        assert second.header.correlation_id == 2
        assert answer is not None
        assert read_produced(answer, version)[0].error_code == 0


@pytest.mark.parametrize("held_back", [1, 2, 3])
async def test_the_broker_has_the_whole_request_only_after_the_last_look_at_it(held_back: int) -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = produce_frame("clear", LARGE, version=9)

        await client.send(frame[:-held_back])
        early = await beginning_at_broker(stage, len(frame) - 7)
        await client.send(frame[-held_back:])
        asked = await stage.broker.asked()

        assert len(early) == len(frame) - 4 - 3  # the three tagged sections behind the records
        assert asked.frame == frame[4:]


async def test_a_large_produce_that_is_unsound_behind_its_records_never_arrives_whole() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = produce_frame("clear", LARGE, version=9)

        refused = metrics.refused_requests.labels("MalformedFrame").value
        await client.send(frame[:200_000])
        await beginning_at_broker(stage, 190_000)
        await client.send(frame[200_000:-1] + b"\5")

        assert await client.read() is None
        assert await stage.broker.hears_nothing()
        assert metrics.refused_requests.labels("MalformedFrame").value == refused + 1


async def test_a_rule_that_comes_while_a_produce_passes_keeps_it_from_arriving_whole() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = produce_frame("clear", LARGE)
        await client.send(frame[:200_000])
        await beginning_at_broker(stage, 190_000)

        stage.rules.apply(rules_text("produce", topic="clear"))
        await client.send(frame[200_000:])

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


async def test_another_ruleset_that_spares_the_topic_too_lets_it_finish() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = produce_frame("clear", LARGE)
        await client.send(frame[:200_000])
        await beginning_at_broker(stage, 190_000)

        stage.rules.apply(rules_text("produce", topic="yet-another"))
        await client.send(frame[200_000:])

        assert (await stage.broker.asked()).frame == frame[4:]


async def test_a_connection_that_streamed_a_frame_does_not_hold_on_to_the_ruleset_that_was_replaced() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(produce_frame("clear", LARGE, acks=0))
        await stage.broker.asked()
        replaced = stage.rules.current.plan

        stage.rules.apply(rules_text("produce", topic="yet-another"))
        await client.send(produce_frame("clear", SMALL, acks=0))
        await stage.broker.asked()

        assert sys.getrefcount(replaced) == 2  # `replaced`, and the argument


async def test_a_large_produce_of_a_topic_with_a_rule_is_assembled_and_masked() -> None:
    async with proxied(rules_text("produce", topic="masked")) as stage:
        client = await stage.connect()
        frame = produce_frame("masked", LARGE)

        await client.send(frame[:200_000])
        await asyncio.sleep(0.1)
        early = arrived_at(stage)
        await client.send(frame[200_000:])
        asked = await stage.broker.asked()

        assert early == b""
        assert b"123-45-6789" not in asked.frame


async def test_acks_0_goes_on_while_it_arrives_and_is_not_awaited() -> None:
    async with proxied() as stage:
        client = await stage.connect()

        await client.send(produce_frame("clear", LARGE, acks=0) + produce_frame("clear", SMALL, correlation_id=2))
        large, small = await stage.broker.asked(), await stage.broker.asked()
        await stage.broker.answer(small, produced(9, {"clear": {0: 0}}))

        assert len(large.frame) > len(LARGE)
        assert (await client.read() or b"")[:4] == struct.pack(">i", 2)


async def test_a_client_that_leaves_in_the_middle_of_a_large_produce_ends_the_connection() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(produce_frame("clear", LARGE)[:200_000])
        await beginning_at_broker(stage, 190_000)

        client.writer.write_eof()

        assert await client.read() is None
        assert await stage.broker.hears_nothing()
        assert not stage.shared.open


async def test_a_drain_lets_a_large_produce_finish() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = produce_frame("clear", LARGE)
        await client.send(frame[:200_000])
        await beginning_at_broker(stage, 190_000)

        for connection in list(stage.shared.open):
            connection.drain()
        await client.send(frame[200_000:])
        await stage.broker.answer(await stage.broker.asked(), produced(9, {"clear": {0: 0}}))

        assert await client.read() is not None
        assert await client.read() is None


async def test_one_request_in_flight_is_enough_for_a_large_produce() -> None:
    async with proxied(in_flight_requests=1) as stage:
        client = await stage.connect()
        frame = produce_frame("clear", LARGE)

        await client.send(frame + frame)
        for _ in range(2):
            await stage.broker.answer(await stage.broker.asked(), produced(9, {"clear": {0: 0}}))

        assert [await client.read() is not None for _ in range(2)] == [True, True]


async def test_a_look_up_waits_until_a_large_produce_is_whole() -> None:
    async with proxied(rules_text("fetch", topic="masked")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame(None, version=13))
        fetch = await stage.broker.asked()
        frame = produce_frame("clear", LARGE)
        await client.send(frame[:200_000])
        await beginning_at_broker(stage, 190_000)

        await stage.broker.answer(fetch, fetched(13, {TOPIC_ID: {0: SMALL}}))
        await asyncio.sleep(0.05)
        await client.send(frame[200_000:])
        asked = [await stage.broker.asked() for _ in range(2)]

        assert [one.header.api.name for one in asked] == ["Produce", "Metadata"]
        assert asked[0].frame == frame[4:]


async def test_frames_of_the_short_and_the_long_way_keep_their_order() -> None:
    async with proxied(rules_text("produce", topic="masked")) as stage:
        client = await stage.connect()
        topics = ["clear", "masked", "clear", "clear", "masked", "clear"]

        await client.send(
            b"".join(produce_frame(topic, SMALL, correlation_id=number) for number, topic in enumerate(topics))
        )
        asked = [await stage.broker.asked() for _ in topics]
        for topic, one in zip(topics, asked, strict=True):
            await stage.broker.answer(one, produced(9, {topic: {0: 0}}))
        answers = [await client.read() or b"" for _ in topics]

        assert [one.header.correlation_id for one in asked] == list(range(6))
        assert [b"123-45-6789" in one.frame for one in asked] == [topic == "clear" for topic in topics]
        assert [struct.unpack_from(">i", answer)[0] for answer in answers] == list(range(6))


async def test_a_rule_that_comes_is_obeyed_by_the_next_request() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(produce_frame("clear", SMALL))
        before = await stage.broker.asked()

        stage.rules.apply(rules_text("produce", topic="clear"))
        await client.send(produce_frame("clear", SMALL))
        after = await stage.broker.asked()

        assert b"123-45-6789" in before.frame
        assert b"123-45-6789" not in after.frame


async def test_rules_for_one_client_id_hold_when_the_connection_changes_its_name() -> None:
    more = "    when: {client: 'clientId == \"raw\"'}\n"
    async with proxied(rules_text("produce", topic="payments", more=more)) as stage:
        client = await stage.connect()
        frame = produce_frame("payments", SMALL)
        other = frame.replace(b"\0\3raw", b"\0\3cat", 1)

        await client.send(other + other + frame + other + frame)
        asked = [await stage.broker.asked() for _ in range(5)]

        assert [b"123-45-6789" in one.frame for one in asked] == [True, True, False, True, False]


async def test_fetch_limits_are_lowered_on_every_request() -> None:
    async with proxied(rules_text("fetch", topic="masked"), frame_bytes=1 << 20) as stage:
        client = await stage.connect()
        low, high = (fetch_frame("clear", max_bytes=size, partition_max_bytes=size) for size in (1000, 50_000_000))

        await client.send(low + low + high + low)
        asked = [await stage.broker.asked() for _ in range(4)]

        assert [one.frame == low[4:] for one in asked] == [True, True, False, True]
        assert len({one.frame for one in asked}) == 2


async def test_requests_are_counted_by_either_way() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        before = dict(metrics.requests.counts)

        await client.send(produce_frame("clear", SMALL) + produce_frame("clear", LARGE) + plain_frame(16, 2))
        for _ in range(3):
            await stage.broker.asked()

        counted = {api: metrics.requests.counts[api] - before.get(api, 0) for api in ("Produce", "ListGroups")}
        assert counted == {"Produce": 2, "ListGroups": 1}
