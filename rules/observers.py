"""Rules in `mode: observe`: what each would mask, counted and thrown away.

An observing rule sees what it would see if it were enforced: leaves that rules before it decide are theirs. So it is
compiled once more, field by field, behind the enforced rules that precede it, and masks a copy that nobody gets.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.rules.outcome import MaskedTooLarge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wiremask.rules.model.rule import Rule
    from wiremask.rules.plan import TopicPlan
    from wiremask.rules.records.batch import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one rule would do to the records of a batch.

    Attributes:
        rule: its name.
        masked: leaves that it would mask, by field: the selector as written, after `key` or `header` for these.
        failed: records that it would refuse, omit or hide behind a marker, by the reason.
    """

    rule: str
    masked: dict[str, int]
    failed: dict[str, int]


class Observer:
    """One observing rule.

    Args:
        rule: the rule.
        plan: of the enforced rules before it, and of `split` of the rule.
    """

    def __init__(self, rule: Rule, plan: TopicPlan) -> None:
        self._rule = rule
        self._plan = plan
        self._names = [_name(one) for one in split(rule)]

    def observe(self, records: Records) -> Observation:
        """Looks at a batch. Raises nothing that the batch could be blamed for."""
        try:
            outcome = self._plan.mask_records(records)
        except MaskedTooLarge:
            return Observation(rule=self._rule.name, masked={}, failed={"too large": 1})
        first = len(self._plan.rules) - len(self._names)
        masked: Counter[str] = Counter()
        for _, part in outcome.parts:
            for name, count in zip(self._names, part.masked[first:], strict=True):
                masked[name] += count
        failed = Counter(
            str(failure.reason) for _, failure in outcome.failures if failure.rule < 0 or failure.rule >= first
        )
        failed["unreadable"] += sum(part.unreadable for _, part in outcome.parts)
        return Observation(rule=self._rule.name, masked=dict(+masked), failed=dict(+failed))


def split(rule: Rule) -> tuple[Rule, ...]:
    """A rule as rules of one field each, enforced, in the same order."""
    return tuple(_one_field_each(replace(rule, observes=False)))


def _one_field_each(rule: Rule) -> Iterator[Rule]:
    bare = rule.without_parts()
    for field in rule.fields:
        yield replace(bare, fields=(field,))
    if rule.key is not None:
        for field in rule.key.fields:
            yield replace(bare, key=replace(rule.key, fields=(field,)))
    for header in rule.headers:
        yield replace(bare, headers=(header,))


def _name(rule: Rule) -> str:
    """The one field of a rule, as counts name it."""
    if rule.fields:
        return rule.fields[0].text
    return f"key {rule.key.fields[0].text}" if rule.key is not None else f"header {rule.headers[0].text}"
