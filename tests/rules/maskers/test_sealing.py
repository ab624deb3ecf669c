"""What can be undone: encrypt and fpe through a plan and back, bound to topic, path and key."""

from __future__ import annotations

import base64
import json
from array import array

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV, AESSIV
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import KeyReference, Plan, TopicPlan, compile_ruleset
from wiremask.rules.keys import decode_key, derive_subkey
from wiremask.rules.model.onepart import OnePart
from wiremask.rules.outcome import Detail
from wiremask.rules.records.onerecord import OneRecord
from wiremask.rules.reveal import reveal_plan

KEYS = {
    "V1": "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f",
    "V2": "hex:1d7e4a90c25b83f6e0194c7d62ab58f33b9f07c8e1d5426a90bc3471f8e62d05",
}
FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: sealing}
keys: {pii: {active: ACTIVE, versions: {v1: {env: V1}, v2: {env: V2}}}}
rules:
  - name: r
    topics: ["t*"]
    at: [produce]
    reversible: true
    value:
      fields:
        - {path: $.shown, mask: keep}
        - {path: $.a, mask: {encrypt: {key: pii}}}
        - {path: "$['b', 'c']", mask: {encrypt: {key: pii, domain: d, deterministic: true, as: string}}}
        - {path: $.pan, mask: {fpe: {key: pii, keepFirst: 6, keepLast: 2}}}
        - {path: $.mail, mask: {email: {local: {encrypt: {key: pii}}}}}
        - {path: $.list, mask: [pattern, {encrypt: {key: pii}}]}
        - {path: $, mask: redact}
