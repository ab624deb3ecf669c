"""`detect` in rules: what is found is masked, and only that; the value stays JSON; order, overlaps, numbers, patterns."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import compile_ruleset
from wiremask.rules.errors import RuleSetInvalid
from wiremask.rules.outcome import Outcome
from wiremask.rules.records.onerecord import OneRecord
from wiremask.rules.review.attribution import attribute

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nkeys: {k: {env: K}}\n"
CARD, IBAN, EMAIL = "4111111111111111", "DE89370400440532013000", "ada@example.com"


def rules(fields: str, more: str = "", form: str = "json", at: str = "produce") -> str:
    return (
        f"{START}{more}rules:\n  - name: r\n    topics: [t]\n    at: [{at}]\n"
        f"    value: {{format: {form}, fields: [{fields}]}}\n"
    )


def run(text: str, *values: bytes, at: str = "produce") -> Outcome:
    plan = compile_ruleset({"r.yaml": text}, lambda _: KEY).match("t", "produce" if at == "produce" else "fetch")
    assert plan is not None
    spans = array("i")
    for value in values:
        spans.extend((sum(spans[1::2]), len(value)))
    return plan.mask(b"".join(values), spans)


def masked(text: str, value: str) -> str:
    outcome = run(text, value.encode())
    assert outcome.failures == ()
    start, length = outcome.spans
    return value if start < 0 else outcome.values[start : start + length].decode()


def reason(text: str, value: str) -> tuple[int, int]:
    (failure,) = run(text, value.encode()).failures
    return failure.index, failure.rule


REDACT_ALL = rules("{detect: [card, iban, email, us-ssn, ipv4, jwt, credential, phone], mask: {redact: {text: <>}}}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('{"a":"x"}', '{"a":"x"}'),
        ('"4111111111111111"', '"<>"'),
        ('["a 4111111111111111 b 4111-1111-1111-1111"]', '["a <> b <>"]'),
        (r'{"a":"\/ \u0034111111111111111 \u00e9\n"}', r'{"a":"\/ <> \u00e9\n"}'),
        (r'{"a":"\ud83d\ude00 ada\u0040example.com \ud83d\ude00"}', r'{"a":"\ud83d\ude00 <> \ud83d\ude00"}'),
        ('{"a":"Ä ada@example.com Ö","b":[null,true,{"c":"192.0.2.7"}]}', '{"a":"Ä <> Ö","b":[null,true,{"c":"<>"}]}'),
        ('{"4111111111111111":"name"}', '{"4111111111111111":"name"}'),
    ],
)
def test_masks_the_span_and_keeps_the_bytes_around(value: str, expected: str) -> None:
    assert masked(REDACT_ALL, value) == expected


@pytest.mark.parametrize(
    "number",
    ["4111111111111111", "4111111111111111.0", "4.111111111111111e15", "41111111111111110E-1", "411111111111111100e-2"],
)
def test_a_card_that_is_a_number_becomes_0(number: str) -> None:
    expected = number if "-" in number else "0"

    assert masked(rules("{detect: [card], mask: redact}"), f'{{"n":{number}}}') == f'{{"n":{expected}}}'


@pytest.mark.parametrize(
    "number", ["4111111111111112", "-4111111111111111", "4111111111111111.5", "0.4111111111111111", "4e15"]
)
def test_other_numbers_stay(number: str) -> None:
    assert masked(rules("{detect: [card], mask: redact}"), f"[{number}]") == f"[{number}]"


def test_a_card_that_is_a_number_is_refused_by_a_mask_for_texts() -> None:
    assert reason(rules("{detect: [card], mask: {partial: {keepLast: 4}}}"), f"[{CARD}]") == (0, 0)
    assert (
        masked(rules("{detect: [card], mask: {partial: {keepLast: 4, as: string}}}"), f"[{CARD}]")
        == '["************1111"]'
    )


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ("redact", "[redacted]"),
        ('{fixed: "\\"n/a\\""}', '\\"n/a\\"'),
        ("{partial: {keepLast: 4}}", "**********e.com"),
        ("{partial: {keepLast: 3, fixedLength: 4}}", "****com"),
        ("{truncate: 3}", "ada"),
        ("pattern", "xxx@xxxxxxx.xxx"),
        ("{hash: {key: k, domain: email, length: 16}}", "0669f54a48db9466"),
        ("email", "*****@example.com"),
        ("{token: {key: k}}", None),
        ("{pseudonym: {key: k, words: cities}}", None),
        ("[{truncate: 8}, {hash: {key: k, length: 16}}]", None),
    ],
)
def test_masks_for_texts_act_on_spans(mask: str, expected: str | None) -> None:
    value = masked(rules(f"{{detect: [email], mask: {mask}}}"), f'{{"a":"to {EMAIL}, now","b":"\\n{EMAIL}"}}')

    assert EMAIL not in value
    parts = json.loads(value)
    assert parts["a"].startswith("to ")
    assert parts["a"].endswith(", now")
    assert parts["b"] == "\n" + parts["a"].removeprefix("to ").removesuffix(", now")
    if expected is not None:
        assert f'"to {expected}, now"' in value


def test_tokens_keep_the_form_of_what_was_found() -> None:
    text = rules(
        "{detect: [card], mask: {token: {key: k, format: pan}}}, {detect: [iban], mask: {token: {key: k, format: iban}}}, "
        "{detect: [ipv4], mask: ip}, {detect: [us-zip], mask: zip3}, {detect: [birth-date], mask: {date: year}}"
    )

    value = masked(text, f'["{CARD}, {IBAN}, 192.0.2.77, zip 02139, born 1984-07-23"]')

    (line,) = json.loads(value)
    card, iban, *others = line.split(", ")
    assert (len(card), iban[:2], len(iban)) == (16, "DE", 22)
    assert CARD not in value
    assert IBAN not in value
    assert others == ["192.0.2.0", "zip 021", "born 1984-01-01"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("{path: $.a, mask: keep}, {detect: [card], mask: redact}", f"{CARD} {EMAIL}"),
        ("{detect: [card], mask: redact}, {path: $.a, mask: keep}", f"[redacted] {EMAIL}"),
        (
            "{detect: [card], mask: redact}, {path: $.a, mask: keep}, {detect: [email], mask: redact}",
            f"[redacted] {EMAIL}",
        ),
        ("{path: $.a, mask: {truncate: 4}}, {detect: [card], mask: redact}", "4111"),
        ("{detect: [card], mask: redact}, {path: $.a, mask: {truncate: 8}}", "[redacte"),
        ("{detect: [card], mask: redact}, {path: $.a, mask: {fixed: x}}", "x"),
        ("{detect: [card], mask: redact}, {detect: [email], mask: {fixed: y}}", "[redacted] y"),
    ],
)
def test_fields_act_in_their_order(fields: str, expected: str) -> None:
    assert json.loads(masked(rules(fields), f'{{"a":"{CARD} {EMAIL}"}}')) == {"a": expected}


def test_what_overlaps_is_masked_as_one_by_the_field_that_stands_first() -> None:
    text = rules("{detect: [card], mask: {partial: {keepLast: 4}}}, {detect: [email], mask: redact}")

    assert masked(text, f'["{CARD}@example.com"]') == '["***********************e.com"]'


def test_a_field_behind_detectors_sees_what_they_left() -> None:
    fields = "{detect: [card, us-zip], mask: redact}, {path: $.zip, mask: {truncate: 20}}, {path: $.n, mask: {truncate: {length: 3, as: string}}}"

    value = masked(rules(fields), f'{{"zip":"02139 and {CARD}","n":{CARD},"m":12345}}')

    assert json.loads(value) == {"zip": "[redacted] and [reda", "n": "0", "m": 12345}


def test_counts_what_each_rule_masked() -> None:
    text = rules("{detect: [card], mask: redact}") + (
        "  - {name: s, topics: [t], at: [produce], value: {fields: [{detect: [email, emp], mask: {token: {key: k}}}]}}\n"
        "patterns: {emp: {regex: 'EMP-[0-9]+'}}\n"
    )

    outcome = run(text, f'["{CARD}","{EMAIL} {CARD}"]'.encode(), b'["x"]', f'["EMP-1 {EMAIL}",{CARD}]'.encode())

    assert list(outcome.masked) == [3, 3]
    assert outcome.changed == 2


PATTERN = "patterns: {emp: {regex: 'emp-[0-9]{4}', ignoreCase: true}, tag: {regex: '<[^>]*>'}}\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('["EMP-1234 and Emp-5678"]', '["# and #"]'),
        ('["nothing", "emp-12"]', '["nothing", "emp-12"]'),
        (r'["\u0065mp-1234\n\/"]', r'["#\n/"]'),
        (r'["\/ nothing \u00e9", "emp-1234"]', r'["\/ nothing \u00e9", "#"]'),
        ('{"a":"<x","b":"y>"}', '{"a":"<x","b":"y>"}'),
        ('{"a":"<x","b":"y>","c":"<z>"}', '{"a":"<x","b":"y>","c":"#"}'),
        ('{"a":"<x> ada@example.com <y>","zip":"02139"}', '{"a":"# # #","zip":"#"}'),
        ('{"zip":"02139 <x>"}', '{"zip":"# #"}'),
    ],
)
def test_patterns_of_the_ruleset_are_found(value: str, expected: str) -> None:
    text = rules("{detect: [emp, tag, email, us-zip], mask: {redact: {text: '#'}}}", PATTERN)

    assert masked(text, value) == expected


def test_a_find_that_its_mask_does_not_take_refuses_the_record_or_is_redacted() -> None:
    fields = "{detect: [tag], mask: {token: {key: k, format: pan}}}"
    refusing = rules(fields, PATTERN)
    redacting = refusing + "    onUnmaskable: redact\n"

    assert reason(refusing, '["a <x> b"]') == (0, 0)
    assert masked(redacting, '["a <x> b"]') == '["a [redacted] b"]'


def test_a_text_is_searched_as_a_whole_value() -> None:
    for form in ("text", "auto"):
        text = rules("{detect: [card, emp], mask: redact}", PATTERN, form=form)

        assert masked(text, f'pay "{CARD}"\nby\\ emp-1234') == 'pay "[redacted]"\nby\\ [redacted]'


def test_keys_and_headers_are_searched() -> None:
    text = (
        f"{START}rules:\n  - name: r\n    topics: [t]\n    at: [produce]\n"
        "    key: {format: text, fields: [{detect: [card], mask: redact}]}\n"
        "    headers: [{name: 'x-*', detect: [email], mask: redact}]\n"
    )
    plan = compile_ruleset({"r": text}, lambda _: KEY).match("t", "produce")
    assert plan is not None
    record = OneRecord.of(
        key=f"id {CARD}".encode(), value=CARD.encode(), headers=[("x-a", f"to {EMAIL}".encode()), ("y", EMAIL.encode())]
    )

    outcome = plan.mask_records(record)

    assert record.masked_key(outcome) == b"id [redacted]"
    assert record.masked_value(outcome) == CARD.encode()
    assert list(record.masked_headers(outcome)) == [("x-a", b"to [redacted]"), ("y", EMAIL.encode())]


def test_attribution_names_every_detector_that_found_something() -> None:
    plan = compile_ruleset(
        {"r": rules("{detect: [card], mask: redact}, {detect: [email], mask: redact}, {path: $.b, mask: redact}")},
        lambda _: KEY,
    )

    decisions = attribute(plan.rules, f'{{"a":"x {CARD} {EMAIL} y","b":"c","c":"d"}}'.encode(), json_depth=8)

    assert [(one.path, one.field.text) for one in decisions] == [
        ("$.a", "detect: card"),
        ("$.a", "detect: email"),
        ("$.b", "$.b"),
    ]


def test_too_many_fields_with_detectors_on_a_topic_are_refused() -> None:
    patterns = "patterns: {" + ", ".join(f"p{i}: {{regex: 'x{i}'}}" for i in range(33)) + "}\n"
    fields = ", ".join(f"{{detect: [p{i}], mask: redact}}" for i in range(33))

    with pytest.raises(RuleSetInvalid, match="more than 32 fields with `detect`"):
        compile_ruleset({"r": rules(fields, patterns)}, lambda _: KEY)


VALUES = [
    CARD,
    "4111 1111 1111 1111",
    IBAN,
    EMAIL,
    "123-45-6789",
    "192.0.2.77",
    "AKIAIOSFODNN7EXAMPLE",
    "+442071838750",
]
# No "v": four numbers behind the word of a version are none.
TEXTS = st.text(max_size=6).filter(lambda text: "v" not in text.lower()) | st.sampled_from(
    ["a ", " ", "\n", "\\", '"', "é", "\U0001f600", ", "]
)


@st.composite
def strings(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A text with values in it, each with a space around, and the values."""
    values = draw(st.lists(st.sampled_from(VALUES), max_size=3))
    text = draw(TEXTS)
    for value in values:
        text += f" {value} " + draw(TEXTS.filter(lambda part: "@" not in part and not any(c.isdigit() for c in part)))
    return text, values


