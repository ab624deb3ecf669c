"""Limits that nothing else tests, each driven to its edge and past it, with the metric that tells."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from support.batches import StoredRecord, write_batch, write_section
from support.login import handshake_answer, handshake_frame, log_in, plain
from support.requests import fetch_frame, plain_frame, produce_frame, read_fetched, read_produced
from support.scripted import HEAD, Stage, fetched, proxied, rules_text
from support.sockets import Socket
from support.wait import eventually_async
from wiremask.protocol.errors import ErrorCode
from wiremask.protocol.frame import ReadBuffers
from wiremask.proxy import metrics
from wiremask.proxy.budget import STEP_BYTES, Budget
from wiremask.proxy.leg import Leg

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


@pytest.mark.parametrize("sent", [b"", plain_frame(18, 0)], ids=["nothing", "ApiVersions"])
async def test_a_login_that_must_come_first_and_never_begins_ends_the_connection(sent: bytes) -> None:
    before = closed("login timeout")
    async with proxied(listener_settings={"sasl": {"required": True}}, login_seconds=0.2) as stage:
        client = await stage.connect()

        await client.send(sent)

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


@pytest.mark.parametrize(
    ("count", "at", "is_refused"),
    [(3, "headers", False), (4, "headers", True), (4, "value", False)],
    ids=["as many as may be", "one more", "one more where no rule looks"],
)
async def test_a_record_has_no_more_headers_than_the_limit_where_a_rule_looks_at_them(
    count: int, at: str, is_refused: bool
) -> None:
    parts = {"headers": "headers: [{name: x, mask: redact}]", "value": "value: {fields: [{path: $.ssn, mask: redact}]}"}
    rules = HEAD + f"rules:\n  - {{name: r, topics: [payments], at: [produce], {parts[at]}}}\n"
    records = [
        StoredRecord(
            offset_delta=place, timestamp_delta=0, key=None, value=CLEAR, headers=(("x", b"123-45-6789"),) * number
        )
        for place, number in enumerate((1, count))
    ]
    async with proxied(rules, headers_per_record=3) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([], section=write_section(records), count=2)))
        if is_refused:
            told = await client.read()
            assert told is not None
            assert read_produced(told, 9)[0].error_code == ErrorCode.INVALID_RECORD
            assert await stage.broker.hears_nothing(for_s=0.02)
        else:
            assert (await stage.broker.asked()).header.api.name == "Produce"


async def test_a_connection_on_which_bytes_move_is_not_idle() -> None:
    async with proxied(idle_seconds=1.2) as stage:
        client = await stage.connect()

        for _ in range(8):
            await client.send(GROUPS)
            await stage.broker.answer(await stage.broker.asked(), b"groups")
            assert await client.read() is not None
            assert await client.is_silent(for_s=0.25)

        assert len(stage.shared.open) == 1


@pytest.mark.parametrize(("taken", "is_cut"), [(1, True), (STEP_BYTES, False)])
def test_a_reader_that_takes_a_byte_now_and_then_stands_still(taken: int, is_cut: bool) -> None:
    budget, ended = Budget(4 * MIB), []

    class Reader:
        def __init__(self) -> None:
            self.leg = Leg("client", self, budget, limit_bytes=MIB, buffers=ReadBuffers())
            self.leg.other = self.leg
            self.leg.on_connected = lambda: None
            self.socket = Socket(self.leg)

        @property
        def progress(self) -> object:
            return self.leg.steps

        def cut(self, reason: str) -> None:
            ended.append(reason)

    reader = Reader()
    reader.socket.room = 0
    reader.leg.write([bytes(4 * MIB)], None)
    budget.claim(MIB, Reader(), lambda: None)
    for second in range(0, 91, 30):
        budget.cut_stalled(float(second), after_s=30)
        reader.socket.take(taken)

    assert ("stalled" in ended) == is_cut


@pytest.mark.parametrize("worker_bytes", [0, 64 * MIB], ids=["on a worker", "at once"])
@pytest.mark.parametrize(("count", "is_refused"), [(2, False), (40, True)])
async def test_masks_make_no_more_of_a_request_than_a_frame_may_be(
    count: int, is_refused: bool, worker_bytes: int
) -> None:
    before = refused("produce")
    rules = rules_text("produce", mask=f"{{fixed: {'x' * 1000}}}")
    async with proxied(rules, frame_bytes=32_768, worker_bytes=worker_bytes) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([CLEAR] * count)))
        if is_refused:
            told = await client.read()
            assert told is not None
            assert read_produced(told, 9)[0].error_code == ErrorCode.MESSAGE_TOO_LARGE
            assert await stage.broker.hears_nothing(for_s=0.02)
            assert refused("produce") == before + 1
        else:
            assert len((await stage.broker.asked()).frame) > 2000


@pytest.mark.parametrize("worker_bytes", [0, 64 * MIB], ids=["on a worker", "at once"])
async def test_a_reader_gets_the_first_of_the_batches_that_masks_made_larger_and_asks_again(worker_bytes: int) -> None:
    batch = write_batch([CLEAR] * 4)
    rules = rules_text("fetch", mask=f"{{fixed: {'x' * 1000}}}")
    async with proxied(rules, worker_bytes=worker_bytes) as stage:
        client = await stage.connect()

        await client.send(fetch_frame("payments", max_bytes=6_000))
        await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: batch * 8, 1: batch * 8}}))
        told = await client.read()

        assert told is not None
        assert CLEAR not in told
        sizes = [len(one.records) for one in read_fetched(told, 11).values()]
        assert 4_000 < sizes[0] < 10_000
        assert sizes[1] == 0
