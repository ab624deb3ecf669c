"""Values that are texts, or JSON or texts: every mask does to a text what it does to a string in JSON."""

from __future__ import annotations

import json
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import Direction, RuleSetInvalid, TopicPlan, compile_ruleset
from wiremask.rules.kernel.texts import quote, unquote

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
RULES = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {{name: t}}
keys: {{pii: {{env: PII}}}}
rules:
  - name: r
    topics: [t]
    at: [{at}]
    reversible: true
    onUnreadable: {policy}
    value: {{format: {form}, fields: [{fields}]}}
"""
MASKS = [
    "redact",
    "{fixed: n/a}",
    "partial",
    "{partial: {keepFirst: 2, keepLast: 1}}",
    "{truncate: 3}",
    "pattern",
    "{hash: {key: pii}}",
    "{token: {key: pii}}",
    "{encrypt: {key: pii, deterministic: true}}",
    "{pseudonym: {key: pii, words: cities}}",
    "[{truncate: 4}, {hash: {key: pii}}]",
]
TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('"\\\n\x00{}[] 12'), max_size=30)


def compiled(form: str, fields: str, policy: str = "reject", at: Direction = "produce") -> TopicPlan:
    text = RULES.format(form=form, fields=fields, policy=policy, at=at)
    plan = compile_ruleset({"r": text}, lambda _: KEY).match("t", at)
    assert plan is not None
    return plan


def masked(plan: TopicPlan, *values: bytes | None) -> list[bytes | str | None]:
    """What becomes of each value; a word for one that is refused."""
    buffer = bytearray(b"..")
    spans = array("i")
    for value in values:
        spans.extend((len(buffer), -1 if value is None else len(value)))
        buffer += value or b""
    outcome = plan.mask(bytes(buffer), spans)
    refused = {failure.index: failure.reason.value for failure in outcome.failures}
    starts, lengths = outcome.spans[::2], outcome.spans[1::2]
    assert outcome.changed == sum(start >= 0 for start in starts)
    assert [start == -2 for start in starts] == [index in refused for index in range(len(values))]
    return [
        refused[i] if i in refused else value if starts[i] < 0 else outcome.values[starts[i] : starts[i] + lengths[i]]
        for i, value in enumerate(values)
    ]


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=20) | TEXTS.map(str.encode) | st.none(), max_size=5))
def test_quoted_texts_are_json_and_come_back_unchanged(texts: list[bytes | None]) -> None:
    buffer = b"".join(text or b"" for text in texts)
    spans = array("i")
    at = 0
    for text in texts:
        spans.extend((at, -1 if text is None else len(text)))
        at += len(text or b"")

    strings, places = quote(buffer, spans)

    for i, text in enumerate(texts):
        string = strings[places[2 * i] : places[2 * i] + places[2 * i + 1]]
        assert (places[2 * i + 1] == -1) == (text is None)
        if text is not None:
            assert json.loads(string.decode("latin-1")).encode("latin-1") == text


@pytest.mark.parametrize("span", [(0, 5), (-1, 1), (3, 2), (2**31 - 1, 2**31 - 1), (0, -2)])
def test_refuses_text_outside_of_buffer(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside the buffer"):
        quote(b"text", array("i", span))


def test_refuses_outputs_that_are_no_text() -> None:
    outcome = compiled("json", "{path: $, mask: redact}").mask(b"12", array("i", (0, 2)))

    with pytest.raises(RuntimeError, match="something else"):
        unquote(outcome, b"12", array("i", (0, 2)))


@pytest.mark.parametrize("mask", MASKS)
@settings(max_examples=100)
@given(text=TEXTS)
def test_mask_does_to_text_what_it_does_to_string_in_json(mask: str, text: str) -> None:
    whole = f"{{path: $, mask: {mask}}}"

    (plain,) = masked(compiled("text", whole), text.encode())
    (string,) = masked(compiled("json", whole), json.dumps(text).encode())

    assert plain == (json.loads(string).encode() if isinstance(string, bytes) else string)


@pytest.mark.parametrize("form", ["text", "auto"])
def test_null_and_empty_texts_stay_what_they_are(form: str) -> None:
    plan = compiled(form, "{path: $, mask: partial}")

    assert masked(plan, None, b"", None) == [None, b"", None]


@pytest.mark.parametrize("value", [b"\xff", b"a\xc3", b"\xed\xa0\x80", b'"\xff"'])
@pytest.mark.parametrize("form", ["text", "auto"])
def test_bytes_that_are_no_utf8_are_unreadable(form: str, value: bytes) -> None:
    assert masked(compiled(form, "{path: $, mask: redact}"), value) == ["unreadable"]
    assert masked(compiled(form, "{path: $, mask: redact}", "redact"), value) == [b"[unreadable]"]
    assert masked(compiled(form, "{path: $, mask: redact}", at="fetch"), value) == [b"[unreadable]"]


def test_auto_masks_json_by_its_fields_and_texts_whole() -> None:
    plan = compiled("auto", "{path: $.id, mask: keep}, {path: $, mask: redact}")

    found = masked(plan, b'{"id":1,"a":"x"}', b"hello", b"", None, b" 17 ", b"[INFO] started", b"{")

    redacted = b"[redacted]"
    assert found == [b'{"id":1,"a":"[redacted]"}', redacted, redacted, None, b" 0 ", redacted, redacted]


@pytest.mark.parametrize(
    "value", [b"[" * 65 + b"]" * 65, b'{"a":"\\ud800"}', b'\xef\xbb\xbf{"a":1}'], ids=["depth", "surrogate", "mark"]
)
def test_json_that_other_readers_take_is_no_text_to_auto(value: bytes) -> None:
    fields = "{path: $.a, mask: redact}, {path: $, mask: keep}"

    assert masked(compiled("auto", fields), b"text", value) == [b"text", "unreadable"]
    assert masked(compiled("auto", fields, "redact"), value, b"text", value) == [
        b'{"wiremask":"unreadable"}', b"text", b'{"wiremask":"unreadable"}'
    ]  # fmt: skip


@settings(max_examples=200)
@given(
    st.lists(
        TEXTS.map(str.encode) | st.binary(max_size=8) | st.sampled_from([b'{"a":"x"}', b"[" * 70, b'{"a":true}', b"7"]),
        max_size=8,
    ),
    st.sampled_from(["reject", "redact"]),
)
def test_batch_of_auto_is_its_values_one_by_one(values: list[bytes], policy: str) -> None:
    plan = compiled("auto", "{path: $.a, mask: partial}, {path: $, mask: {hash: {key: pii, as: string}}}", policy)

    together = masked(plan, *values)

    assert together == [masked(plan, value)[0] for value in values]


def test_auto_is_read_as_json_where_another_rule_takes_json_only() -> None:
    more = "  - {name: s, topics: [t], at: [produce], value: {fields: [{path: $.b, mask: redact}]}}\n"
    text = RULES.format(form="auto", fields="{path: $, mask: keep}", policy="redact", at="produce") + more
    plan = compile_ruleset({"r": text}, lambda _: KEY).match("t", "produce")

    assert plan is not None
    assert masked(plan, b"text", b'{"b":1}') == ["unreadable", b'{"b":1}']


def test_formats_that_differ_are_reported_at_each_rule_of_the_topic() -> None:
    more = "  - {name: s, topics: ['t*'], at: [produce], value: {fields: [{path: $.b, mask: redact}]}}\n"
    text = RULES.format(form="text", fields="{path: $, mask: keep}", policy="redact", at="produce") + more

    with pytest.raises(RuleSetInvalid, match="some of the rules for one topic have `format: text`") as caught:
        compile_ruleset({"r": text}, lambda _: KEY)

    assert [(error.line, error.column) for error in caught.value.errors] == [(6, 11)]
