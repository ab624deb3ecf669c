"""A key or a header by itself: what the rules do to it, written as rules for a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.rules.model.rule import Field

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wiremask.rules.model.rule import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class OnePart:
    """Which part of a record is looked at: its value, its key, or a header.

    Attributes:
        key: the key.
        header: the name of the header; None for the value or the key.
    """

    key: bool = False
    header: str | None = None

    def as_values(self, rules: Iterable[Rule]) -> list[Rule]:
        """The rules, each with what it does to this part in the place of what it does to values, and to no other part.

        The rest of the record is not known: conditions on it count as true for what masks, and as false for `keep`.
        """
        turned = [self._as_value(rule) for rule in rules]
        if self.header is None:
            return turned
        # The first that matches a header decides it, also one with detectors that find nothing.
        first = next((rule for rule in turned if rule.fields), None)
        return [replace(rule, fields=rule.fields[:1] if rule is first else ()) for rule in turned]

    def _as_value(self, rule: Rule) -> Rule:
        if not self.key and self.header is None:
            return replace(rule, key=None, headers=())
        if self.key:
            part = rule.key
            turned = replace(
                rule,
                fields=() if part is None else part.fields,
                format="json" if part is None else part.format,
                key=None,
                headers=(),
            )
        else:
            fields = tuple(
                Field(path=(), text=one.text, mask=one.mask, mark=one.mark, detect=one.detect)
                for one in rule.headers
                if one.matches(self.header or "")
            )
            turned = replace(rule, fields=fields, format="text", key=None, headers=())
        if not rule.record:
            return turned
        return replace(turned, fields=turned.masking_fields, record=())


VALUE = OnePart()