"""


def compiled(active: str = "v1") -> Plan:
    def resolve(reference: KeyReference) -> str:
        return KEYS[reference.env or ""]

    return compile_ruleset({"f": FILE.replace("ACTIVE", active)}, resolve)


def run(program: TopicPlan | None, value: object) -> object:
    assert program is not None
    text = json.dumps(value, ensure_ascii=False).encode()
    outcome = program.mask(text, array("i", (0, len(text))))
    if outcome.failures:
        return outcome.failures[0].detail
    return value if outcome.spans[0] < 0 else json.loads(outcome.values)


def test_masks_and_comes_back() -> None:
    plan = compiled()
    value = {"shown": "x", "a": "é\n", "b": "b", "c": 12.50, "pan": "4111-1111-1111-1111", "mail": "ada@example.com",
             "list": "Ada", "other": "secret", "null": None}  # fmt: skip

    masked = run(plan.match("t1", "produce"), value)
    back = run(reveal_plan(plan, "t1", "produce"), masked)

    text = json.dumps(masked)
    assert not [word for word in ("é", "12.5", "1111-1111-11", "ada@", "Ada", "secret") if word in text]
    assert back == {**value, "c": "12.5", "list": "Xxx", "other": "[redacted]"}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50))
@settings(max_examples=100, deadline=None)
def test_every_text_comes_back(text: str) -> None:
    plan = compiled()

    masked = run(plan.match("t", "produce"), {"a": text, "b": text})

    assert run(reveal_plan(plan, "t", "produce"), masked) == {"a": text, "b": text}


def test_random_nonces_differ_and_deterministic_ones_do_not() -> None:
    program = compiled().match("t", "produce")

    one, two = run(program, {"a": "x", "b": "x", "c": "x"}), run(program, {"a": "x", "b": "x", "c": "x"})

    assert isinstance(one, dict)
    assert isinstance(two, dict)
    assert one["a"] != two["a"]
    assert one["b"] == two["b"] == one["c"]


def test_output_is_what_the_format_says() -> None:
    key = decode_key(KEYS["V1"])
    masked = run(compiled().match("t1", "produce"), {"a": "x", "c": 7})
    assert isinstance(masked, dict)

    def bound(path: str) -> bytes:
        parts = [b"wiremask/v1/encrypt", b"t1", path.encode(), b"pii", b"v1"]
        return b"".join(len(part).to_bytes(4) + part for part in parts)

    def data(text: str) -> bytes:
        head, name, version, rest = text.split(":")
        assert (head, name, version) == ("wm1", "pii", "v1")
        return base64.urlsafe_b64decode(rest + "==")

    random, fixed = data(masked["a"]), data(masked["c"])
    siv = derive_subkey(key, "encrypt-siv1", "d") + derive_subkey(key, "encrypt-siv2", "d")
    assert random[:1] + fixed[:1] == b"rd"
    gcm = AESGCMSIV(derive_subkey(key, "encrypt", ""))
    assert gcm.decrypt(random[1:13], random[13:], bound('$["a"]')) == b"sx"
    assert AESSIV(siv).decrypt(fixed[1:], [bound('$["b","c"]')]) == b"n7"


def test_old_version_still_opens_and_the_active_one_seals() -> None:
    value = {"a": "secret", "b": "secret"}
    masked = run(compiled("v1").match("t", "produce"), value)

    anew = run(compiled("v2").match("t", "produce"), value)

    assert "wm1:pii:v2:" in json.dumps(anew)
    assert "wm1:pii:v1:" not in json.dumps(anew)
    assert run(reveal_plan(compiled("v2"), "t", "produce"), masked) == value


@pytest.mark.parametrize("field", ["a", "b"])
def test_nothing_opens_elsewhere_or_changed(field: str) -> None:
    plan = compiled()
    masked = run(plan.match("t", "produce"), {field: "secret"})
    assert isinstance(masked, dict)
    sealed = masked[field]
    changed = sealed[:-2] + ("A" if sealed[-2] != "A" else "B") + sealed[-1]
    other_field = {"a": "b", "b": "a"}[field]

    assert run(reveal_plan(plan, "t2", "produce"), masked) == Detail.UNFIT
    assert run(reveal_plan(plan, "t", "produce"), {other_field: sealed}) == Detail.UNFIT
    for wrong in (changed, sealed[:-5], sealed + "A", "secret", "", "wm1:pii:v3:" + sealed.split(":")[3],
                  "wm1:other:v1:" + sealed.split(":")[3], "wm1:pii:v1:", "wm1:pii:v1:A", "wm1:pii:v1:cg"):  # fmt: skip
        assert run(reveal_plan(plan, "t", "produce"), {field: wrong}) == Detail.UNFIT


def test_topics_share_no_program_where_the_topic_counts() -> None:
    plan = compiled()

    assert plan.match("t1", "produce") is plan.match("t1", "produce")
    assert plan.match("t1", "produce") is not plan.match("t2", "produce")


def test_there_is_nothing_to_undo_for_other_topics_and_directions() -> None:
    plan = compiled()

    assert reveal_plan(plan, "other", "produce") is None
    assert reveal_plan(plan, "t", "fetch") is None


@pytest.mark.parametrize("pan", ["4111-1111-1111-1", "1", "", "x", "1" * 70])
def test_fpe_takes_no_domain_below_a_million_and_none_too_long(pan: str) -> None:
    assert run(compiled().match("t", "produce"), {"pan": pan}) == Detail.UNFIT


def test_fpe_tells_equal_middles_of_two_cards_apart() -> None:
    program = compiled().match("t", "produce")

    one, two = run(program, {"pan": "4111111234567811"}), run(program, {"pan": "4222221234567811"})

    assert isinstance(one, dict)
    assert isinstance(two, dict)
    assert one["pan"][6:-2] != two["pan"][6:-2]


def test_no_key_shows_in_a_representation() -> None:
    plan = compiled()

    shown = repr(plan.rules) + repr(plan) + repr(plan.match("t", "produce"))

    for text in KEYS.values():
        for word in ("encrypt", "encrypt-siv1", "encrypt-siv2", "fpe"):
            for domain in ("", "d"):
                assert repr(derive_subkey(decode_key(text), word, domain))[2:20] not in shown


PARTS = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: parts}
keys: {pii: {env: V1}}
rules:
  - name: exempt
    topics: [t]
    at: [produce]
    when: {record: [{header: source, equals: web}]}
    headers: [{name: "*", mask: keep}]
  - name: r
    topics: [t]
    at: [produce]
    reversible: true
    key: {format: text, fields: [{path: $, mask: {encrypt: {key: pii, deterministic: true}}}]}
    headers: [{name: "x-*", mask: {encrypt: {key: pii}}}, {name: gone, mask: drop}]
"""


@pytest.mark.parametrize("part", [OnePart(key=True), OnePart(header="x-user")], ids=["key", "header"])
def test_keys_and_headers_come_back(part: OnePart) -> None:
    plan = compile_ruleset({"r": PARTS}, lambda reference: KEYS[reference.env or ""])
    program, undoing = plan.match("t", "produce"), reveal_plan(plan, "t", "produce", part=part)
    record = OneRecord.of(key=b"ada", headers=[("x-user", b"ada")])
    assert program is not None
    outcome = program.mask_records(record)
    masked = record.masked_key(outcome) if part.key else dict(record.masked_headers(outcome))["x-user"]
    assert masked is not None
    assert undoing is not None

    back = undoing.mask(masked, array("i", (0, len(masked))))

    assert masked.startswith(b"wm1:pii:")
    assert back.values == b"ada"


@pytest.mark.parametrize(
    "part", [OnePart(), OnePart(header="gone"), OnePart(header="other")], ids=["value", "dropped", "none"]
)
def test_there_is_nothing_to_undo_in_other_parts(part: OnePart) -> None:
    assert (
        reveal_plan(
            compile_ruleset({"r": PARTS}, lambda reference: KEYS[reference.env or ""]), "t", "produce", part=part
        )
        is None
    )
