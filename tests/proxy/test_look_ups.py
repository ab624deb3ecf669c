"""The look-ups of topic names that the proxy sends itself: what they ask of a broker, and whom they keep waiting."""

from __future__ import annotations

import uuid

from support.batches import write_batch
from support.requests import plain_frame, produce_frame, read_produced
from support.scripted import metadata, produced, proxied, rules_text
from wiremask.protocol import api as apis
from wiremask.protocol.encode import encode
from wiremask.protocol.errors import ErrorCode

CLEAR = b'{"ssn":"123-45-6789"}'
LIST_GROUPS = 16


async def test_a_broker_that_offers_no_look_up_by_id_is_not_asked_and_the_topic_is_refused() -> None:
    topic = uuid.uuid4()
    offer = [{"ApiKey": apis.PRODUCE, "MaxVersion": 13}, {"ApiKey": apis.METADATA, "MaxVersion": 11}]
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()
        await client.send(plain_frame(apis.API_VERSIONS, 0))
        await stage.broker.answer(await stage.broker.asked(), encode("ApiVersionsResponse", 0, {"ApiKeys": offer}))
        await client.read()

        await client.send(produce_frame(topic, write_batch([CLEAR]), version=13))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 13)[0].error_code == ErrorCode.UNKNOWN_TOPIC_ID
        assert await stage.broker.hears_nothing()


async def test_a_look_up_that_takes_long_delays_its_own_connection_only() -> None:
    topic = uuid.uuid4()
    async with proxied(rules_text("produce")) as stage:
        waiting, other = await stage.connect(), await stage.connect()
        await waiting.send(produce_frame(topic, write_batch([CLEAR]), version=13))
        look_up = await stage.broker.asked()

        await other.send(plain_frame(LIST_GROUPS, 2) + produce_frame("payments", write_batch([CLEAR])))
        await stage.broker.answer(await stage.broker.asked(), b"groups")
        await stage.broker.answer(await stage.broker.asked(), produced(9, {"payments": {0: 0}}))
        told_other = [await other.read(), await other.read()]
        is_silent = await waiting.is_silent()
        await stage.broker.answer(look_up, metadata(12, topics={"payments": topic}))
        await stage.broker.answer(await stage.broker.asked(), produced(13, {topic: {0: 0}}))
        told = await waiting.read()

        assert None not in told_other
        assert is_silent
        assert told is not None
        assert read_produced(told, 13)[0].error_code == 0
