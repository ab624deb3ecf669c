"""Nothing that passes the proxy shows in what it writes: not in logs, metrics, health pages or a crash's last words."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable

import pytest

from support.batches import StoredRecord, write_batch, write_section
from support.capture import RawClient
from support.clients import Client, Message, ProduceRefused
from support.kafka import KafkaCluster
from support.proxy import ProxyProcess, assert_absent
from support.requests import ask_fetch, ask_produce, produce_frame
from support.rulefolder import rule, ruleset

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]

KEY = "hex:" + hashlib.sha256(b"a key that is looked for").hexdigest()
SECRETS = {
    "key": "canary-of-a-key",
    "value": "canary-of-a-value",
    "name": "canary-of-a-field-name",
    "header name": "canary-of-a-header-name",
    "header": "canary-of-a-header",
    "malformed": "canary-of-a-malformed-record",
    "frame": "canary-of-a-broken-frame",
    "rule": "canary-of-a-rule-file",
    "rule key": KEY[4:],
}
RULES = ruleset(
    rule("stored", "stored-*", {"$.ssn": {"fixed": {"value": SECRETS["rule"]}}, "$.id": {"hash": {"key": "pii"}}}),
    rule("viewed", "viewed-*", {"$.ssn": "redact"}, at=["fetch"]),
    keys={"pii": {"env": "WIREMASK_KEY_PII"}},
)
GOOD = '{{"ssn": "{value}", "{name}": 1, "id": "{value}"}}'.format(**SECRETS).encode()
BAD = f'{{"ssn": "{SECRETS["malformed"]}", '.encode()


def _sent(value: bytes) -> Message:
    return Message(
        key=SECRETS["key"].encode(), value=value, headers=((SECRETS["header name"], SECRETS["header"].encode()),)
    )


async def test_canaries_never_show(
    client: Client, start_proxy: StartProxy, kafka: KafkaCluster, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=RULES, env={"WIREMASK_KEY_PII": KEY})
    stored, viewed = make_topic("stored"), make_topic("viewed")

    async with client.producer(proxy.bootstrap) as producer:
        await producer.send(stored, [_sent(GOOD)])
        with pytest.raises(ProduceRefused) as refused:
            await producer.send(stored, [_sent(BAD)])
    async with client.producer(kafka.bootstrap) as producer:
        await producer.send(viewed, [_sent(GOOD), _sent(BAD)])
    await client.consume(proxy.bootstrap, viewed, 2)
    broken_answers = _send_broken(proxy, stored, viewed)
    for text in (RULES.replace('"fixed"', '"fixd"'), RULES[:-30], RULES.replace('"redact"', '{"hash": {"key": "no"}}')):
        proxy.change_rules(text, outcome="refused")
    pages = proxy.everything()
    code = proxy.terminate()

    assert code == 0
    assert_absent(pages, list(SECRETS.values()))
    assert_absent(proxy.output(), list(SECRETS.values()))
    assert_absent(str(refused.value), list(SECRETS.values()))
    assert_absent(broken_answers, list(SECRETS.values()))
    assert len(proxy.logs()) > 5


def _send_broken(proxy: ProxyProcess, stored: str, viewed: str) -> bytes:
    """Sends every kind of broken bytes with the canaries in them; gives what came back, which must not quote them."""
    canary = SECRETS["frame"].encode()
    section = write_section([StoredRecord(offset_delta=0, timestamp_delta=0, key=canary, value=canary)])
    whole = produce_frame(stored, write_batch([canary]))
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
    ]
    answers = []
    for frame in frames:
        with RawClient(proxy.bootstrap, timeout_s=2) as client:
            client.send(frame)
            try:
                answers.append(client.read() or b"")
            except (ConnectionError, TimeoutError):
                answers.append(b"")
    with RawClient(proxy.bootstrap) as client:
        answers += [str(ask_produce(client, stored, write_batch([BAD]))).encode()]
        assert ask_fetch(client, viewed).error_code == 0
    return b"".join(answers)


def test_output_is_nothing_but_log_lines(start_proxy: StartProxy) -> None:
    proxy = start_proxy()

    code = proxy.terminate()
    lines = proxy.logs()

    assert code == 0
    assert len(lines) >= 3
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
