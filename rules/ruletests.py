"""The tests that a rule carries: `{in: ..., out: ...}` or `{in: ..., rejected: true}`.

They run at load on the rule alone, in its first direction. A difference is reported at its place in `out`, so that no
value need be quoted.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from wiremask.rules.outcome import MaskedTooLarge
from wiremask.rules.shape import Words, expected, read_items, read_members, read_switch
from wiremask.rules.source import Broken, Mapping, Node, Scalar
from wiremask.rules.source import Sequence as ItemSequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.plan import TopicPlan
    from wiremask.rules.rule import Format

TEST = Words(of="a test", known=("in", "out", "rejected"), required=("in",))


class _Number(str):
    """The characters of a JSON number."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTest:
    """One value and what must become of it.

    Attributes:
        given: the value.
        expected: what it must become; None if it must be rejected.
        mark: the place of the test's `out` or `rejected`.
    """

    given: Node
    expected: Node | None
    mark: Mark

    def __repr__(self) -> str:
        """Leaves out the values: they look like payload."""
        return f"RuleTest(mark={self.mark})"


def read_tests(node: Node, faults: Faults) -> tuple[RuleTest, ...]:
    """Reads a rule's `tests`; those with a fault are reported and left out."""
    items = read_items(node, "`tests` is a list of {in: value, out: value}", faults) or ()
    return tuple(test for test in (_read_test(item, faults) for item in items) if test is not None)


def try_tests(tests: Sequence[RuleTest], plan: TopicPlan, faults: Faults) -> None:
    """Runs the tests of a rule, of which the plan is, and records each that fails."""
    form = plan.rules[0].format
    for test in tests:
        value = _value(test.given, form, faults)
        if value is None:
            continue
        try:
            outcome = plan.mask(value, array("i", (0, len(value))))
        except MaskedTooLarge:
            faults.add(test.mark, "the masked value is too large for a test; write a smaller `in`")
            continue
        if outcome.failures:
            if test.expected is not None:
                why = outcome.failures[0].detail
                faults.add(
                    test.mark, f"the rule rejects this value ({why}); write `rejected: true`, or correct the rule"
                )
            continue
        if test.expected is None:
            faults.add(test.mark, "the rule does not reject this value; write `out` with the masked value")
            continue
        start, length = outcome.spans
        masked = value if start < 0 else bytes(memoryview(outcome.values)[start : start + length])
        difference = _difference(test.expected, _read(masked, test.expected, form))
        if difference is not None:
            mark, what = difference
            faults.add(mark, f"the rule's own test fails: {what}; correct `out`, or the rule")


def _read_test(node: Node, faults: Faults) -> RuleTest | None:
    members = read_members(node, TEST, faults)
    if members is None or "in" not in members:
        return None
    if ("out" in members) == ("rejected" in members):
        faults.add(node.mark, "a test has exactly one of `out` and `rejected: true`")
        return None
    given = members["in"].value
    is_sound = _text(given) is not None
    if "rejected" in members:
        rejected = members["rejected"].value
        if read_switch(rejected, "rejected", faults) is False:
            faults.add(rejected.mark, "`rejected` is true where it stands; write `out` instead")
            return None
        return RuleTest(given=given, expected=None, mark=members["rejected"].mark) if is_sound else None
    wanted = members["out"].value
    if not is_sound or _text(wanted) is None:
        return None
    return RuleTest(given=given, expected=wanted, mark=members["out"].mark)


def _value(node: Node, form: Format, faults: Faults) -> bytes | None:
    """The value of a record that the node stands for; None, reported, if the format has no such value."""
    if form != "json" and isinstance(node, Scalar) and node.kind == "text":
        return node.text.encode("utf-8")
    if form == "text":
        expected(node, "values of `format: text` are texts; quote it", faults)
        return None
    return (_text(node) or "").encode("utf-8")


def _read(masked: bytes, wanted: Node, form: Format) -> object:
    """The masked value as what is expected of it can be compared with: a text, or JSON."""
    if form != "json" and isinstance(wanted, Scalar) and wanted.kind == "text":
        return masked.decode("utf-8")
    try:
        return json.loads(masked, parse_int=_Number, parse_float=_Number)
    except ValueError:
        return masked  # a text where JSON is expected: it equals nothing


def _text(node: Node) -> str | None:
    """The node as JSON text, numbers as they are written; None if any part of it is broken."""
    match node:
        case Broken():
            return None
        case Scalar(kind="text", text=text):
            return json.dumps(text, ensure_ascii=False)
        case Scalar(text=text):
            return text
        case ItemSequence(items=items):
            parts = [_text(item) for item in items]
            return None if None in parts else f"[{','.join(part for part in parts if part is not None)}]"
        case Mapping(entries=entries):
            members = [(entry.key, _text(entry.value)) for entry in entries]
            if any(value is None for _, value in members):
                return None
            return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{value}" for key, value in members) + "}"


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
