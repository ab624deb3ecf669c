"""`wiremask explain`: which rules act on a topic for a client, why the others do not, and what they do to a record."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Literal

from wiremask.proxy.commands.output import write_errors, write_json, write_lines, write_rows
from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.loading import load_rules
from wiremask.rules.errors import RuleSetInvalid
from wiremask.rules.records.onerecord import OneRecord
from wiremask.rules.review.acts import fields_of, name_of
from wiremask.rules.review.attribution import ValueUnreadable, attribute
from wiremask.rules.review.explanation import Explained, explain
from wiremask.rules.review.strength import describe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wiremask.proxy.commands.output import Form
    from wiremask.rules import Client, Plan, TopicPlan
    from wiremask.rules.model.onepart import OnePart
    from wiremask.rules.model.rule import Direction
    from wiremask.rules.review.attribution import Decision

Fate = Literal["refused", "left out", "hidden"]
FATES: dict[Fate, str] = {"refused": "refused", "left out": "leftOut", "hidden": "hidden"}
"""What else may become of a record, and the key of it in JSON; hidden is what is unreadable, behind the marker."""

INVALID_RULES = 1
REFUSED = 3

_COLUMNS = ("verdict", "at", "rule", "what", "why", "place")
_DECISIONS = ("at", "field", "rule", "mask", "named as")


def explain_rules(
    rules: Path, topic: str, directions: Sequence[Direction], client: Client, form: Form, *, part: OnePart
) -> int:
    """Prints the rules, and for a part of a record on standard input its fields; 3 if the rules refuse the record."""
    try:
        plan = load_rules(rules, env=os.environ, json_depth=JSON_DEPTH)
    except RuleSetInvalid as invalid:
        write_errors(invalid)
        return INVALID_RULES
    explained = {at: list(explain(plan, topic, at, client)) for at in directions}
    record = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()
    decided, fates = _decide(plan, topic, directions, client, record, part=part) if record else ({}, {})
    if form == "json":
        write_json(
            {
                "topic": topic,
                "rules": [
                    dict(zip(_COLUMNS, cells, strict=True)) for at in directions for cells in _rules(at, explained[at])
                ],
                "fields": [dict(zip(_DECISIONS, cells, strict=True)) for cells in _fields(decided)],
                **{FATES[fate]: {at: why for at, (one, why) in fates.items() if one == fate} for fate in FATES},
            }
        )
    else:
        write_rows(_COLUMNS, (cells for at in directions for cells in _rules(at, explained[at])))
        if record:
            sys.stdout.write("\n")
            write_rows(_DECISIONS, _fields(decided))
        write_lines(("", f"{fate} at {at}: {why}") for at, (fate, why) in fates.items())
    return REFUSED if any(fate == "refused" for fate, _ in fates.values()) else 0


def _decide(
    plan: Plan, topic: str, directions: Sequence[Direction], client: Client, record: bytes, *, part: OnePart
) -> tuple[dict[Direction, Sequence[Decision]], dict[Direction, tuple[Fate, str]]]:
    """What decides the leaves of a record, and if it would come to something else, to what and why; by direction."""
    decided: dict[Direction, Sequence[Decision]] = {}
    fates: dict[Direction, tuple[Fate, str]] = {}
    for at in directions:
        program = plan.match(topic, at, client)
        if program is None:
            continue
        try:
            decided[at] = attribute(part.as_values(program.rules), record, json_depth=JSON_DEPTH)
        except ValueUnreadable as unreadable:
            fates[at] = "hidden", f"unreadable: {unreadable.detail}"
        failure = _failure(program, part, record)
        if failure is not None:
            fates[at] = ("refused" if at == "produce" else "left out"), failure
    return decided, fates


def _failure(program: TopicPlan, part: OnePart, record: bytes) -> str | None:
    """Why the record does not pass."""
    given = (
        OneRecord.of(key=record)
        if part.key
        else OneRecord.of(value=record)
        if part.header is None
        else OneRecord.of(headers=[(part.header, record)])
    )
    failures = program.mask_records(given).failures
    if not failures:
        return None
    failure = failures[0][1]
    by = f" (rule {program.rules[failure.rule].name})" if failure.rule >= 0 else ""
    return f"{failure.reason}: {failure.detail}{by}"


def _rules(at: Direction, explained: Sequence[Explained]) -> Iterator[tuple[str, ...]]:
    for one in explained:
        what = ", ".join(f"{name_of(part, field)}: {describe(field.mask)}" for part, field in fields_of(one.rule))
        yield one.verdict, at, one.rule.name, what, one.why, f"{one.rule.file}:{one.rule.line}"


def _fields(decided: dict[Direction, Sequence[Decision]]) -> Iterator[tuple[str, ...]]:
    for at, decisions in decided.items():
        for one in decisions:
            yield at, one.path, one.rule.name, describe(one.field.mask), one.field.text
