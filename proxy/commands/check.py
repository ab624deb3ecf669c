"""`wiremask check`: are these rules valid, what do they do, and what of it is probably not meant?"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from wiremask.proxy.commands.output import count, write_errors, write_json, write_lines, write_rows
from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.loading import load_rules
from wiremask.rules.errors import RuleSetInvalid
from wiremask.rules.review.acts import fields_of, name_of
from wiremask.rules.review.findings import Finding, find
from wiremask.rules.review.strength import word_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wiremask.proxy.commands.output import Form
    from wiremask.rules import Plan
    from wiremask.rules.model.rule import Rule

INVALID_RULES = 1
WARNINGS = 4

_COLUMNS = ("rule", "topics", "at", "fields", "onUnreadable", "onUnmaskable", "file")


def check(path: Path, form: Form, *, strict: bool) -> int:
    """Prints what is wrong, or the rules and what was found; 1 if they are invalid, 4 for warnings if `strict`.

    Text goes to standard output, faults and findings to standard error; JSON has all in one document.
    """
    try:
        plan = load_rules(path, env=os.environ, json_depth=JSON_DEPTH)
    except RuleSetInvalid as invalid:
        if form == "json":
            write_json({"valid": False, "errors": [asdict(error) for error in invalid.errors]})
        else:
            write_errors(invalid)
        return INVALID_RULES
    findings = find(plan)
    if form == "json":
        write_json(_document(plan, findings))
    else:
        _write(plan, findings, path if path.is_dir() else path.parent)
    is_warned = any(finding.kind == "warning" for finding in findings)
    return WARNINGS if strict and is_warned else 0


def _write(plan: Plan, findings: Sequence[Finding], directory: Path) -> None:
    write_rows(_COLUMNS, (cells for rule in plan.rules for cells in _rows(rule)))
    write_lines(
        (one.kind, f"{directory / one.file}:{one.line}:{one.column}: {one.message}")
        for one in sorted(findings, key=lambda one: one.kind, reverse=True)
    )
    write_lines([("valid", f"ruleset {plan.name}, {count(plan.rules, 'rule')}, digest {plan.digest}")])


def _document(plan: Plan, findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "valid": True,
        "ruleset": plan.name,
        "digest": plan.digest,
        "standards": sorted(plan.metadata.standards),
        "rules": [dict(zip(_COLUMNS, cells, strict=True)) for rule in plan.rules for cells in _rows(rule)],
        "findings": [asdict(finding) for finding in findings],
    }


def _rows(rule: Rule) -> Iterator[tuple[str, ...]]:
    """One row a field, under the columns."""
    topics = ", ".join(pattern.text for pattern in rule.topics.include)
    if rule.topics.exclude:
        topics += " except " + ", ".join(pattern.text for pattern in rule.topics.exclude)
    if rule.client is not None:
        topics += f" by {', '.join(sorted(rule.client.uses)) or 'nothing'}"
    at = ", ".join(sorted(rule.at, reverse=True))
    place = f"{rule.file}:{rule.line}"
    for part, field in fields_of(rule):
        what = f"{name_of(part, field)}: {word_of(field.mask)}"
        yield rule.name, topics, at, what, rule.on_unreadable, rule.on_unmaskable, place
