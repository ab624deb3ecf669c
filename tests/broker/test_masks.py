"""Every mask through a real broker, at produce and at fetch, for a principal that is masked and one that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from support.clients import Client, Message
from support.kafka import OTHER_USER, USER, KafkaCluster
from support.proxy import ProxyProcess
from support.stored import Stored, read, send
from wiremask.rules.language.maskwords import MASKS

pytestmark = pytest.mark.broker

MakeTopic = Callable[..., str]
StartProxy = Callable[..., ProxyProcess]

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
# One field for each mask, or form of a mask: its arguments, a value, and what comes out of it, as an expression over the
# whole text. A name begins with the word of the mask.
FIELDS = {
    "keep": ("keep", "open", "open"),
    "redact": ("redact", "secret", r"\[redacted\]"),
    "fixed": ("{fixed: n/a}", "secret", "n/a"),
    "nullify": ("nullify", "secret", None),
    "drop": ("drop", "secret", ...),
    "partial": ("{partial: {keepLast: 4}}", "123-45-6789", r"\*{3}-\*{2}-6789"),
    "truncate": ("{truncate: 2}", "secret", "se"),
    "pattern": ("pattern", "Ab 12", "Xx 99"),
    "email": ("{email: {local: redact}}", "ada@example.com", r"\[redacted\]@example\.com"),
    "hash": ("{hash: {key: k}}", "secret", "[0-9a-f]{64}"),
    "token": ("{token: {key: k, format: pan}}", "4111 1111 1111 1111", r"(?!4111 1111 )(\d{4} ){3}\d{4}"),
    "fpe": ("{fpe: {key: k}}", "4111-1111-1111-1111", r"(?!4111-1111)(\d{4}-){3}\d{4}"),
    "encrypt": ("{encrypt: {key: k}}", "secret", r"wm1:k:1:[\w-]{30,}"),
    "pseudonym": ("{pseudonym: {key: k, words: cities}}", "Atlantis", "[A-Z][a-z]+"),
    "bucket": ("{bucket: {size: 10}}", 37, "30"),
    "round": ("{round: 100}", 1234, "1200"),
    "range": ("{range: {bounds: [18, 65], labels: [minor, adult, senior]}}", 40, "adult"),
    "noise": ("{noise: {key: k, within: 5}}", 1000, "(99[5-9]|100[1-5])"),
    "date": ("{date: month}", "1984-07-23", "1984-07-01"),
    "age": ("age", 97, "90"),
    "zip3": ("zip3", "03601", "000"),
    "ip": ("{ip: {key: k}}", "192.0.2.77", r"(?!192\.0\.2\.77)\d+\.\d+\.\d+\.\d+"),
    "ip_prefix": ("ip", "2001:db8:1:2::5", "2001:db8:1::"),
    "date_shifted": ("{date: {shift: 30, key: k, subject: $.keep}}", "1984-07-23", "1984-0[678]-(?!23)[0-9]{2}"),
    "token_iban": ("{token: {key: k, format: iban}}", "GB29NWBK60161331926819", r"GB\d\d(?!NWBK)[A-Z]{4}\d{14}"),
    "encrypt_alike": ("{encrypt: {key: k, deterministic: true, as: string}}", 17, r"wm1:k:1:[\w-]{24,}"),
    "email_hashed": ("{email: {local: {hash: {key: k, length: 16}}}}", "ada@example.com", r"[0-9a-f]{16}@example\.com"),
    "truncate_hash": ("[{truncate: 2}, {hash: {key: k}}]", "secret", "[0-9a-f]{64}"),
    "noise_percent": ("{noise: {key: k, percent: 10, step: 1}}", 1000, "9[0-9]{2}|10[0-9]{2}|1100"),
    "range_bounds": ("{range: {bounds: [18, 65]}}", 40, "18"),
}
CLEAR = {word: value for word, (_, value, _) in FIELDS.items()}
HEADERS = [("x-user", b"ada"), ("gone", b"ada"), ("trace", b"a1")]


SENT = Stored(b"customer-17", json.dumps(CLEAR).encode(), HEADERS)
TOMBSTONE = Stored(b"customer-17", None, [])


def rules() -> str:
    fields = "\n".join(f"        - {{path: $.{word}, mask: {mask}}}" for word, (mask, _, _) in FIELDS.items())
    parts = ""
    for at in ("produce", "fetch"):
        parts += f"""\
  - name: exempt-{at}
    topics: ["masks-{at}-*"]
    at: [{at}]
    when: {{client: 'principal == "User:{USER}"'}}
    value: {{fields: [{{path: $, mask: keep}}]}}
    key: {{format: text, fields: [{{path: $, mask: keep}}]}}
    headers: [{{name: "*", mask: keep}}]
  - name: all-masks-{at}
    topics: ["masks-{at}-*"]
    at: [{at}]
    reversible: true
    key: {{format: text, fields: [{{path: $, mask: {{hash: {{key: k, domain: id}}}}}}]}}
    headers: [{{name: "x-*", mask: redact}}, {{name: gone, mask: drop}}]
    value:
      fields:
{fields}
"""
    head = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: masks}\nkeys: {k: {env: MASKS_KEY}}\nrules:\n"
    return head + parts


def assert_masked(record: Stored) -> None:
    """Every part is masked as its rule says."""
    masked = json.loads(record.value or b"null")
    assert set(masked) == {word for word, (_, _, expected) in FIELDS.items() if expected is not ...}
    for word, (_, _, expected) in FIELDS.items():
        if isinstance(expected, str):
            assert re.fullmatch(expected, str(masked[word])), f"{word} gave {masked[word]}"
        elif expected is None:
            assert masked[word] is None
    assert record.headers == [("x-user", b"[redacted]"), ("trace", b"a1")]
    assert re.fullmatch(rb"[0-9a-f]{64}", record.key or b"")


def test_every_mask_is_here() -> None:
    assert {name.partition("_")[0] for name in FIELDS} == set(MASKS)


async def test_every_mask_at_produce_and_fetch_for_one_principal_and_not_for_another(
    kafka: KafkaCluster, start_proxy: StartProxy, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(upstream=kafka.sasl_bootstrap, rules=rules(), env={"MASKS_KEY": KEY})
    masked_topic, clear_topic = make_topic("masks-produce"), make_topic("masks-produce")
    viewed_topic = make_topic("masks-fetch")

    await send(proxy.bootstrap, masked_topic, OTHER_USER, SENT, TOMBSTONE)
    await send(proxy.bootstrap, clear_topic, USER, SENT, TOMBSTONE)
    await send(kafka.bootstrap, viewed_topic, None, SENT, TOMBSTONE)
    stored = await read(kafka.bootstrap, masked_topic, None, 2)
    viewed = await read(proxy.bootstrap, viewed_topic, OTHER_USER, 2)

    for record, tombstone in (stored, viewed):
        assert_masked(record)
        assert (tombstone.key, tombstone.value) == (record.key, None)
    assert stored[0].key == viewed[0].key
    assert await read(kafka.bootstrap, clear_topic, None, 2) == [SENT, TOMBSTONE]
    assert await read(proxy.bootstrap, viewed_topic, USER, 2) == [SENT, TOMBSTONE]


OMITTING = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: omitting}
rules:
  - name: omit
    topics: ["masks-omit-*"]
    at: [fetch]
    value: {format: text, fields: [{path: $, mask: {truncate: 1}}]}
    onUnreadable: omit
"""


async def test_records_that_a_fetch_omits_are_passed_over_by_every_client(
    client: Client, kafka: KafkaCluster, start_proxy: StartProxy, make_topic: MakeTopic
) -> None:
    proxy = start_proxy(rules=OMITTING)
    topic = make_topic("masks-omit")
    values = [b"first", b"\xff", b"\xfe", b"second", None, b"\xff"]
    async with client.producer(kafka.bootstrap) as producer:
        for value in values[:2]:  # the second batch becomes an empty one
            await producer.send(topic, [Message(value=value)])
        await producer.send(topic, [Message(value=value, key=b"k") for value in values[2:]])
        await producer.send(topic, [Message(value=b"third")])

    shown = await client.consume(proxy.bootstrap, topic, 4)

    assert [(message.value, message.offset) for message in shown] == [(b"f", 0), (b"s", 3), (None, 4), (b"t", 6)]
    assert proxy.metric("wiremask_omitted_records_total", reason="unreadable") >= 3
