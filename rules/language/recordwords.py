"""Conditions on the record (`when: {record: ...}`), as the rule language writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.model.masks import OneOf
from wiremask.rules.model.rule import RecordCondition
from wiremask.rules.model.selector import Path, PathInvalid, read_path
from wiremask.rules.nodes.shape import Words, expected, member, read_items, read_members, read_text
from wiremask.rules.nodes.source import Node, Scalar, place_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.errors import Faults

CONDITION = Words(of="a condition on the record", known=("path", "header", "in", "equals"))
CONDITIONS_LIMIT = 16
LITERALS_LIMIT = 1000
NUMBER_DIGITS = 18


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
