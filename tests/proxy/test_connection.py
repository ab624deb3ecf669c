"""The data path from socket to socket, against a broker that answers when the test says so."""

from __future__ import annotations

import asyncio
import gc
import struct
import uuid
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from support.batches import read_batches, write_batch
from support.requests import fetch_frame, plain_frame, produce_frame, read_fetched, read_produced
from support.scripted import fetched, metadata, produced, proxied, rules_text
from support.wait import eventually_async
from wiremask.protocol import api as apis
from wiremask.protocol.errors import ErrorCode
from wiremask.proxy.connection import Connection
from wiremask.proxy.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CLEAR = b'{"ssn":"123-45-6789"}'
MASKED = b'{"ssn":"[redacted]"}'
HEARTBEAT, LIST_GROUPS = 12, 16


def correlation_id(frame: bytes | None) -> int:
    assert frame is not None
    return int(struct.unpack_from(">i", frame)[0])


def numbered(frame: bytes, number: int) -> bytes:
    """A request frame with another correlation id."""
    return frame[:8] + struct.pack(">i", number) + frame[12:]


def values(records: bytes) -> list[bytes | None]:
    return [record.value for batch in read_batches(records) for record in batch.records]


def sent_records(body: bytes, version: int) -> dict[str | uuid.UUID, dict[int, list[bytes | None]]]:
    from kafka.protocol.producer import ProduceRequest

    request = ProduceRequest.decode(body, version=version)
    return {
        (topic.name if version < 13 else topic.topic_id): {
            partition.index: values(partition.records) for partition in topic.partition_data
        }
        for topic in request.topic_data
    }


async def test_forwards_what_it_does_not_decode_byte_for_byte() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        frame = plain_frame(LIST_GROUPS, 2, b"anything at all")
        answer = b"whatever the broker says"

        await client.send(frame)
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, answer)
        told = await client.read()

        assert asked.frame == frame[4:]
        assert told == frame[8:12] + answer


async def test_masks_a_produced_value_and_returns_the_broker_s_answer() -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([CLEAR])))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, produced(9, {"payments": {0: 0}}))
        told = await client.read()

        assert sent_records(asked.body, 9) == {"payments": {0: [MASKED]}}
        assert told is not None
        assert read_produced(told, 9)[0].error_code == 0


@pytest.mark.parametrize("worker_bytes", [0, 1 << 20], ids=["on a worker thread", "at once"])
async def test_keeps_the_order_of_pipelined_requests(worker_bytes: int) -> None:
    async with proxied(rules_text("produce"), worker_bytes=worker_bytes) as stage:
        client = await stage.connect()
        frames = b""
        for number in range(20):
            frames += numbered(produce_frame("payments", write_batch([b'{"n":%d}' % number])), 2 * number)
            frames += numbered(plain_frame(LIST_GROUPS, 2), 2 * number + 1)

        await client.send(frames)
        asked = [await stage.broker.asked() for _ in range(40)]
        for request in asked:
            produces = request.header.api.key == apis.PRODUCE
            await stage.broker.answer(request, produced(9, {"payments": {0: 0}}) if produces else b"groups")
        told = [correlation_id(await client.read()) for _ in range(40)]

        assert [request.header.correlation_id for request in asked] == list(range(40))
        assert told == list(range(40))


async def test_an_answer_of_its_own_waits_for_its_turn() -> None:
    async with proxied() as stage:
        client = await stage.connect()

        await client.send(
            numbered(plain_frame(LIST_GROUPS, 2), 1) + numbered(plain_frame(apis.API_VERSIONS, 99, flexible=True), 2)
        )
        asked = await stage.broker.asked()
        is_silent = await client.is_silent()
        await stage.broker.answer(asked, b"groups")
        first, second = await client.read(), await client.read()

        assert is_silent
        assert correlation_id(first) == 1
        assert correlation_id(second) == 2
        assert second is not None
        assert struct.unpack_from(">h", second, 4)[0] == ErrorCode.UNSUPPORTED_VERSION


async def test_refuses_a_partition_and_forwards_the_others() -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()
        records = {0: write_batch([CLEAR]), 1: write_batch([CLEAR, b"{broken"]), 2: write_batch([CLEAR])}

        await client.send(produce_frame("payments", records))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, produced(9, {"payments": {0: 0, 2: 0}}, throttle_ms=77))
        told = await client.read()

        assert sent_records(asked.body, 9) == {"payments": {0: [MASKED], 2: [MASKED]}}
        assert told is not None
        answer = read_produced(told, 9)
        assert {index: one.error_code for index, one in answer.items()} == {0: 0, 1: ErrorCode.INVALID_RECORD, 2: 0}
        assert [index for index, _ in answer[1].record_errors] == [1]


