"""Every detector through a real broker, at produce and at fetch, for a principal that is masked and one that is not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from support.kafka import OTHER_USER, USER, KafkaCluster
from support.proxy import ProxyProcess
from support.stored import Stored, read, send
from wiremask.rules.detect.detectors import DETECTORS

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]

# By detector: what stands before a value, the value, and what stands behind it.
FOUND = {
    "card": ("paid with ", "4111 1111 1111 1111", " today"),
    "iban": ("to ", "DE89 3704 0044 0532 0130 00", ", please"),
    "us-ssn": ("hers is ", "536-22-1234", "."),
    "email": ("write to <", "ada@example.com", "> soon"),
    "phone": ("call ", "+49 30 1234567", " at noon"),
    "ipv4": ("from ", "192.0.2.77", " at night"),
    "ipv6": ("from ", "2001:db8:1:2::5", " at night"),
    "mac": ("device ", "00:1b:63:84:45:e6", " is off"),
    "jwt": ("token ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLWl0", " was sent"),
    "private-key": ("", "-----BEGIN PRIVATE KEY-----\nMIIBVAIBADANBgkq\n-----END PRIVATE KEY-----", "\nabove"),
    "credential": ("with ", "AKIAIOSFODNN7EXAMPLE", " of ours"),
    "us-zip": ("zip code ", "02139", " of Cambridge"),
    "birth-date": ("born on ", "1984-07-23", " in Turin"),
}
CLEAR = {name: "".join(parts) for name, parts in FOUND.items()}
TEXT = " | ".join(CLEAR.values())
JSON_RECORD = Stored(b"k", json.dumps({"notes": [CLEAR], "order": 1234567890, "card": 4111111111111111}).encode(), [])
TEXT_RECORD = Stored(b"k", TEXT.encode(), [("note", TEXT.encode())])


def masked(name: str, by: str = "") -> str:
    before, _, behind = FOUND[name]
    return f"{before}[{by or name}]{behind}"


def rules() -> str:
    # Each detector has a mask of its own, so that what stands in a text tells who found it.
    fields = ", ".join(f'{{detect: [{name}], mask: {{redact: {{text: "[{name}]"}}}}}}' for name in DETECTORS)
    text = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: found}\nrules:\n"
    for at in ("produce", "fetch"):
        for form in ("json", "text"):
            text += f"""\
  - name: exempt-{form}-{at}
    topics: ["found-{form}-{at}-*"]
    at: [{at}]
    when: {{client: 'principal == "User:{USER}"'}}
    value: {{format: {form}, fields: [{{path: $, mask: keep}}]}}
    headers: [{{name: "*", mask: keep}}]
  - name: found-{form}-{at}
    topics: ["found-{form}-{at}-*"]
    at: [{at}]
    value: {{format: {form}, fields: [{fields}]}}
    headers: [{{name: note, detect: [{", ".join(DETECTORS)}], mask: redact}}]
"""
    return text


def assert_found(form: str, record: Stored) -> None:
    if form == "json":
        document = json.loads(record.value or b"")
        assert document == {"notes": [{name: masked(name) for name in FOUND}], "order": 1234567890, "card": 0}
        return
    assert record.value == " | ".join(masked(name) for name in FOUND).encode()
    assert record.headers == [("note", " | ".join(masked(name, "redacted") for name in FOUND).encode())]


def test_every_detector_is_here() -> None:
    assert set(FOUND) == set(DETECTORS)


@pytest.mark.parametrize(("form", "sent"), [("json", JSON_RECORD), ("text", TEXT_RECORD)], ids=["json", "text"])
async def test_every_detector_at_produce_and_fetch_for_one_principal_and_not_for_another(
    form: str, sent: Stored, kafka: KafkaCluster, start_proxy: StartProxy, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(upstream=kafka.sasl_bootstrap, rules=rules())
    masked_topic, clear_topic = make_topic(f"found-{form}-produce"), make_topic(f"found-{form}-produce")
    viewed_topic = make_topic(f"found-{form}-fetch")

    await send(proxy.bootstrap, masked_topic, OTHER_USER, sent)
    await send(proxy.bootstrap, clear_topic, USER, sent)
    await send(kafka.bootstrap, viewed_topic, None, sent)
    (stored,) = await read(kafka.bootstrap, masked_topic, None, 1)
    (viewed,) = await read(proxy.bootstrap, viewed_topic, OTHER_USER, 1)

    assert_found(form, stored)
    assert_found(form, viewed)
    assert await read(kafka.bootstrap, clear_topic, None, 1) == [sent]
    assert await read(proxy.bootstrap, viewed_topic, USER, 1) == [sent]
