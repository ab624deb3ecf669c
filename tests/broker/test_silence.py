"""Nothing that passes the proxy shows in what it writes: not in logs, metrics, health pages or a crash's last words."""

from __future__ import annotations

import gzip
import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from support.batches import StoredRecord, read_batches, write_batch, write_section
from support.capture import RawClient
from support.clients import Client, Message, ProduceRefused
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess, assert_absent
from support.requests import ask_fetch, ask_produce, produce_frame, read_produced
from support.rulefolder import ruleset

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]

INVALID_RECORD = 87
KEY = "hex:" + hashlib.sha256(b"a key that is looked for").hexdigest()
SECRETS = {
    "key": "canary-of-a-key",
    "value": "canary-of-a-value",
    "address": "canary@of-a-find.example",
    "number": "4111111111111111",
    "name": "canary-of-a-field-name",
    "header name": "canary-of-a-header-name",
    "header": "canary-of-a-header",
    "malformed": "canary-of-a-malformed-record",
    "frame": "canary-of-a-broken-frame",
    "rule": "canary-of-a-rule-file",
    "condition": "canary-of-a-condition",
    "rule key": KEY[4:],
}
DOCUMENT = '{{"ssn": "{value}", "{name}": 1, "id": "{value}", "note": "from {address}", "card": {number}, "of": "{condition}"}}'
GOOD = Message(
    key=SECRETS["key"].encode(),
    value=DOCUMENT.format(**SECRETS).encode(),
    headers=((SECRETS["header name"], SECRETS["header"].encode()),),
)
MALFORMED = f'{{"ssn": "{SECRETS["malformed"]}", '.encode()
UNREADABLE = Message(value=MALFORMED)
NO_TEXT = b"\xff" + SECRETS["malformed"].encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """What a rule says beside its name and topics, a record that it lets pass, and one that it does not."""

    says: dict[str, Any]
    passes: Message | None = GOOD
    refuses: Message | None = UNREADABLE
    at: tuple[str, ...] = ("produce", "fetch")


def _masks(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"value": {"fields": list(fields), **more}}


PII = {"key": "pii"}
FEATURES = {
    "json": Feature(
        says=_masks(
            {"path": "$.ssn", "mask": {"fixed": {"value": SECRETS["rule"]}}}, {"path": "$.id", "mask": {"hash": PII}}
        )
    ),
    "text": Feature(says=_masks({"path": "$", "mask": {"token": PII}}, format="text"), refuses=Message(value=NO_TEXT)),
    "auto": Feature(
        says=_masks({"path": "$.ssn", "mask": "redact"}, {"path": "$", "mask": {"truncate": 2}}, format="auto"),
        passes=UNREADABLE,
        refuses=Message(value=b"\xef\xbb\xbf" + MALFORMED),
    ),
    "key": Feature(
        says={"key": {"format": "text", "fields": [{"path": "$", "mask": {"token": PII}}]}},
        refuses=Message(key=NO_TEXT, value=None),
    ),
    "headers": Feature(
        says={"headers": [{"name": "canary-*", "mask": {"hash": PII}}]},
        refuses=Message(headers=((SECRETS["header name"], NO_TEXT),), value=None),
    ),
    "detect": Feature(
        says=_masks(
            {"detect": ["email"], "mask": "redact"}, {"detect": ["card"], "mask": {"hash": {**PII, "as": "string"}}}
        )
    ),
    "detect-number": Feature(says=_masks({"detect": ["card"], "mask": {"hash": PII}}), passes=None, refuses=GOOD),
    "token": Feature(
        says=_masks({"path": "$.ssn", "mask": {"token": {**PII, "format": "pan"}}}), passes=None, refuses=GOOD
    ),
    "number": Feature(says=_masks({"path": "$.card", "mask": {"truncate": 2}}), passes=None, refuses=GOOD),
    "when": Feature(
        says={
            "when": {
                "record": [
                    {"path": "$.of", "in": [SECRETS["condition"]]},
                    {"header": SECRETS["header name"], "equals": SECRETS["header"]},
                ]
            },
            **_masks({"path": "$.ssn", "mask": "redact"}),
        }
    ),
    "observe": Feature(says={"mode": "observe", **_masks({"path": "$.ssn", "mask": {"token": PII}})}, refuses=None),
    "required": Feature(
        says=_masks({"path": "$.nowhere", "mask": "redact", "onMissing": "reject"}),
        passes=None,
        refuses=GOOD,
        at=("produce",),
    ),
}
STEMS = {"produce": "stored", "fetch": "viewed"}
RULES = ruleset(
    *(
        {"name": f"{STEMS[at]}-{name}", "topics": [f"{STEMS[at]}-{name}-[0-9]*"], "at": [at], **feature.says}
        for name, feature in FEATURES.items()
        for at in feature.at
    ),
    keys={"pii": {"env": "WIREMASK_KEY_PII"}},
)
LIMITS = {"workerBytes": 4_096, "decompressedBytes": 1_000_000}
MANY = 400