async def test_answers_by_itself_when_every_partition_is_refused() -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([b"{broken"])))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 9)[0].error_code == ErrorCode.INVALID_RECORD
        assert b"broken" not in told
        assert await stage.broker.hears_nothing()


async def test_acks_0_is_forwarded_and_not_awaited() -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([CLEAR]), acks=0))
        await client.send(numbered(plain_frame(LIST_GROUPS, 2), 9))
        first, second = await stage.broker.asked(), await stage.broker.asked()
        await stage.broker.answer(second, b"groups")
        told = await client.read()

        assert sent_records(first.body, 9) == {"payments": {0: [MASKED]}}
        assert correlation_id(told) == 9


async def test_refusing_acks_0_forwards_the_rest_and_closes() -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", {0: write_batch([CLEAR]), 1: write_batch([b"{"])}, acks=0))
        asked = await stage.broker.asked()
        told = await client.read()

        assert sent_records(asked.body, 9) == {"payments": {0: [MASKED]}}
        assert told is None


@pytest.mark.parametrize(
    "frame",
    [
        plain_frame(500, 0),
        plain_frame(apis.METADATA, 99),
        plain_frame(apis.PRODUCE, 2),
        plain_frame(58, 0, flexible=True),
        plain_frame(apis.PRODUCE, 9, b"garbage", flexible=True),
        plain_frame(apis.FETCH, 12, b"garbage", flexible=True),
        produce_frame("payments", write_batch([CLEAR]))[:4] + b"\0",
        struct.pack(">i", -1),
        struct.pack(">i", 1 << 30),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=[
        "unknown key",
        "unknown version",
        "old Produce",
        "Envelope",
        "Produce that does not parse",
        "Fetch that does not parse",
        "half a frame, then the end",
        "negative size",
        "size beyond the limit",
        "TLS hello",
    ],
)
async def test_closes_a_connection_that_it_cannot_read_and_no_other(frame: bytes) -> None:
    async with proxied(rules_text("produce, fetch")) as stage:
        other, client = await stage.connect(), await stage.connect()

        await client.send(frame)
        client.writer.write_eof()
        told = await client.read()
        await other.send(plain_frame(LIST_GROUPS, 2))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, b"groups")
        answer = await other.read()

        assert told is None
        assert asked.header.api.key == LIST_GROUPS
        assert answer is not None


async def test_closes_when_the_broker_answers_out_of_turn() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(numbered(plain_frame(LIST_GROUPS, 2), 5))
        asked = await stage.broker.asked()

        await asked.peer.send(struct.pack(">ii", 4, 6))

        assert await client.read() is None


async def test_closes_when_the_broker_speaks_unasked() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(plain_frame(LIST_GROUPS, 2))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, b"groups")
        told = await client.read()

        await stage.broker.answer(asked, b"groups")

        assert told is not None
        assert await client.read() is None


async def test_asks_for_a_topic_s_name_before_it_forwards_a_produce() -> None:
    topic = uuid.uuid4()
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame(topic, write_batch([CLEAR]), version=13))
        look_up = await stage.broker.asked()
        hears_nothing = await stage.broker.hears_nothing()
        await stage.broker.answer(look_up, metadata(12, topics={"payments": topic}))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, produced(13, {topic: {0: 0}}))
        told = await client.read()

        assert (look_up.header.api.key, look_up.header.version) == (apis.METADATA, 12)
        assert look_up.header.client_id == "raw"
        assert hears_nothing
        assert sent_records(asked.body, 13) == {topic: {0: [MASKED]}}
        assert told is not None
        assert read_produced(told, 13)[0].error_code == 0


