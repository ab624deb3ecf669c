"""`when: {record: ...}`: which records a rule acts on, in one batch, and what is unknown."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings

from support import json_oracle
from support.json_documents import damaged_documents, documents, paths
from wiremask.rules import compile_ruleset
from wiremask.rules.kernel.automaton import AutomatonTooLarge, Selection
from wiremask.rules.kernel.jsonmask import JsonMasker
from wiremask.rules.model.masks import OneOf
from wiremask.rules.model.selector import Path
from wiremask.rules.outcome import LEFT_OUT, UNCHANGED, Outcome
from wiremask.rules.records.batch import RecordsOutcome

FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {{name: t}}
rules:
  - name: exempt
    topics: [t]
    at: [{at}]
    when: {{record: [{{path: $.country, in: [US, 7, true]}}, {{header: source, equals: web}}]}}
    value: {{fields: [{{path: $.a, mask: keep}}]}}
  - name: mask
    topics: [t]
    at: [{at}]
    when: {{record: [{{path: $.country, in: [DE, FR]}}]}}
    value: {{fields: [{{path: $.a, mask: {{fixed: x}}}}, {{path: $.b, mask: {{fixed: x}}}}]}}
"""


@dataclass
class Batch:
    section: bytes = b""
    values: array[int] = field(default_factory=lambda: array("i"))
    keys: array[int] = field(default_factory=lambda: array("i"))
    headers: array[int] = field(default_factory=lambda: array("i"))

    def add(self, value: bytes, *headers: tuple[bytes, bytes | None]) -> None:
        record = len(self.values) // 2
        self.values.extend((len(self.section), len(value)))
        self.section += value
        for name, content in headers:
            at = len(self.section)
            self.headers.extend((record, at, len(name), at + len(name), -1 if content is None else len(content)))
            self.section += name + (content or b"")


def mask(at: str, *records: tuple[bytes, list[tuple[bytes, bytes | None]]]) -> list[bytes]:
    plan = compile_ruleset({"r": FILE.format(at=at)}, None).match("t", at)  # type: ignore[arg-type]
    batch = Batch()
    for value, headers in records:
        batch.add(value, *headers)
    assert plan is not None
    outcome = plan.mask_records(batch).value
    assert outcome is not None
    spans = zip(outcome.spans[::2], outcome.spans[1::2], strict=True)
    return [
        value if start < 0 else outcome.values[start : start + length]
        for (value, _), (start, length) in zip(records, spans, strict=True)
    ]


WEB = [(b"source", b"web")]
KEPT, ACTS, BOTH = b'"a":1,"b":1', b'"a":1,"b":"x"', b'"a":"x","b":"x"'

CASES = {
    "mask": (b'"DE"', WEB, BOTH),
    "neither": (b'"CH"', WEB, KEPT),
    "exempt, and not masked": (b'"US"', WEB, KEPT),
    "another header": (b'"US"', [(b"source", b"app")], KEPT),
    "escaped": (b'"\\u0044\\u0045"', WEB, BOTH),
    "another case": (b'"de"', WEB, KEPT),
    "null": (b"null", WEB, BOTH),
    "object": (b'{"x":"CH"}', WEB, BOTH),
    "empty array": (b"[]", WEB, BOTH),
    "number exempts and is of another type for the mask": (b"7", WEB, ACTS),
    "number that is another": (b"8", WEB, BOTH),
    "number with a point": (b"7.0", WEB, BOTH),
    "number with an exponent": (b"70e-1", WEB, BOTH),
    "boolean": (b"true", WEB, ACTS),
    "other boolean": (b"false", WEB, BOTH),
    "no header": (b"7", [], BOTH),
    "null header": (b"7", [(b"source", None)], BOTH),
    "headers that differ": (b"7", [(b"source", b"web"), (b"source", b"x")], BOTH),
    "the header twice": (b"7", WEB + WEB, ACTS),
    "a header that is another": (b"7", [(b"sourc", b"eweb")], BOTH),
}


@pytest.mark.parametrize("at", ["produce", "fetch"])
def test_acts_on_the_records_for_which_all_holds(at: str) -> None:
    records = [(b'{"country":%s,"a":1,"b":1}' % country, headers) for country, headers, _ in CASES.values()]

    masked = mask(at, *records)

    assert dict(zip(CASES, masked, strict=True)) == {
        name: b'{"country":%s,%s}' % (country, expected) for name, (country, _, expected) in CASES.items()
    }


