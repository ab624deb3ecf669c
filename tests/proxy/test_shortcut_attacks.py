"""What could slip through the short way while something else changes: each ends masked, refused or cut short."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from support.batches import write_batch
from support.requests import fetch_frame, plain_frame, produce_frame
from support.scripted import Stage, fetched, metadata, proxied, rules_text

SSN = b"123-45-6789"
LARGE = write_batch([b'{"ssn":"123-45-6789"}' + b" " * 1000] * 400)
SMALL = write_batch([b'{"ssn":"123-45-6789"}'])
TOPIC_ID = uuid.UUID(int=0x1234)
GROUPS = plain_frame(16, 2)
FOR_RAW_ONLY = "    when: {client: 'clientId == \"raw\"'}\n"


def called(frame: bytes, client_id: bytes) -> bytes:
    """The same request of a client with another name of three characters."""
    return frame.replace(b"\0\3raw", b"\0\3" + client_id, 1)


async def beginning_at_broker(stage: Stage, count: int) -> bytes:
    """What the broker has of a frame whose end it does not have."""
    async with asyncio.timeout(10):
        while not stage.broker.peers or len(waiting_at(stage)) < count:  # noqa: ASYNC110 - a reader has no event
            await asyncio.sleep(0.005)
    return waiting_at(stage)


def waiting_at(stage: Stage) -> bytes:
    (peer,) = stage.broker.peers
    return bytes(peer.reader._buffer)  # type: ignore[attr-defined]


async def test_a_response_that_learns_of_new_rules_does_not_let_an_older_passage_finish() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(fetch_frame("clear"))
        fetch = await stage.broker.asked()
        frame = produce_frame("clear", LARGE)
        await client.send(frame[:200_000])
        await beginning_at_broker(stage, 190_000)

        stage.rules.apply(rules_text("produce", topic="clear"))
        await stage.broker.answer(fetch, fetched(11, {"other": {0: SMALL}}))  # the short way begins anew with them
        assert await client.read() is not None
        await client.send(frame[200_000:])

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


async def test_new_rules_are_asked_for_the_client_that_a_passage_began_under() -> None:
    async with proxied(rules_text("produce", topic="other", more=FOR_RAW_ONLY)) as stage:
        client = await stage.connect()
        await client.send(produce_frame("clear", SMALL))  # the short way learns this client's name
        await client.send(called(plain_frame(16, 2), b"cat"))  # which is another one now
        frame = produce_frame("clear", LARGE)
        await client.send(frame[:200_000])
        for _ in range(2):
            await stage.broker.asked()
        await beginning_at_broker(stage, 190_000)

        stage.rules.apply(rules_text("produce", topic="clear", more=FOR_RAW_ONLY))
        await client.send(frame[200_000:])

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


@pytest.mark.parametrize("worker_bytes", [0, 1 << 20], ids=["on a worker", "at once"])
async def test_requests_behind_one_that_is_looked_up_keep_their_order(worker_bytes: int) -> None:
    async with proxied(rules_text("produce"), worker_bytes=worker_bytes) as stage:
        client = await stage.connect()

        await client.send(
            produce_frame(TOPIC_ID, SMALL, version=13, correlation_id=1) + produce_frame("clear", SMALL) + GROUPS
        )
        look_up = await stage.broker.asked()
        hears_nothing = await stage.broker.hears_nothing()
        await stage.broker.answer(look_up, metadata(12, topics={"payments": TOPIC_ID}))
        asked = [await stage.broker.asked() for _ in range(3)]

        assert look_up.header.api.name == "Metadata"
        assert hears_nothing
        assert [one.header.version for one in asked] == [13, 9, 2]
        assert SSN not in asked[0].frame


async def test_large_fetch_requests_are_read_by_a_worker() -> None:
    async with proxied(rules_text("fetch"), worker_bytes=0) as stage:
        client = await stage.connect()

        await client.send(fetch_frame("payments", max_bytes=2**31 - 1) + GROUPS)
        asked = [await stage.broker.asked() for _ in range(2)]

        assert [one.header.api.name for one in asked] == ["Fetch", "ListGroups"]


async def test_a_header_as_long_as_a_frame_is_forwarded_and_not_remembered() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = produce_frame("clear", SMALL, version=9)
        tags = b"\1\0" + b"\xd0\x0f" + bytes(2000)
        long = frame[4:17] + tags + frame[18:]

        await client.send(len(long).to_bytes(4) + long)
        asked = await stage.broker.asked()
        (connection,) = stage.shared.open

        assert asked.frame == long
        assert not connection._shortcut._requests


@pytest.mark.parametrize("others", [0, 2])
async def test_a_response_is_judged_for_the_client_that_asked(others: int) -> None:
    async with proxied(rules_text("fetch", topic="clear", more=FOR_RAW_ONLY)) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("clear") + called(fetch_frame("other"), b"cat") * others)
        asked = [await stage.broker.asked() for _ in range(1 + others)]

        for one in (*asked[1:], asked[0]):
            assert one.header.client_id == ("raw" if one is asked[0] else "cat")
        await stage.broker.answer(asked[0], fetched(11, {"clear": {0: SMALL}}))
        told = await client.read()

        assert told is not None
        assert SSN not in told