async def test_refuses_a_topic_id_that_nobody_names() -> None:
    topic = uuid.uuid4()
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame(topic, write_batch([CLEAR]), version=13))
        await stage.broker.answer(await stage.broker.asked(), metadata(12))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 13)[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert await stage.broker.hears_nothing()


async def test_asks_for_a_topic_s_name_before_it_forwards_a_fetch() -> None:
    topic = uuid.uuid4()
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()

        await client.send(fetch_frame(topic, version=13))
        await stage.broker.answer(await stage.broker.asked(), metadata(12, topics={"payments": topic}))
        asked = await stage.broker.asked()
        await stage.broker.answer(asked, fetched(13, {topic: {0: write_batch([CLEAR])}}))
        told = await client.read()

        assert asked.header.api.key == apis.FETCH
        assert told is not None
        assert values(read_fetched(told, 13)[0].records) == [MASKED]


async def test_a_response_whose_topic_id_is_new_waits_for_its_name_and_keeps_its_turn() -> None:
    topic, named = uuid.uuid4(), uuid.uuid4()
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(named, "other")
        client = await stage.connect()
        await client.send(numbered(fetch_frame(named, version=13), 1) + numbered(plain_frame(LIST_GROUPS, 2), 2))
        fetch, groups = await stage.broker.asked(), await stage.broker.asked()

        # The answer has a topic of the fetch session that this connection never asked for by id.
        await stage.broker.answer(fetch, fetched(13, {topic: {0: write_batch([CLEAR])}}))
        await stage.broker.answer(groups, b"groups")
        look_up = await stage.broker.asked()
        is_silent = await client.is_silent()
        await stage.broker.answer(look_up, metadata(12, topics={"payments": topic}))
        first, second = await client.read(), await client.read()

        assert is_silent
        assert first is not None
        assert values(read_fetched(first, 13)[0].records) == [MASKED]
        assert correlation_id(second) == 2


async def test_withholds_records_of_a_topic_id_that_nobody_names() -> None:
    topic, named = uuid.uuid4(), uuid.uuid4()
    async with proxied(rules_text("fetch")) as stage:
        stage.learn(named, "other")
        client = await stage.connect()
        await client.send(fetch_frame(named, version=13))

        await stage.broker.answer(await stage.broker.asked(), fetched(13, {topic: {0: write_batch([CLEAR])}}))
        await stage.broker.answer(await stage.broker.asked(), metadata(12))
        told = await client.read()

        assert told is not None
        assert read_fetched(told, 13)[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert b"123-45" not in told


async def test_cuts_a_partial_batch_off_a_fetched_field() -> None:
    whole, partial = write_batch([CLEAR]), write_batch([CLEAR])[:-3]
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("payments"))

        body = fetched(11, {"payments": {0: whole + partial, 1: partial}})
        await stage.broker.answer(await stage.broker.asked(), body)
        told = await client.read()

        assert told is not None
        assert b"123-45" not in told
        partitions = read_fetched(told, 11)
        assert values(partitions[0].records) == [MASKED]
        assert (partitions[1].error_code, partitions[1].records) == (0, b"")


async def test_withholds_a_fetched_batch_that_it_cannot_read() -> None:
    broken = bytearray(write_batch([CLEAR]))
    broken[20] ^= 1
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("payments"))

        body = fetched(11, {"payments": {0: bytes(broken), 1: write_batch([CLEAR])}})
        await stage.broker.answer(await stage.broker.asked(), body)
        told = await client.read()

        assert told is not None
        partitions = read_fetched(told, 11)
        assert (partitions[0].error_code, partitions[0].records) == (ErrorCode.CORRUPT_MESSAGE, b"")
        assert values(partitions[1].records) == [MASKED]


async def test_a_fetched_value_that_is_not_json_becomes_the_marker() -> None:
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("payments"))

        body = fetched(11, {"payments": {0: write_batch([b"not json", None, CLEAR])}})
        await stage.broker.answer(await stage.broker.asked(), body)
        told = await client.read()

        assert told is not None
        assert values(read_fetched(told, 11)[0].records) == [b'{"wiremask":"unreadable"}', None, MASKED]


async def test_a_response_without_a_matching_rule_is_written_as_it_came() -> None:
    body = fetched(11, {"other": {0: write_batch([CLEAR]) + b"partial"}})
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("other"))

        await stage.broker.answer(await stage.broker.asked(), body)
        told = await client.read()

        assert told is not None
        assert told[4:] == body


async def test_tells_clients_its_own_addresses() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(plain_frame(apis.METADATA, 1, b"\0\0\0\0"))

        brokers = {0: ("kafka-0.internal", 9092), 1: ("kafka-1.internal", 9092), 7: ("kafka-7.internal", 9092)}
        await stage.broker.answer(await stage.broker.asked(), metadata(1, brokers=brokers))
        told = await client.read()

        from kafka.protocol.metadata import MetadataResponse

        assert told is not None
        answer = MetadataResponse.decode(told, version=1, header=True)
        ports = stage.listener.config.ports
        assert [(node.node_id, node.host, node.port) for node in answer.brokers] == [
            (0, "127.0.0.1", ports[1]),
            (1, "127.0.0.1", ports[2]),
            (7, "node-7-is-outside-listener-nodes.invalid", 9092),
        ]
        assert b"internal" not in told


