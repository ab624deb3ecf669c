"""Proxy and broker read the same bytes the same way: what is decoded is read to its last byte, or the connection closes."""

from __future__ import annotations

import struct

import pytest

from support.requests import plain_frame
from support.scripted import proxied, rules_text
from wiremask.protocol.api import APIS, Api, Mode
from wiremask.protocol.encode import encode

FEW = {
    "Produce": {"Acks": -1},
    "Fetch": {"MaxBytes": 1000},
    "ShareFetch": {"MaxBytes": 1000},
    "SaslHandshake": {"Mechanism": "PLAIN"},
}
"""What a request needs, beside the defaults of its fields, to pass as it is and to be answered."""

GUARDED = [api for api in APIS.values() if api.mode is Mode.GUARD]
DECODED = [api for api in APIS.values() if api.mode in {Mode.READ, Mode.REWRITE}]


def cases(apis: list[Api]) -> pytest.MarkDecorator:
    """Every version that the table takes."""
    every = [pytest.param(api, version, id=f"{api.name} {version}") for api in apis for version in _versions(api)]
    return pytest.mark.parametrize(("api", "version"), every)


def _versions(api: Api) -> range:
    return range(api.first, api.last + 1)


def asking(api: Api, version: int, *, more: bytes = b"") -> bytes:
    body = encode(f"{api.name}Request", version, FEW.get(api.name, {})) + more
    return plain_frame(api.key, version, body, flexible=api.has_flexible_request_header(version))


@cases(DECODED + GUARDED)
async def test_a_request_with_a_byte_too_many_never_arrives(api: Api, version: int) -> None:
    async with proxied(rules_text("produce, fetch")) as stage:
        client, sound = await stage.connect(), await stage.connect()

        await client.send(asking(api, version, more=b"\0"))
        told = await client.read()
        await sound.send(asking(api, version))
        asked = await stage.broker.asked()

        assert told is None
        assert struct.pack(">i", len(asked.frame)) + asked.frame == asking(api, version)


@cases(DECODED)
async def test_a_response_with_a_byte_too_many_never_arrives(api: Api, version: int) -> None:
    async with proxied(rules_text("produce, fetch")) as stage:
        client, sound = await stage.connect(), await stage.connect()
        body = encode(f"{api.name}Response", version, {})

        await client.send(asking(api, version))
        await stage.broker.answer(await stage.broker.asked(), body + b"\0")
        told = await client.read()
        await sound.send(asking(api, version))
        await stage.broker.answer(await stage.broker.asked(), body)
        told_soundly = await sound.read()

        assert told is None
        assert told_soundly is not None
