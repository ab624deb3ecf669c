"""A large Fetch response of one partition that no rule touches goes on while it arrives."""

from __future__ import annotations

import asyncio
import struct
import uuid
from typing import TYPE_CHECKING

import pytest

from support.batches import write_batch
from support.requests import fetch_frame, produce_frame, read_produced
from support.scripted import Asked, Peer, Stage, fetched, proxied, rules_text
from wiremask.protocol.header import make_response_header
from wiremask.proxy import metrics

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGE = write_batch([b'{"ssn":"123-45-6789"}' + b" " * 1000] * 400)
SMALL = write_batch([b'{"ssn":"123-45-6789"}'])
EARLY_BYTES = 200_000
TOPIC_ID = uuid.UUID(int=0x1234)

ENDPOINT = b"\x01" + b"\x00\x0a" + b"\x02" + b"\x00\x00\x00\x07" + b"\x03ab" + b"\x00\x00\x23\x84" + b"\x00" + b"\x00"
"""Tagged fields with one address: node 7 at ab:9092, without a rack."""


def answer_of(asked: Asked, topics: Mapping[str | uuid.UUID, Mapping[int, bytes | None]]) -> bytes:
    """The whole frame of a Fetch response."""
    header = asked.header
    head = make_response_header(header.api, header.version, correlation_id=header.correlation_id)
    body = fetched(header.version, topics)
    return struct.pack(">i", len(head) + len(body)) + head + body


async def beginning_at_client(client: Peer, count: int) -> bytes:
    """What the client has of a frame whose end it does not have."""
    async with asyncio.timeout(10):
        while len(here(client)) < count:  # noqa: ASYNC110 - a reader has no event
            await asyncio.sleep(0.005)
    return here(client)


def here(client: Peer) -> bytes:
    """What has come to the client and was not read."""
    return bytes(client.reader._buffer)  # type: ignore[attr-defined]


async def fetch_begun(stage: Stage, client: Peer, topic: str = "clear", *, version: int = 11) -> tuple[Asked, bytes]:
    """A Fetch whose answer has half arrived: the request and the rest of the answer."""
    await client.send(fetch_frame(topic, version=version))
    asked = await stage.broker.asked()
    answer = answer_of(asked, {topic: {0: LARGE}})
    await asked.peer.send(answer[:EARLY_BYTES])
    assert await beginning_at_client(client, EARLY_BYTES - 10_000) == answer[:EARLY_BYTES]
    return asked, answer[EARLY_BYTES:]


@pytest.mark.parametrize("version", [4, 7, 11, 12])
async def test_it_goes_on_while_it_arrives_and_the_next_follows(version: int) -> None:
    async with proxied() as stage:
        client = await stage.connect()
        asked, rest = await fetch_begun(stage, client, version=version)

        await client.send(fetch_frame("clear", version=version, correlation_id=2))
        following = await stage.broker.asked()
        await asked.peer.send(rest + answer_of(following, {"clear": {0: SMALL}}))

        assert await client.read() == answer_of(asked, {"clear": {0: LARGE}})[4:]
        assert await client.read() == answer_of(following, {"clear": {0: SMALL}})[4:]


@pytest.mark.parametrize("version", [13, 18])
async def test_a_topic_by_its_id_goes_on_too_once_its_name_is_known(version: int) -> None:
    async with proxied(rules_text("fetch", topic="masked")) as stage:
        stage.learn(TOPIC_ID, "clear")
        client = await stage.connect()
        await client.send(fetch_frame(TOPIC_ID, version=version))
        asked = await stage.broker.asked()
        answer = answer_of(asked, {TOPIC_ID: {0: LARGE}})

        await asked.peer.send(answer[:EARLY_BYTES])
        await beginning_at_client(client, EARLY_BYTES - 10_000)
        await asked.peer.send(answer[EARLY_BYTES:])

        assert await client.read() == answer[4:]


async def test_the_client_has_all_of_it_only_after_the_last_look_at_it() -> None:
    async with proxied() as stage:
        client = await stage.connect(limit=1 << 20)
        await client.send(fetch_frame("clear", version=12))
        asked = await stage.broker.asked()
        answer = answer_of(asked, {"clear": {0: LARGE}})

        await asked.peer.send(answer[:-1])
        early = await beginning_at_client(client, len(answer) - 3)
        await asked.peer.send(answer[-1:])

        assert early == answer[:-3]  # the three tagged sections behind the records
        assert await client.read() == answer[4:]