def test_missing_and_doubled_fields_are_on_the_safe_side() -> None:
    assert mask("produce", (b'{"a":1}', WEB)) == [b'{"a":"x"}']
    assert mask("produce", (b'{"country":"US","a":1,"country":"DE"}', WEB)) == [
        b'{"country":"US","a":"x","country":"DE"}'
    ]


def test_a_condition_may_stand_behind_what_it_masks() -> None:
    assert mask("produce", (b'{"a":1,"country":"DE"}', []), (b'{"a":1,"country":"CH"}', [])) == [
        b'{"a":"x","country":"DE"}',
        b'{"a":1,"country":"CH"}',
    ]


def test_rules_without_conditions_mask_keys_and_headers_beside_them() -> None:
    other = """  - name: other
    topics: [t]
    at: [fetch]
    key: {format: text, fields: [{path: $, mask: {redact: {text: k}}}]}
    headers: [{name: source, mask: {redact: {text: h}}}]
"""
    plan = compile_ruleset({"r": FILE.format(at="fetch") + other}, None).match("t", "fetch")
    batch = Batch()
    batch.add(b'{"a":1}', *WEB)
    batch.keys.extend((0, 7))
    assert plan is not None

    outcome = plan.mask_records(batch)

    assert [(name, part.values) for name, part in outcome.parts] == [
        ("value", b'{"a":"x"}'),
        ("key", b"k"),
        ("headers", b"h"),
    ]


HEAD = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"
FROM_WEB = "when: {record: [{header: source, equals: web}]}"
APP = [(b"source", b"app")]


def outcome_of(rule: str, *records: tuple[bytes, list[tuple[bytes, bytes | None]]]) -> RecordsOutcome:
    plan = compile_ruleset({"r": f"{HEAD}  - {{name: r, topics: [t], at: [produce], {rule}}}\n"}, lambda _: "")
    matched = plan.match("t", "produce")
    batch = Batch()
    for value, headers in records:
        batch.add(value, *headers)
    assert matched is not None
    return matched.mask_records(batch)


def masked_values(outcome: Outcome | None, *values: bytes) -> list[bytes]:
    assert outcome is not None
    spans = zip(outcome.spans[::2], outcome.spans[1::2], strict=True)
    return [
        given if start < 0 else outcome.values[start : start + length]
        for given, (start, length) in zip(values, spans, strict=True)
    ]


@pytest.mark.parametrize("form", ["text", "auto"])
def test_texts_go_by_headers(form: str) -> None:
    values = (b"ada", b"ada", b"ada")
    rule = f"{FROM_WEB}, value: {{format: {form}, fields: [{{path: $, mask: redact}}]}}"

    outcome = outcome_of(rule, *zip(values, (WEB, APP, []), strict=True))

    assert masked_values(outcome.value, *values) == [b"[redacted]", b"ada", b"[redacted]"]


def test_values_of_either_format_go_by_fields_where_they_have_some() -> None:
    values = (b'{"c":"DE","a":"x"}', b'{"c":"US","a":"x"}', b"no json", b'"json"')
    rule = "when: {record: [{path: $.c, equals: DE}]}, value: {format: auto, fields: [{path: $..*, mask: redact}, {path: $, mask: redact}]}"

    outcome = outcome_of(rule, *[(value, []) for value in values])

    assert masked_values(outcome.value, *values) == [
        b'{"c":"[redacted]","a":"[redacted]"}',
        values[1],
        b"[redacted]",
        b'"[redacted]"',
    ]


def test_headers_go_by_the_record_that_they_belong_to() -> None:
    rule = 'when: {record: [{path: $.c, equals: DE}]}, headers: [{name: gone, mask: drop}, {name: "u*", mask: redact}]'
    headers: list[tuple[bytes, bytes | None]] = [(b"user", b"ada"), (b"gone", b"1"), (b"other", b"2")]
    given = (b'{"c":"DE"}', b'{"c":"US"}', b"unreadable")

    outcome = outcome_of(rule, *[(value, headers) for value in given])

    (_, part) = outcome.parts[0]
    starts = [list(part.spans[2 * place :: 6]) for place in range(3)]
    assert [[start >= 0 for start in starts[0]], [start == LEFT_OUT for start in starts[1]]] == [
        [True, False, True]
    ] * 2
    assert starts[2] == [UNCHANGED] * 3
    assert part.values == b"[redacted]" * 2


