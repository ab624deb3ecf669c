"""Limits that nothing else tests, each driven to its edge and past it, with the metric that tells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from support.batches import write_batch
from support.login import handshake_answer, handshake_frame, log_in, plain
from support.requests import fetch_frame, plain_frame, produce_frame, read_fetched, read_produced
from support.scripted import Stage, fetched, proxied, rules_text
from support.wait import eventually_async
from wiremask.protocol.errors import ErrorCode
from wiremask.proxy import metrics

CLEAR = b'{"ssn":"123-45-6789"}'
MIB = 1 << 20
GROUPS = plain_frame(16, 2)


def closed(reason: str) -> float:
    """How many connections were closed for a reason."""
    return float(metrics.connections_closed.labels(reason).value)


def refused(at: str) -> float:
    """How many partitions were refused for their size."""
    return float(metrics.refused_partitions.labels(at, "MESSAGE_TOO_LARGE").value)


def _is_empty(stage: Stage) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return not stage.shared.open

    return probe


async def test_one_address_takes_no_more_connections_than_its_share() -> None:
    before = closed("too many connections of one address")
    async with proxied(connections_per_address=2) as stage:
        clients = [await stage.connect() for _ in range(2)]
        for client in clients:
            await client.send(GROUPS)
            await stage.broker.asked()

        third = await stage.connect()

        assert await third.read() is None
        assert closed("too many connections of one address") == before + 1
        await clients[0].send(GROUPS)
        assert (await stage.broker.asked()).frame == GROUPS[4:]


async def test_a_connection_that_ends_makes_room_for_another_of_its_address() -> None:
    async with proxied(connections_per_address=1) as stage:
        first = await stage.connect()
        await first.send(GROUPS)
        await stage.broker.answer(await stage.broker.asked(), b"groups")
        assert await first.read() is not None
        first.close()
        await eventually_async(_is_empty(stage))

        second = await stage.connect()
        await second.send(GROUPS)

        assert (await stage.broker.asked()).frame == GROUPS[4:]


@pytest.mark.parametrize("is_answered", [False, True], ids=["by the broker", "by the client"])
async def test_a_login_that_is_not_finished_in_time_ends_the_connection(is_answered: bool) -> None:
    before = closed("login timeout")
    async with proxied(login_seconds=0.2) as stage:
        client = await stage.connect()

        await client.send(handshake_frame("PLAIN"))
        asked = await stage.broker.asked()
        if is_answered:
            await stage.broker.answer(asked, handshake_answer())
            assert await client.read() is not None

        assert await client.read() is None
        assert closed("login timeout") == before + 1


async def test_a_login_that_begins_late_has_the_same_time() -> None:
    before = closed("login timeout")
    async with proxied(login_seconds=0.2) as stage:
        client = await stage.connect()
        assert await client.is_silent(for_s=0.4)

        await client.send(handshake_frame("PLAIN"))

        assert await client.read() is None
        assert closed("login timeout") == before + 1


async def test_a_login_in_time_leaves_the_connection_alone() -> None:
    async with proxied(login_seconds=0.2) as stage:
        client = await stage.connect()

        await log_in(stage, client, "PLAIN", [(plain("alice"), b"")])

        assert await client.is_silent(for_s=0.4)
        await client.send(GROUPS)
        assert (await stage.broker.asked()).frame == GROUPS[4:]


@pytest.mark.parametrize(("count", "code"), [(3, 0), (4, ErrorCode.MESSAGE_TOO_LARGE)])
async def test_a_produced_batch_has_no_more_records_than_the_limit(count: int, code: int) -> None:
    before = refused("produce")
    async with proxied(rules_text("produce"), records_per_batch=3) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([CLEAR] * count)))
        if code:
            told = await client.read()
            assert told is not None
            assert read_produced(told, 9)[0].error_code == code
            assert await stage.broker.hears_nothing(for_s=0.02)
            assert refused("produce") == before + 1
        else:
            assert CLEAR not in (await stage.broker.asked()).frame


@pytest.mark.parametrize(("count", "code"), [(3, 0), (4, ErrorCode.CORRUPT_MESSAGE)])
async def test_a_fetched_batch_has_no_more_records_than_the_limit(count: int, code: int) -> None:
    async with proxied(rules_text("fetch"), records_per_batch=3) as stage:
        client = await stage.connect()

        await client.send(fetch_frame("payments"))
        await stage.broker.answer(
            await stage.broker.asked(), fetched(11, {"payments": {0: write_batch([CLEAR] * count)}})
        )
        told = await client.read()

        assert told is not None
        assert read_fetched(told, 11)[0].error_code == code
        assert CLEAR not in told


@pytest.mark.parametrize("worker_bytes", [0, 64 * MIB], ids=["on a worker", "at once"])
@pytest.mark.parametrize(("size", "is_refused"), [(8 * MIB - 1000, False), (8 * MIB + 1000, True)])
async def test_a_batch_that_expands_beyond_eight_megabytes_keeps_to_the_ratio(
    size: int, is_refused: bool, worker_bytes: int
) -> None:
    value = b'{"ssn":"123-45-6789"' + b" " * (size - 21) + b"}"
    async with proxied(rules_text("produce"), expansion_ratio=100, worker_bytes=worker_bytes) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([value], codec="gzip")))
        if is_refused:
            told = await client.read()
            assert told is not None
            assert read_produced(told, 9)[0].error_code == ErrorCode.MESSAGE_TOO_LARGE
        else:
            assert (await stage.broker.asked()).header.api.name == "Produce"