async def test_a_node_port_leads_to_the_address_that_metadata_told() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(plain_frame(apis.METADATA, 1, b"\0\0\0\0"))
        told = metadata(1, brokers={1: ("127.0.0.1", stage.broker.port)})
        await stage.broker.answer(await stage.broker.asked(), told)
        await client.read()

        direct = await stage.connect(node=1)
        await direct.send(plain_frame(LIST_GROUPS, 2))
        asked = await stage.broker.asked()

        assert asked.header.api.key == LIST_GROUPS


async def test_a_node_whose_address_nobody_knows_is_closed_and_not_sent_elsewhere() -> None:
    async with proxied() as stage:
        client = await stage.connect(node=1)
        await client.send(plain_frame(LIST_GROUPS, 2))

        assert await client.read() is None
        assert await stage.broker.hears_nothing()


async def test_a_request_is_masked_by_the_rules_of_its_last_byte_and_its_response_by_those_of_its_own() -> None:
    topic = uuid.uuid4()
    async with proxied(rules_text("produce", mask="{fixed: {value: old}}")) as stage:
        client = await stage.connect()
        await client.send(produce_frame(topic, write_batch([CLEAR]), version=13))
        look_up = await stage.broker.asked()

        stage.rules.apply(rules_text("produce", mask="{fixed: {value: new}}"))
        await stage.broker.answer(look_up, metadata(12, topics={"payments": topic}))
        waited = await stage.broker.asked()
        await client.send(produce_frame(topic, write_batch([CLEAR]), version=13))
        later = await stage.broker.asked()

        assert sent_records(waited.body, 13) == {topic: {0: [b'{"ssn":"old"}']}}
        assert sent_records(later.body, 13) == {topic: {0: [b'{"ssn":"new"}']}}


async def test_a_long_poll_is_masked_by_the_rules_of_its_response() -> None:
    async with proxied(rules_text("fetch", mask="{fixed: {value: old}}")) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("payments"))
        asked = await stage.broker.asked()

        stage.rules.apply(rules_text("fetch", mask="{fixed: {value: new}}"))
        await stage.broker.answer(asked, fetched(11, {"payments": {0: write_batch([CLEAR])}}))
        told = await client.read()

        assert told is not None
        assert values(read_fetched(told, 11)[0].records) == [b'{"ssn":"new"}']


async def test_a_client_that_does_not_read_stops_its_broker_from_being_read() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        client.writer.transport.pause_reading()
        count, body = 200, bytes(1 << 20)
        await client.send(plain_frame(LIST_GROUPS, 2) * count)
        asked = [await stage.broker.asked() for _ in range(100)]

        async def flood() -> None:
            for request in asked:
                await stage.broker.answer(request, body)

        flooding = asyncio.ensure_future(flood())
        (connection,) = stage.shared.open
        await eventually_async(_says(lambda: "peer is slow" in connection.broker._holds))
        held = connection.client.transport.get_write_buffer_size()
        was_done = flooding.done()
        client.writer.transport.resume_reading()
        for _ in asked:
            await client.read()
        await flooding

        assert held < 8 << 20
        assert not was_done


async def test_at_most_so_many_requests_wait_for_an_answer() -> None:
    async with proxied(in_flight_requests=4) as stage:
        client = await stage.connect()

        await client.send(b"".join(numbered(plain_frame(LIST_GROUPS, 2), number) for number in range(10)))
        asked = [await stage.broker.asked() for _ in range(4)]
        hears_nothing = await stage.broker.hears_nothing()
        await stage.broker.answer(asked[0], b"groups")
        hears_nothing_yet = await stage.broker.hears_nothing()
        await stage.broker.answer(asked[1], b"groups")
        next_two = [await stage.broker.asked() for _ in range(2)]

        assert hears_nothing
        assert hears_nothing_yet
        assert [one.header.correlation_id for one in next_two] == [4, 5]


