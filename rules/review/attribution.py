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
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.rules.maskers.embedded import decode_base64
from wiremask.rules.model.masks import Drop, Embedded, Fixed, Mask, Nullify
from wiremask.rules.plan import TopicPlan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wiremask.rules.model.rule import Field, Rule
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
        path: where it is, as a JSONPath; in an embedded document that of the document, then the one in it.
    """

    path: str
    rule: Rule
    field: Field


def attribute(rules: Sequence[Rule], value: bytes, *, json_depth: int) -> tuple[Decision, ...]:
    """What decides each leaf of a value that these rules, in order, act on; leaves that no rule names are left out.

    Raises:
        ValueUnreadable: the value is not what the rules can read.
    """
    marker = secrets.token_hex(16)
    fields: list[tuple[Rule, Field]] = []

    def marked(rule: Rule, field: Field) -> Field:
        if isinstance(field.mask, Embedded):
            inner = tuple(marked(rule, one) for one in field.mask.fields)
            return replace(field, mask=replace(field.mask, fields=inner), required=False)
        fields.append((rule, field))
        return replace(field, mask=_mark(field.mask, f"{marker}{len(fields) - 1}."), required=False)

    turned = [
        replace(
            rule,
            on_unreadable="reject",
            on_unmaskable="redact",
            fields=tuple(marked(rule, field) for field in rule.fields),
        )
        for rule in rules
    ]
    outcome = TopicPlan(turned, "produce", json_depth=json_depth).mask(value, array("i", (0, len(value))))
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
        found = [mark for document in _documents(shown) for mark in _marks(document, marker, f"{path}: $")]
        # More than one where detectors found something, with the rest of the text around.
        direct = dict.fromkeys(re.findall(rf"{marker}([0-9]+)\.", shown))
        yield from found or ((path, int(number)) for number in direct)


def _documents(text: str) -> Iterator[object]:
    """What documents a text may be, plain or in base64."""
    for content in (text.encode("utf-8"), decode_base64(text)):
        with suppress(ValueError, RecursionError):
            document = None if content is None else json.loads(content, object_pairs_hook=_Members)
            if isinstance(document, str | list):  # objects are lists here
                yield document