async def test_canaries_never_show(
    client: Client, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=RULES, env={"WIREMASK_KEY_PII": KEY}, settings={"limits": LIMITS})
    stored, viewed = make_topic("stored-json"), make_topic("viewed-json")

    async with client.producer(proxy.bootstrap) as producer:
        await producer.send(stored, [GOOD])
        with pytest.raises(ProduceRefused) as refused:
            await producer.send(stored, [UNREADABLE])
    async with client.producer(kafka.bootstrap) as producer:
        await producer.send(viewed, [GOOD, UNREADABLE])
    await client.consume(proxy.bootstrap, viewed, 2)
    answers = [_use(name, proxy, kafka, make_topic) for name in FEATURES]
    answers += [_send_heavy(proxy, kafka, stored, viewed), _send_broken(proxy, stored, make_topic("passed"))]
    for text in (RULES.replace('"fixed"', '"fixd"'), RULES[:-30], RULES.replace('"redact"', '{"hash": {"key": "no"}}')):
        proxy.change_rules(text, outcome="refused")
    pages = proxy.everything()
    acted = {name: _acted(name, proxy) for name in FEATURES}
    code = proxy.terminate()

    assert code == 0
    assert_absent(pages, list(SECRETS.values()))
    assert_absent(proxy.output(), list(SECRETS.values()))
    assert_absent(str(refused.value), list(SECRETS.values()))
    assert_absent("".join(answers), list(SECRETS.values()))
    assert acted == dict.fromkeys(FEATURES, True)
    assert proxy.says("what is behind the records")  # so the large request had been going on while it arrived
    assert len(proxy.logs()) > 5


def _use(name: str, proxy: ProxyProcess, kafka: KafkaCluster, make_topic: MakeTopic) -> str:
    """Sends and fetches what the feature lets pass and what not; gives what the answers say."""
    feature, told = FEATURES[name], []
    stored, viewed = make_topic(f"stored-{name}"), make_topic(f"viewed-{name}")
    with RawClient(proxy.bootstrap) as through, RawClient(kafka.bootstrap) as direct:
        for message, code in ((feature.passes, 0), (feature.refuses, INVALID_RECORD)):
            if message is not None:
                answer = ask_produce(through, stored, _batch(message))
                assert answer[0].error_code == code
                told.append(str(answer))
                ask_produce(direct, viewed, _batch(message))
        assert ask_fetch(through, viewed).error_code == 0
    return "".join(told)


def _acted(name: str, proxy: ProxyProcess) -> bool:
    """Whether the metrics say that the feature's rules did what they are here for."""
    feature = FEATURES[name]
    if feature.refuses is None:
        return all(proxy.metric("wiremask_observed_total", rule=f"{STEMS[at]}-{name}", at=at) > 0 for at in feature.at)
    masking = [at for at in feature.at if at == "fetch" or feature.passes is not None]
    return all(proxy.metric("wiremask_masked_fields_total", rule=f"{STEMS[at]}-{name}", at=at) > 0 for at in masking)


