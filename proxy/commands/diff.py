"""`wiremask diff`: which fields of which topics one ruleset masks less, more or otherwise than another."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from wiremask.proxy.commands.output import count, write_errors, write_json, write_lines, write_rows
from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.loading import read_rules
from wiremask.rules.errors import RuleSetInvalid
from wiremask.rules.review.compare import Change, compare

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wiremask.proxy.commands.output import Form
    from wiremask.rules import Plan

INVALID_RULES = 1
WEAKER = 4

_COLUMNS = ("verdict", "topics", "at", "field", "before", "after", "rule", "when")


def diff(old: Path, new: Path, form: Form) -> int:
    """Prints what changes from `old` to `new`; 4 if the new ruleset masks anything less, 1 if one is invalid."""
    try:
        before, after = (read_rules(path, json_depth=JSON_DEPTH) for path in (old, new))
    except RuleSetInvalid as invalid:
        write_errors(invalid)
        return INVALID_RULES
    changes = compare(before, after)
    weaker = [change for change in changes if change.weaker]
    if form == "json":
        write_json(_document(before, after, changes))
    else:
        write_rows(_COLUMNS, map(_cells, changes))
        write_lines(_verdict(before, after, weaker))
    return WEAKER if weaker else 0


def _verdict(before: Plan, after: Plan, weaker: Sequence[Change]) -> list[tuple[str, str]]:
    if not weaker:
        return [("", "same or stronger: nothing is masked less")]
    lines = [("", f"weaker: {count(weaker, 'field')} masked less, or not provably as much")]
    allowed = after.metadata.allow_weaker
    if allowed is not None and allowed.digest == before.digest:
        return [*lines, ("", "allowed: the new ruleset has allowWeaker for this step")]
    return [*lines, ("", f'a reload refuses it without allowWeaker: {{from: "{before.digest}", reason: ...}}')]


def _document(before: Plan, after: Plan, changes: Sequence[Change]) -> dict[str, object]:
    allowed = after.metadata.allow_weaker
    return {
        "old": before.digest,
        "new": after.digest,
        "weaker": any(change.weaker for change in changes),
        "allowed": allowed is not None and allowed.digest == before.digest,
        "changes": [asdict(change) for change in changes],
    }


def _cells(change: Change) -> tuple[str, ...]:
    return (
        change.verdict,
        change.topics,
        change.at,
        change.name,
        change.before,
        change.after,
        change.rule,
        change.when,
    )
