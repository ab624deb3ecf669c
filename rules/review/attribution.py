"""Which field of which rule decides each leaf of a value: found out by the kernel itself.

The rules are compiled once more with a marker in place of each mask, so that precedence, objects taken whole and all
else are those of the real thing; the markers then show where each field acts. `null` stays `null` under every mask but
`drop`, and shows no marker.
"""

from __future__ import annotations

import json
import re
import secrets
from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.rules.model.masks import Drop, Fixed, Mask, Nullify
from wiremask.rules.plan import TopicPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wiremask.rules.model.rule import Direction, Field, Rule
    from wiremask.rules.outcome import Detail

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ValueUnreadable(ValueError):
    """A value that the rules cannot read; the message says nothing of its content."""

    def __init__(self, detail: Detail) -> None:
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One leaf, or object or array that is taken whole, and what decides it.

    Attributes:
        path: where it is, as a JSONPath.
    """

    path: str
    rule: Rule
    field: Field


def attribute(rules: Sequence[Rule], at: Direction, value: bytes, *, json_depth: int) -> tuple[Decision, ...]:
    """What decides each leaf of a value that these rules, in order, act on; leaves that no rule names are left out.

    Raises:
        ValueUnreadable: the value is not what the rules can read.
    """
    marker = secrets.token_hex(16)
    fields = [(rule, field) for rule in rules for field in rule.fields]
    numbers = iter(range(len(fields)))
    marked = [
        replace(
            rule,
            on_unreadable="reject",
            fields=tuple(replace(field, mask=_mark(field.mask, f"{marker}{next(numbers)}.")) for field in rule.fields),
        )
        for rule in rules
    ]
    outcome = TopicPlan(marked, "produce" if at == "produce" else at, json_depth=json_depth).mask(
        value, array("i", (0, len(value)))
    )
    if outcome.failures:
        raise ValueUnreadable(outcome.failures[0].detail)
    start, length = outcome.spans
    if start < 0:
        return ()
    shown = _read(outcome.values[start : start + length])
    return tuple(
        Decision(path=path, rule=fields[number][0], field=fields[number][1])
        for path, number in _marks(shown, marker, "$")
    )


class _Members(list[tuple[str, object]]):
    """The members of an object, those that stand twice too."""


def _read(value: bytes) -> object:
    """The value as JSON, or else as the text that it is."""
    try:
        return json.loads(value, object_pairs_hook=_Members)
    except ValueError:
        return value.decode("utf-8")


def _mark(mask: Mask, text: str) -> Mask:
    whole = isinstance(mask, Drop) or (isinstance(mask, Nullify | Fixed) and mask.whole)
    return Fixed(literal=json.dumps(text).encode("ascii"), whole=whole)


def _marks(shown: object, marker: str, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(shown, _Members):
        for name, inner in shown:
            step = f".{name}" if _PLAIN.fullmatch(name) else f"[{json.dumps(name, ensure_ascii=False)}]"
            yield from _marks(inner, marker, path + step)
    elif isinstance(shown, list):
        for index, inner in enumerate(shown):
            yield from _marks(inner, marker, f"{path}[{index}]")
    elif isinstance(shown, str):
        # More than one where detectors found something, with the rest of the text around.
        for number in dict.fromkeys(re.findall(rf"{marker}([0-9]+)\.", shown)):
            yield path, int(number)