def _send_heavy(proxy: ProxyProcess, kafka: KafkaCluster, stored: str, viewed: str) -> str:
    """Sends and fetches what goes to a worker thread: for its own size, or for what it turns out to expand to."""
    told = []
    good = [GOOD.value] * MANY
    with RawClient(proxy.bootstrap) as through, RawClient(kafka.bootstrap) as direct:
        for codec in ("none", "gzip"):
            for values, code in ((good, 0), ([*good, MALFORMED], INVALID_RECORD)):
                frame = produce_frame(stored, batch := write_batch(values, codec=codec))
                assert (len(frame) > LIMITS["workerBytes"]) == (codec == "none")
                answer = read_produced(through.ask(frame), 9)
                assert answer[0].error_code == code
                told.append(str(answer))
                ask_produce(direct, viewed, batch)
        bomb = gzip.compress(SECRETS["frame"].encode() * LIMITS["decompressedBytes"])
        told.append(str(ask_produce(through, stored, write_batch([], codec="gzip", section=bomb, count=1))))
        fetched = ask_fetch(through, viewed)
        assert fetched.error_code == 0
        assert sum(len(batch.records) for batch in read_batches(fetched.records)) > 4 * MANY
    return "".join(told)


def _send_broken(proxy: ProxyProcess, stored: str, passed: str) -> str:
    """Sends every kind of broken bytes with the canaries in them; gives what came back, which must not quote them."""
    canary = SECRETS["frame"].encode()
    section = write_section([StoredRecord(offset_delta=0, timestamp_delta=0, key=canary, value=canary)])
    whole = produce_frame(stored, write_batch([canary]))
    large = produce_frame(stored, write_batch([canary] * 10_000))
    streamed = produce_frame(passed, write_batch([canary] * 40_000))
    sizes = struct.Struct(">i")
    frames = [
        canary,
        sizes.pack(len(canary)) + canary,
        struct.pack(">ihhih", 10 + len(canary), 3, 1, 7, 3000) + canary,
        sizes.pack(len(whole) - 4 + len(canary)) + whole[4:] + canary,
        sizes.pack(len(whole) - 7) + whole[4:-3],
        produce_frame(stored, write_batch([], section=section[:-1], count=1)),
        produce_frame(stored, write_batch([], section=section, count=5)),
        produce_frame(stored, write_batch([], codec="gzip", section=section, count=1)),
        produce_frame(stored, write_batch([canary])[:-1] + b"\x00"),
        produce_frame(stored, canary),
        produce_frame(stored, write_batch([canary]), acks=0),
        large[: len(large) // 2],
        large[:-1] + b"\x07",
        large.replace(canary, canary[::-1], 1),
        streamed[: len(streamed) // 2],
        streamed[:-1] + b"\x07",
    ]
    answers = []
    for frame in frames:
        with RawClient(proxy.bootstrap, timeout_s=2) as client:
            try:
                client.send(frame)
                answers.append(str(client.read()))
            except (ConnectionError, TimeoutError):
                answers.append("")
    with RawClient(proxy.bootstrap) as client:
        assert ask_produce(client, stored, _batch(GOOD))[0].error_code == 0
    return "".join(answers)


def _batch(message: Message) -> bytes:
    record = StoredRecord(
        offset_delta=0, timestamp_delta=0, key=message.key, value=message.value, headers=message.headers
    )
    return write_batch([], section=write_section([record]), count=1)


def test_output_is_nothing_but_log_lines(start_proxy: StartProxy) -> None:
    proxy = start_proxy()

    code = proxy.terminate()
    lines = proxy.logs()

    assert code == 0
    assert len(lines) >= 3
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
