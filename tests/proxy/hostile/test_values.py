"""JSON that is made to be read otherwise by the proxy than by who reads the topic: masked, or refused."""

from __future__ import annotations

import pytest

from support.batches import read_batches, write_batch
from support.hostile import MARKER, NOT_JSON, OTHERWISE_NAMED, SSN
from support.kafka_oracle import oracle
from support.requests import fetch_frame, produce_frame, read_fetched, read_produced
from support.scripted import fetched, proxied, rules_text
from wiremask.protocol.errors import ErrorCode


@pytest.mark.parametrize("value", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_strictly_json_is_refused_of_a_producer(value: bytes) -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([value])))
        told = await client.read()

        assert told is not None
        assert read_produced(told, 9)[0].error_code == ErrorCode.INVALID_RECORD
        assert await stage.broker.hears_nothing(for_s=0.02)


@pytest.mark.parametrize("value", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_strictly_json_is_a_marker_to_a_reader(value: bytes) -> None:
    async with proxied(rules_text("fetch")) as stage:
        client = await stage.connect()

        await client.send(fetch_frame("payments"))
        await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: write_batch([value])}}))
        told = await client.read()

        assert told is not None
        assert values(read_fetched(told, 11)[0].records) == [MARKER]


@pytest.mark.parametrize(("value", "expected"), OTHERWISE_NAMED.values(), ids=OTHERWISE_NAMED)
async def test_what_names_the_field_in_another_way_is_masked(value: bytes, expected: bytes) -> None:
    async with proxied(rules_text("produce")) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([value])))
        asked = await stage.broker.asked()

        (topic,) = oracle("ProduceRequest").decode(asked.body, 9)["topic_data"]
        assert values(topic["partition_data"][0]["records"]) == [expected]


@pytest.mark.parametrize("name", ["SSN", "Ssn", "sSn", "\\u0053SN", "\u017fsn", "s\\u017Fn"])
async def test_names_in_any_case_are_masked_where_the_rule_ignores_case(name: str) -> None:
    rules = rules_text("produce").replace("path: $.ssn,", "path: $.ssn, ignoreCase: true,")
    async with proxied(rules) as stage:
        client = await stage.connect()

        await client.send(produce_frame("payments", write_batch([f'{{"{name}":"123-45-6789"}}'.encode()])))
        asked = await stage.broker.asked()

        assert SSN not in asked.frame


LOOK_ALIKES = {
    "another alphabet": "\u0455\u0455n",
    "full width": "\uff53\uff53\uff4e",
    "nothing wide inside": "s\u200bsn",
    "a mark above": "ssn\u0301",
    "the kept name in another alphabet": "\u0456d",
    "the kept name escaped, in another alphabet": "\\u0456d",
    "the kept name in another case": "ID",
}


@pytest.mark.parametrize("at", ["produce", "fetch"])
@pytest.mark.parametrize("name", LOOK_ALIKES.values(), ids=LOOK_ALIKES)
async def test_a_name_that_looks_like_another_is_masked_where_what_is_not_listed_is(name: str, at: str) -> None:
    rules = (
        rules_text(at, mask="keep").replace("path: $.ssn", "path: $.id").replace("fields:", "unlisted: redact, fields:")
    )
    record = f'{{"id":"clear","{name}":"123-45-6789"}}'.encode()
    async with proxied(rules) as stage:
        client = await stage.connect()

        if at == "produce":
            await client.send(produce_frame("payments", write_batch([record])))
            (topic,) = oracle("ProduceRequest").decode((await stage.broker.asked()).body, 9)["topic_data"]
            (masked,) = values(topic["partition_data"][0]["records"])
        else:
            await client.send(fetch_frame("payments"))
            await stage.broker.answer(await stage.broker.asked(), fetched(11, {"payments": {0: write_batch([record])}}))
            (masked,) = values(read_fetched(await client.read() or b"", 11)[0].records)

        assert masked == f'{{"id":"clear","{name}":"[redacted]"}}'.encode()


def values(records: bytes) -> list[bytes | None]:
    return [record.value for batch in read_batches(records) for record in batch.records]
