"""Apis that carry neither records nor broker addresses pass byte for byte, whatever is in them."""

from __future__ import annotations

import struct

import pytest

from support.requests import plain_frame
from support.scripted import proxied, rules_text
from wiremask.protocol.api import APIS, Api, Mode
from wiremask.protocol.header import make_response_header

PASSING = [api for api in APIS.values() if api.mode is Mode.PASS]
BODY, ANSWER = b"what stands in a request", b"host.of.an.application and all else of an answer"


@pytest.mark.parametrize("api", PASSING, ids=[api.name for api in PASSING])
async def test_every_version_passes_both_ways_to_the_last_byte(api: Api) -> None:
    async with proxied(rules_text("produce, fetch")) as stage:
        client = await stage.connect()
        for version in range(api.first, api.last + 1):
            flexible = api.has_flexible_request_header(version)
            frame = plain_frame(api.key, version, BODY, flexible=flexible)

            await client.send(frame)
            asked = await stage.broker.asked()
            await stage.broker.answer(asked, ANSWER)
            told = await client.read()

            assert struct.pack(">i", len(asked.frame)) + asked.frame == frame
            assert told == make_response_header(api, version, correlation_id=asked.header.correlation_id) + ANSWER


def test_what_names_hosts_that_are_no_brokers_passes() -> None:
    # Controllers (DescribeQuorum 2 and later) and applications (KIP-1071) are not behind the proxy.
    assert {api.name for api in PASSING} >= {"DescribeQuorum", "StreamsGroupHeartbeat", "StreamsGroupDescribe"}