@settings(max_examples=150, deadline=None)
@given(
    st.lists(strings(), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(["redact", "{hash: {key: k}}", "{token: {key: k}}"]),
)
def test_no_value_is_left_and_the_rest_is_as_it_was(
    parts: list[tuple[str, list[str]]], ascii_only: bool, mask: str
) -> None:
    document = {f"m{i}": [text, {"x": text}] for i, (text, _) in enumerate(parts)}
    value = json.dumps(document, ensure_ascii=ascii_only)
    text = rules(f"{{detect: [card, iban, email, us-ssn, ipv4, credential, phone], mask: {mask}}}")

    output = masked(text, value)

    shown = json.loads(output)
    for i, (text, values) in enumerate(parts):
        assert shown[f"m{i}"][0] == shown[f"m{i}"][1]["x"]
        for one in values:
            assert one not in shown[f"m{i}"][0]
        if not values and mask == "redact":
            assert shown[f"m{i}"][0] == text or "[redacted]" in shown[f"m{i}"][0]


@settings(max_examples=100, deadline=None)
@given(st.lists(strings(), min_size=1, max_size=4), st.booleans())
def test_searching_in_python_finds_what_the_kernel_finds(parts: list[tuple[str, list[str]]], ascii_only: bool) -> None:
    value = json.dumps([text for text, _ in parts], ensure_ascii=ascii_only)
    detect = "card, iban, email, us-ssn, ipv4, credential, phone"

    alone = masked(rules(f"{{detect: [{detect}], mask: redact}}"), value)
    beside = masked(
        rules(f"{{detect: [{detect}, any], mask: redact}}", "patterns: {any: {regex: '[[:cntrl:]]never|zzzz'}}\n"),
        value,
    )
    behind = masked(rules(f"{{detect: [{detect}], mask: redact}}, {{path: $, mask: {{truncate: 100000}}}}"), value)

    assert json.loads(alone) == json.loads(beside) == json.loads(behind)