def test_headers_are_exempt_only_where_it_is_sure() -> None:
    keeps = "when: {record: [{path: $.c, equals: DE}]}, headers: [{name: user, mask: keep}]"
    text = f"{HEAD}  - {{name: r, topics: [t], at: [produce], {keeps}}}\n  - {{name: s, topics: [t], at: [produce], headers: [{{name: user, mask: redact}}]}}\n"
    plan = compile_ruleset({"r": text}, lambda _: "").match("t", "produce")
    batch = Batch()
    for value in (b'{"c":"DE"}', b'{"c":"US"}', b"{}"):
        batch.add(value, (b"user", b"ada"))
    assert plan is not None

    outcome = plan.mask_records(batch).headers

    assert outcome is not None
    assert [start >= 0 for start in outcome.spans[::2]] == [False, True, True]


def test_fields_are_required_where_the_condition_may_hold() -> None:
    values = (b'{"c":"DE","a":1}', b'{"c":"DE"}', b'{"c":"US"}', b"{}")
    rule = "when: {record: [{path: $.c, equals: DE}]}, value: {fields: [{path: $.a, mask: redact, onMissing: reject}]}"

    outcome = outcome_of(rule, *[(value, []) for value in values]).value

    assert outcome is not None
    assert [failure.index for failure in outcome.failures] == [1, 3]


def test_detectors_search_the_records_for_which_all_holds() -> None:
    values = (
        b'{"c":"DE","n":"to ada@example.com"}',
        b'{"c":"US","n":"to ada@example.com"}',
        b'{"n":"to ada@example.com"}',
    )
    rule = "when: {record: [{path: $.c, equals: DE}]}, value: {fields: [{detect: [email], mask: redact}]}"

    outcome = outcome_of(rule, *[(value, []) for value in values])

    assert masked_values(outcome.value, *values) == [
        b'{"c":"DE","n":"to [redacted]"}',
        values[1],
        b'{"n":"to [redacted]"}',
    ]


def test_rules_that_observe_count_the_records_for_which_all_holds() -> None:
    text = (
        f"{HEAD}  - name: r\n    topics: [t]\n    at: [produce]\n    mode: observe\n    {FROM_WEB}\n"
        "    value: {fields: [{path: $.a, mask: redact}, {path: $.b, mask: redact}]}\n"
    )
    plan = compile_ruleset({"r": text}, lambda _: "").match("t", "produce")
    batch = Batch()
    for headers in (WEB, APP, WEB):
        batch.add(b'{"a":1,"b":2}', *headers)
    assert plan is not None

    (observed,) = [observer.observe(batch) for observer in plan.observers]

    assert observed.masked == {"$.a": 2, "$.b": 2}
    assert plan.mask_records(batch).value is None


LITERALS = OneOf(strings=("", "ssn", "é"), numbers=("0", "7"), booleans=("true",))


@given(documents | damaged_documents(), paths)
@settings(max_examples=200, deadline=None)
def test_finds_what_an_evaluation_of_the_path_finds(value: bytes, path: Path) -> None:
    try:
        masker = JsonMasker([Selection(path=path, mask=LITERALS, rule=0)], rules=1)
    except AutomatonTooLarge:
        return
    findings = bytearray(1)

    outcome = masker.mask(value, array("i", (0, len(value))), b"", findings)

    assert outcome.values == b""
    assert findings[0] == expected_findings(value, path)


def expected_findings(value: bytes, path: Path) -> int:
    try:
        json_oracle.read(value)
    except json_oracle.Unreadable:
        return 0
    source = value.decode()
    root, _ = json_oracle._parse(source, len(source) - len(source.lstrip(" \t\r\n")))
    found = 0
    stack = [(root, False)]
    hits = json_oracle._select(root, path)
    while stack:
        node, below = stack.pop()
        # What stands in something that is hit is not looked at.
        if node in hits and not below:
            found |= finding(node.text) if node.items is None else 4
        stack += [(item.value, below or node in hits) for item in node.items or ()]
    return found


def finding(text: str) -> int:
    if text[0] == '"':
        return 1 if json.loads(text) in LITERALS.strings else 2
    if text in {"true", "false"}:
        return 1 if text in LITERALS.booleans else 2
    if text in {"null", "-0"} or not text.removeprefix("-").isdecimal():
        return 4
    return 1 if text in LITERALS.numbers else 2