@pytest.mark.parametrize(
    "topics",
    [{"masked": {0: LARGE}}, {"clear": {0: LARGE}, "masked": {0: LARGE}}, {"clear": {0: SMALL, 1: LARGE}}],
    ids=["of a topic with a rule", "of two topics", "of two partitions"],
)
async def test_what_more_must_be_known_of_is_assembled(topics: Mapping[str, Mapping[int, bytes]]) -> None:
    async with proxied(rules_text("fetch", topic="masked")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("clear"))
        asked = await stage.broker.asked()
        answer = answer_of(asked, topics)  # type: ignore[arg-type] # names alone

        await asked.peer.send(answer[:EARLY_BYTES])
        is_silent = await client.is_silent()
        await asked.peer.send(answer[EARLY_BYTES:])
        read = await client.read() or b""

        assert is_silent
        assert read.count(b"123-45-6789") == sum(
            records.count(b"123-45-6789")
            for topic, of_topic in topics.items()
            for records in of_topic.values()
            if topic == "clear"
        )


async def test_a_rule_that_comes_meanwhile_keeps_it_from_arriving_whole() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        asked, rest = await fetch_begun(stage, client)

        stage.rules.apply(rules_text("fetch", topic="clear"))
        await asked.peer.send(rest)

        assert await client.read() is None
        assert not stage.shared.open


@pytest.mark.parametrize(("at", "topic"), [("fetch", "yet-another"), ("produce", "clear")])
async def test_another_ruleset_that_spares_its_reader_too_lets_it_finish(at: str, topic: str) -> None:
    async with proxied() as stage:
        client = await stage.connect()
        asked, rest = await fetch_begun(stage, client)

        stage.rules.apply(rules_text(at, topic=topic))
        await asked.peer.send(rest)

        assert await client.read() == answer_of(asked, {"clear": {0: LARGE}})[4:]


@pytest.mark.parametrize("end", [b"\5", ENDPOINT], ids=["unsound", "an address"])
async def test_it_never_arrives_whole_if_what_is_behind_its_records_must_not_go_on(end: bytes) -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(fetch_frame("clear", version=16))
        stage.learn(TOPIC_ID, "clear")
        asked = await stage.broker.asked()
        answer = answer_of(asked, {TOPIC_ID: {0: LARGE}})[4:-1] + end
        refused = metrics.refused_requests.labels("MalformedFrame").value

        await asked.peer.send(struct.pack(">i", len(answer)) + answer[:EARLY_BYTES])
        await beginning_at_client(client, EARLY_BYTES - 10_000)
        await asked.peer.send(answer[EARLY_BYTES:])

        assert await client.read() is None
        assert metrics.refused_requests.labels("MalformedFrame").value == refused + 1


async def test_a_refusal_that_is_ready_meanwhile_is_told_behind_it() -> None:
    async with proxied(rules_text("produce", topic="masked")) as stage:
        client = await stage.connect()
        asked, rest = await fetch_begun(stage, client)

        await client.send(produce_frame("masked", write_batch([b"no JSON"]), correlation_id=2))
        await asyncio.sleep(0.05)
        await asked.peer.send(rest)

        assert await client.read() == answer_of(asked, {"clear": {0: LARGE}})[4:]
        refusal = await client.read() or b""
        assert read_produced(refusal, 9)[0].error_code == 87


async def test_a_drain_lets_it_finish() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        asked, rest = await fetch_begun(stage, client)

        for connection in list(stage.shared.open):
            connection.drain()
        await asked.peer.send(rest)

        assert await client.read() == answer_of(asked, {"clear": {0: LARGE}})[4:]
        assert await client.read() is None


async def test_a_broker_that_leaves_in_the_middle_ends_the_connection() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        asked, _ = await fetch_begun(stage, client)

        asked.peer.close()

        assert await client.read() is None
        assert not stage.shared.open


async def test_a_client_that_asks_no_more_gets_the_rest() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        asked, rest = await fetch_begun(stage, client)

        client.writer.write_eof()
        await asked.peer.send(rest)

        assert await client.read() == answer_of(asked, {"clear": {0: LARGE}})[4:]
        assert await client.read() is None