async def test_where_one_request_may_wait_each_answer_lets_the_next_one_through() -> None:
    async with proxied(in_flight_requests=1) as stage:
        client = await stage.connect()

        await client.send(b"".join(numbered(plain_frame(LIST_GROUPS, 2), number) for number in range(3)))
        told = []
        for _ in range(3):
            asked = await stage.broker.asked()
            await stage.broker.answer(asked, b"groups")
            told.append(asked.header.correlation_id)

        assert told == [0, 1, 2]


async def test_more_connections_than_the_limit_are_closed() -> None:
    async with proxied(connections=2) as stage:
        first, second = await stage.connect(), await stage.connect()
        await eventually_async(_says(lambda: len(stage.shared.open) == 2))

        third = await stage.connect()
        told = await third.read()
        await second.send(plain_frame(LIST_GROUPS, 2))
        asked = await stage.broker.asked()

        assert told is None
        assert asked.header.api.key == LIST_GROUPS
        assert not first.reader.at_eof()


async def test_an_idle_connection_is_closed() -> None:
    async with proxied(idle_seconds=0.2) as stage:
        client = await stage.connect()

        assert await client.read() is None
        assert not stage.shared.open


async def test_a_drain_lets_what_is_in_flight_finish() -> None:
    async with proxied() as stage:
        busy, idle = await stage.connect(), await stage.connect()
        await busy.send(plain_frame(LIST_GROUPS, 2))
        asked = await stage.broker.asked()

        for connection in list(stage.shared.open):
            connection.drain()
        gone = await idle.read()
        await stage.broker.answer(asked, b"groups")
        told, end = await busy.read(), await busy.read()

        assert gone is None
        assert told is not None
        assert end is None


async def test_a_drain_that_begins_before_the_broker_is_reached_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_connect, connect = asyncio.Event(), Upstream.connect

    async def connect_late(upstream: Upstream, node: int | None, leg: Any) -> Any:
        await may_connect.wait()
        return await connect(upstream, node, leg)

    async def is_accepted() -> bool:
        return bool(stage.shared.open)

    monkeypatch.setattr(Upstream, "connect", connect_late)
    async with proxied() as stage:
        client = await stage.connect()
        await eventually_async(is_accepted)

        for connection in list(stage.shared.open):
            connection.drain()
        may_connect.set()

        assert await client.read() is None
        assert not stage.shared.open


async def test_a_client_that_only_ends_its_sending_still_gets_its_answers() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(plain_frame(LIST_GROUPS, 2))
        client.writer.write_eof()
        asked = await stage.broker.asked()

        await stage.broker.answer(asked, b"groups")
        told, end = await client.read(), await client.read()

        assert told is not None
        assert end is None


async def test_acks_0_of_a_client_that_left_at_once_still_arrives() -> None:
    async with proxied(rules_text("produce"), worker_bytes=0) as stage:
        client = await stage.connect()
        for number in range(5):
            client.writer.write(numbered(produce_frame("payments", write_batch([CLEAR]), acks=0), number))
        await client.writer.drain()
        client.close()

        asked = [await stage.broker.asked() for _ in range(5)]

        assert [request.header.correlation_id for request in asked] == list(range(5))


async def test_the_end_of_the_broker_is_the_end_of_the_client() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        await client.send(plain_frame(LIST_GROUPS, 2))
        asked = await stage.broker.asked()

        asked.peer.close()

        assert await client.read() is None
        await eventually_async(_says(lambda: not stage.shared.open))


async def test_a_broker_that_is_not_there_closes_the_client() -> None:
    async with proxied() as stage:
        await stage.broker.stop()

        client = await stage.connect()

        assert await client.read() is None


async def test_without_a_produce_rule_produced_records_are_not_read() -> None:
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()
        frame = produce_frame("payments", b"no batch at all")

        await client.send(frame)
        asked = await stage.broker.asked()

        assert asked.frame == frame[4:]


def _says(claim):  # type: ignore[no-untyped-def]
    async def probe() -> bool:
        return bool(claim())

    return probe


async def test_leaves_out_whole_batches_that_masks_made_too_large_for_the_reader() -> None:
    mask = "{hash: {key: k, domain: ssn}}"
    text = rules_text("fetch", mask=mask).replace("rules:", "keys: {k: {env: K}}\nrules:")
    batches = [write_batch([b'{"ssn":"%d"}' % number] * 10) for number in range(4)]
    async with proxied(text) as stage:
        client = await stage.connect()
        clear = sum(map(len, batches))
        await client.send(fetch_frame("payments", max_bytes=clear + 1000))

        body = fetched(11, {"payments": {0: batches[0] + batches[1], 1: batches[2] + batches[3]}})
        await stage.broker.answer(await stage.broker.asked(), body)
        told = await client.read()

        assert told is not None
        assert len(told) <= clear + 1000
        partitions = read_fetched(told, 11)
        assert [len(values(partitions[index].records)) for index in (0, 1)] == [20, 0]
        assert b'"ssn":"0"' not in told


