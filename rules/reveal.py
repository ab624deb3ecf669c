"""Undoing masks: the rules of a plan turned round, for who holds the keys.

Every field whose mask can be undone gets what undoes it; the others keep their place in the order of precedence, and
leave what they select. Conditions on the client don't count: what they masked is in the record.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wiremask.rules.model.onepart import VALUE, OnePart
from wiremask.rules.model.traits import inverse, is_reversible
from wiremask.rules.plan import TopicPlan

if TYPE_CHECKING:
    from wiremask.rules.model.rule import Direction, Rule
    from wiremask.rules.plan import Plan


def reveal_plan(
    plan: Plan, topic: str, at: Direction, *, part: OnePart = VALUE, json_depth: int = 64
) -> TopicPlan | None:
    """What undoes the masks of a topic in one direction; None if there is nothing to undo.

    It is a plan for values, also where they are keys or headers. A value that holds something else in such a field
    (never masked, or masked under another key, topic or path) is refused.

    Args:
        plan: the ruleset, with the keys.
        topic: whose values they are.
        at: where they were masked.
        part: what of a record they are.
        json_depth: objects and arrays within one another that a value may have.
    """
    rules = part.as_values(rule for rule in plan.rules if at in rule.at and rule.topics.matches(topic))
    if not any(is_reversible(field.mask) for rule in rules for field in rule.fields if not field.detect):
        return None
    turned = [_turn(rule) for rule in rules]
    return TopicPlan(turned, "produce", json_depth=json_depth, topic=topic)


def _turn(rule: Rule) -> Rule:
    fields = tuple(replace(field, mask=inverse(field.mask), required=False) for field in rule.fields)
    return replace(
        rule,
        fields=fields,
        client=None,
        record=(),
        on_unreadable="reject",
        on_unmaskable="reject",
    )
