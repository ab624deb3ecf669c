"""Conditions on the record (`when: {record: ...}`): read from rules, and decided for a whole batch.

The kernel compares what a path selects, where it lies. A condition comes out true, false, or unknown: the path selects
nothing, or something of another type, or things that differ from one another; the header is not there; the value cannot
be read. Unknown counts as true for fields that mask and as false for those that exempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wiremask.rules.automaton import Selection
from wiremask.rules.jsonmask import JsonMasker
from wiremask.rules.masks import OneOf
from wiremask.rules.selector import Path, PathInvalid, read_path
from wiremask.rules.shape import Words, expected, member, read_items, read_members, read_text
from wiremask.rules.source import Node, Scalar, place_in

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from wiremask.rules.errors import Faults
    from wiremask.rules.rule import Rule

CONDITION = Words(of="a condition on the record", known=("path", "header", "in", "equals"))
CONDITIONS_LIMIT = 16
LITERALS_LIMIT = 1000
NUMBER_DIGITS = 18
EQUAL, UNEQUAL = 1, 2

# From what was found of a condition to whether it may hold, and whether it surely does.
_MAY = bytes(found != UNEQUAL for found in range(256))
_DOES = bytes(found == EQUAL for found in range(256))


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCondition:
    """What must be one of some literals: what a path selects in the value, or a header.

    Attributes:
        path: None for a header.
        header: its name; None for a path.
    """

    path: Path | None = None
    header: str | None = None
    literals: OneOf


def read_conditions(node: Node, faults: Faults) -> tuple[RecordCondition, ...]:
    """Reads `record` of `when`; conditions with a fault are reported and left out."""
    items = read_items(node, "`record` is a list of conditions, [{path: $.country, in: [DE]}]", faults) or ()
    if len(items) > CONDITIONS_LIMIT:
        faults.add(node.mark, f"a rule has at most {CONDITIONS_LIMIT} conditions on the record")
    conditions = [_read_condition(item, faults) for item in items]
    return tuple(condition for condition in conditions if condition is not None)


def _read_condition(node: Node, faults: Faults) -> RecordCondition | None:
    members = read_members(node, CONDITION, faults)
    if members is None:
        return None
    path, header = member(members, "path"), member(members, "header")
    if (path is None) == (header is None):
        faults.add(node.mark, "a condition has exactly one of `path` and `header`; write {path: $.country, in: [DE]}")
        return None
    one, several = member(members, "equals"), member(members, "in")
    if (one is None) == (several is None):
        faults.add(node.mark, "a condition has exactly one of `equals` and `in`; write {path: $.country, in: [DE]}")
        return None
    items = (one,) if one is not None else read_items(several or node, "`in` is a list of values", faults) or ()
    literals = _read_literals(items, faults, texts_only=header is not None)
    if header is not None:
        name = read_text(header, "`header` is the name of a header", faults)
        return None if name is None or literals is None else RecordCondition(header=name, literals=literals)
    selector = None if path is None else _read_path(path, faults)
    return None if selector is None or literals is None else RecordCondition(path=selector, literals=literals)


def _read_path(node: Node, faults: Faults) -> Path | None:
    text = read_text(node, "`path` is a JSONPath such as $.country", faults)
    if text is None or not isinstance(node, Scalar):
        return None
    try:
        return read_path(text)
    except PathInvalid as error:
        faults.add(place_in(node, error.offset), error.message)
        return None


def _read_literals(items: Sequence[Node], faults: Faults, *, texts_only: bool) -> OneOf | None:
    found: dict[str, list[str]] = {"text": [], "number": [], "boolean": []}
    before = len(faults.found)
    if len(items) > LITERALS_LIMIT:
        faults.add(items[0].mark, f"a condition has at most {LITERALS_LIMIT} values")
    for item in items:
        if not isinstance(item, Scalar) or item.kind == "null" or (texts_only and item.kind != "text"):
            what = "a header is compared with texts; quote it" if texts_only else "write a text, a whole number or true"
            expected(item, what, faults)
        elif item.kind == "number" and not _is_whole(item.text):
            faults.add(item.mark, f"numbers are compared if they are whole, of at most {NUMBER_DIGITS} digits")
        else:
            found[item.kind].append(item.text)
    if len(faults.found) > before:
        return None
    return OneOf(strings=tuple(found["text"]), numbers=tuple(found["number"]), booleans=tuple(found["boolean"]))


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isdecimal() and len(digits) <= NUMBER_DIGITS and text != "-0"


class RecordTests:
    """The conditions of some rules, for each record of a batch.

    Attributes:
        count: bytes that `decide` gives for each record. Those of a rule are at twice its place among the rules with
            conditions: whether it may act, and whether it surely does.
    """

    def __init__(self, rules: Sequence[Rule], *, depth_limit: int) -> None:
        self._rules = [
            [(condition, _tester(condition, depth_limit)) for condition in rule.record] for rule in rules if rule.record
        ]
        self.count = 2 * len(self._rules)

    def decide(self, buffer: Buffer, values: array[int], headers: array[int] | None) -> bytes:
        """What holds of each record.

        Args:
            buffer: the bytes that hold the records.
            values: two ints a record: see JsonMasker.mask.
            headers: five ints a header: see HeaderMasker.mask; None if they are not known.
        """
        records = len(values) // 2
        decided = bytearray(records * self.count)
        for place, conditions in enumerate(self._rules):
            may = does = int.from_bytes(b"\1" * records, "big")
            for condition, tester in conditions:
                if tester is None:
                    found = _look(condition, memoryview(buffer), records, headers)
                else:
                    found = bytearray(records)
                    tester.mask(buffer, values, b"", found)
                may &= int.from_bytes(found.translate(_MAY), "big")
                does &= int.from_bytes(found.translate(_DOES), "big")
            decided[2 * place :: self.count] = may.to_bytes(records, "big")
            decided[2 * place + 1 :: self.count] = does.to_bytes(records, "big")
        return bytes(decided)


def _tester(condition: RecordCondition, depth_limit: int) -> JsonMasker | None:
    if condition.path is None:
        return None
    selection = Selection(path=condition.path, mask=condition.literals, rule=0)
    return JsonMasker([selection], rules=1, depth_limit=depth_limit)


def _look(condition: RecordCondition, buffer: memoryview, records: int, headers: array[int] | None) -> bytearray:
    """What was found of a header in each record, as the kernel tells it of a path."""
    found = bytearray(records)
    name = (condition.header or "").encode("utf-8")
    literals = {literal.encode("utf-8") for literal in condition.literals.strings}
    for at in range(0, len(headers or ()), 5):
        record, start, length, value, size = (headers or ())[at : at + 5]
        if length == len(name) and buffer[start : start + length] == name:
            equal = size >= 0 and bytes(buffer[value : value + size]) in literals
            found[record] |= EQUAL if equal else UNEQUAL if size >= 0 else 4
    return found