async def test_the_first_batch_stays_however_large_masks_make_it() -> None:
    text = rules_text("fetch", mask="{fixed: {value: %s}}" % ("x" * 500))
    async with proxied(text) as stage:
        client = await stage.connect()
        await client.send(fetch_frame("payments", max_bytes=200))

        body = fetched(11, {"payments": {0: write_batch([CLEAR]) + write_batch([CLEAR])}})
        await stage.broker.answer(await stage.broker.asked(), body)
        told = await client.read()

        assert told is not None
        assert len(values(read_fetched(told, 11)[0].records)) == 1


async def test_says_that_masks_made_a_batch_too_large_for_the_broker(capsys: pytest.CaptureFixture[str]) -> None:
    async with proxied(rules_text("produce", mask="{fixed: {value: %s}}" % ("x" * 500))) as stage:
        client = await stage.connect()
        await client.send(produce_frame("payments", write_batch([CLEAR])))

        await stage.broker.answer(await stage.broker.asked(), produced(9, {"payments": {0: 10}}))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 9)[0].error_code == ErrorCode.MESSAGE_TOO_LARGE
        line = next(line for line in capsys.readouterr().err.splitlines() if "too large for the broker" in line)
        assert '"bytes":491' in line


async def test_a_batch_that_expands_beyond_the_loop_s_share_is_masked_by_a_worker() -> None:
    value = b'{"ssn":"123-45-6789","text":"' + b"x" * 300_000 + b'"}'
    async with proxied(rules_text("produce"), worker_bytes=100_000) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([value], codec="zstd")))
        asked = await stage.broker.asked()

        assert len(asked.frame) < 100_000
        assert sent_records(asked.body, 9) == {"payments": {0: [value.replace(b"123-45-6789", b"[redacted]")]}}


async def test_asks_the_broker_for_no_more_than_a_frame_can_hold() -> None:
    async with proxied(frame_bytes=1 << 20, buffered_bytes=1 << 22) as stage:
        client = await stage.connect()

        await client.send(fetch_frame("payments", max_bytes=1 << 30, partition_max_bytes=1 << 30))
        asked = await stage.broker.asked()
        await client.send(fetch_frame("payments", max_bytes=1000, partition_max_bytes=1000))
        modest = await stage.broker.asked()

        from kafka.protocol.consumer import FetchRequest

        lowered = FetchRequest.decode(asked.body, version=11)
        assert (lowered.max_bytes, lowered.topics[0].partitions[0].partition_max_bytes) == (1 << 19, 1 << 19)
        assert (
            modest.body
            == fetch_frame("payments", max_bytes=1000, partition_max_bytes=1000)[4:][modest.header.body_start :]
        )


async def test_a_connection_that_has_ended_is_not_kept_until_its_timers_are_due() -> None:
    async with proxied() as stage:
        client = await stage.connect()
        (connection,) = map(weakref.ref, stage.shared.open)

        client.close()
        await eventually_async(_is_empty(stage.shared.open))

        await eventually_async(_is_gone(connection))


def _is_empty(open_: set[Any]) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return not open_

    return probe


def _is_gone(connection: weakref.ref[Any]) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        gc.collect()
        return connection() is None

    return probe


async def test_a_fault_after_the_work_of_a_thread_ends_one_connection_and_leaves_the_thread_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with proxied(rules_text("produce"), worker_bytes=0) as stage:
        worked, faults = Connection._request_worked, iter(range(3))

        def fail_first(self: Connection, *given: Any) -> None:
            if next(faults, None) is not None:  # once for each thread, and once more
                raise RuntimeError("what comes after the work fails")
            worked(self, *given)

        monkeypatch.setattr(Connection, "_request_worked", fail_first)
        told = []
        for _ in range(3):
            client = await stage.connect()
            await client.send(produce_frame("payments", write_batch([CLEAR])))
            told.append(await client.read())
        client = await stage.connect()
        await client.send(produce_frame("payments", write_batch([CLEAR])))

        assert told == [None, None, None]
        assert b"123-45-6789" not in (await stage.broker.asked()).frame
