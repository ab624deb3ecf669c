"""The tests that a rule carries: `{in: ..., out: ...}`, `{in: ..., rejected: true}` or `{in: ..., omitted: true}`.

They run at load on the rule alone, in its first direction. A difference is reported at its place in `out`, so that no
value need be quoted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, cast

from wiremask.rules.nodes.asjson import node_json
from wiremask.rules.nodes.shape import Words, expected, member, read_items, read_members, read_switch, read_word
from wiremask.rules.nodes.source import Mapping, Node, Scalar
from wiremask.rules.nodes.source import Sequence as ItemSequence
from wiremask.rules.outcome import MaskedTooLarge
from wiremask.rules.records.onerecord import OneRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.model.rule import Format
    from wiremask.rules.plan import TopicPlan
    from wiremask.rules.records.batch import PartName, RecordsOutcome

TEST = Words(of="a test", known=("part", "in", "out", "rejected", "omitted"), required=("in",))
PARTS: tuple[PartName, ...] = ("value", "key", "headers")


class _Number(str):
    """The characters of a JSON number."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One value (or key, or some headers) and what must become of it.

    Attributes:
        part: of a record, that the test is about.
        given: the value.
        expected: what it must become; None if the record must not pass.
        mark: the place of the test's `out`, or of the word that says that it must not pass.
        word: which that is.
    """

    part: PartName
    given: Node
    expected: Node | None
    mark: Mark
    word: str

    def __repr__(self) -> str:
        """Leaves out the values: they look like payload."""
        return f"RuleTest(mark={self.mark})"


def read_tests(node: Node, faults: Faults) -> tuple[RuleTest, ...]:
    """Reads a rule's `tests`; those with a fault are reported and left out."""
    items = read_items(node, "`tests` is a list of {in: value, out: value}", faults) or ()
    return tuple(test for test in (_read_test(item, faults) for item in items) if test is not None)


def try_tests(tests: Sequence[RuleTest], plan: TopicPlan, faults: Faults) -> None:
    """Runs the tests of a rule, of which the plan is, and records each that fails."""
    (rule,) = plan.rules
    fails = "rejected" if plan.at == "produce" else "omitted"
    for test in tests:
        key_form = rule.format if rule.key is None else rule.key.format
        form: Format = {"value": rule.format, "key": key_form, "headers": "json"}[test.part]
        given = _record(test, form, faults)
        if given is None:
            continue
        try:
            outcome = plan.mask_records(given)
        except MaskedTooLarge:
            faults.add(test.mark, "the masked value is too large for a test; write a smaller `in`")
            continue
        failures = outcome.failures
        if failures and test.word != fails:
            why = failures[0][1].detail
            faults.add(test.mark, f"the record is {fails} ({why}); write `{fails}: true`, or correct the rule")
        elif not failures and test.expected is None:
            faults.add(test.mark, f"the record is not {test.word}; write `out` with the masked value")
        elif not failures and test.expected is not None:
            difference = _difference(test.expected, _masked(test, given, outcome, form))
            if difference is not None:
                mark, what = difference
                faults.add(mark, f"the rule's own test fails: {what}; correct `out`, or the rule")


def _read_test(node: Node, faults: Faults) -> RuleTest | None:
    members = read_members(node, TEST, faults)
    if members is None or "in" not in members:
        return None
    ends = [word for word in ("out", "rejected", "omitted") if word in members]
    if len(ends) != 1:
        faults.add(node.mark, "a test has exactly one of `out`, `rejected: true` and `omitted: true`")
        return None
    part_node = member(members, "part")
    part = "value" if part_node is None else read_word(part_node, "part", PARTS, faults)
    given, (word,) = members["in"].value, ends
    wanted = members[word].value
    if word != "out" and read_switch(wanted, word, faults) is False:
        faults.add(wanted.mark, f"`{word}` is true where it stands; write `out` instead")
        return None
    if part is None or node_json(given) is None or node_json(wanted) is None:
        return None
    return RuleTest(
        part=cast("PartName", part),
        given=given,
        expected=wanted if word == "out" else None,
        mark=members[word].mark,
        word=word,
    )


def _record(test: RuleTest, form: Format, faults: Faults) -> OneRecord | None:
    """The record that a test is about; None, reported, if there is no such record."""
    if test.part != "headers":
        content = _value(test.given, form, faults)
        if content is None:
            return None
        return OneRecord.of(value=content) if test.part == "value" else OneRecord.of(key=content)
    if not isinstance(test.given, Mapping):
        expected(test.given, "headers are a mapping from names to texts, or null", faults)
        return None
    headers: list[tuple[str, bytes | None]] = []
    for entry in test.given.entries:
        if not isinstance(entry.value, Scalar) or entry.value.kind not in {"text", "null"}:
            expected(entry.value, "the value of a header is a text, or null; quote it", faults)
            return None
        headers.append((entry.key, entry.value.text.encode() if entry.value.kind == "text" else None))
    return OneRecord.of(headers=headers)


def _masked(test: RuleTest, given: OneRecord, outcome: RecordsOutcome, form: Format) -> object:
    """What became of the part, as it can be compared with what is expected of it."""
    if test.part == "headers":
        headers = given.masked_headers(outcome)
        return {name: None if content is None else content.decode() for name, content in headers}
    masked = given.masked_value(outcome) if test.part == "value" else given.masked_key(outcome)
    return _read(masked, test.expected, form)


def _value(node: Node, form: Format, faults: Faults) -> bytes | None:
    """The value of a record that the node stands for; None, reported, if the format has no such value."""
    if form != "json" and isinstance(node, Scalar) and node.kind == "text":
        return node.text.encode("utf-8")
    if form == "text":
        expected(node, "values of `format: text` are texts; quote it", faults)
        return None
    return (node_json(node) or "").encode("utf-8")


def _read(masked: bytes | None, wanted: Node | None, form: Format) -> object:
    """The masked value as a text or as JSON, whichever is expected."""
    if masked is None:
        return None
    if form != "json" and isinstance(wanted, Scalar) and wanted.kind == "text":
        return masked.decode("utf-8")
    try:
        return json.loads(masked, parse_int=_Number, parse_float=_Number)
    except ValueError:
        return masked  # a text where JSON is expected: it equals nothing


def _difference(wanted: Node, masked: object) -> tuple[Mark, str] | None:
    """The first place where a value is not the expected one."""
    match wanted:
        case Mapping(mark=mark, entries=entries) if isinstance(masked, dict):
            for entry in entries:
                if entry.key not in masked:
                    return entry.mark, "the masked value has no such member"
                found = _difference(entry.value, masked[entry.key])
                if found is not None:
                    return found
            return None if len(masked) == len(entries) else (mark, "the masked value has more members here")
        case ItemSequence(mark=mark, items=items) if isinstance(masked, list):
            for item, element in zip(items, masked, strict=False):
                found = _difference(item, element)
                if found is not None:
                    return found
            return None if len(masked) == len(items) else (mark, f"the masked value has {len(masked)} elements here")
        case Scalar(kind=kind, text=text) if _same(kind, text, masked):
            return None
        case _:
            return wanted.mark, "the masked value differs here"


def _same(kind: str, text: str, masked: object) -> bool:
    if kind == "number":
        return isinstance(masked, _Number) and (masked == text or _decimal(masked) == _decimal(text) is not None)
    if kind == "text":
        return isinstance(masked, str) and not isinstance(masked, _Number) and masked == text
    if kind == "boolean":
        return masked is (text == "true")
    return masked is None


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal holds: such numbers compare as text
        return None
