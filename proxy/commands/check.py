"""`wiremask check`: are these rules valid, and what do they do?"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.loading import load_rules
from wiremask.rules.errors import RuleSetInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wiremask.rules import Plan
    from wiremask.rules.rule import Rule

INVALID_RULES = 1

_COLUMNS = ("rule", "topics", "at", "fields", "onUnreadable", "onUnmaskable", "file")


def check(path: Path) -> int:
    """Prints what is wrong to standard error, or the rules to standard output; 1 if they are invalid.

    On a terminal, colours and a table; in a pipe, plain lines with tabs, one a field.
    """
    try:
        plan = load_rules(path, env=os.environ, json_depth=JSON_DEPTH)
    except RuleSetInvalid as invalid:
        _print_errors(invalid)
        return INVALID_RULES
    if sys.stdout.isatty():
        _print_table(plan)
    else:
        for rule in plan.rules:
            for cells in _rows(rule):
                sys.stdout.write("\t".join(cells) + "\n")
    for warning in _warnings(plan, path if path.is_dir() else path.parent):
        sys.stderr.write(f"warning: {warning}\n")
    sys.stderr.write(f"valid: ruleset {plan.name}, {_count(plan.rules, 'rule')}, digest {plan.digest}\n")
    return 0


def _warnings(plan: Plan, directory: Path) -> Iterator[str]:
    """What is valid and probably not meant."""
    for rule in plan.rules:
        condition, place = rule.client, f"{directory / rule.file}:{rule.line}:{rule.column}"
        if condition is None:
            continue
        if condition.constant is not None:
            said = "true" if condition.constant else "false"
            yield f"{place}: the condition of rule {rule.name} is always {said}; delete it, or correct it"
        elif "clientId" in condition.uses:
            exempts = len(rule.masking_fields) < len(rule.fields)
            does, name = ("exempts", "that name") if exempts else ("masks", "another name")
            yield (
                f"{place}: rule {rule.name} {does} by clientId, which every client chooses for itself: "
                f"who takes {name} is not masked; use principal"
            )


def _print_errors(invalid: RuleSetInvalid) -> None:
    if not sys.stderr.isatty():
        sys.stderr.write(f"{invalid}\n")
        return
    from rich.console import Console  # noqa: PLC0415 - only for terminals
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True, soft_wrap=True)
    for error in invalid.errors:
        place = Text(f"{error.file}:{error.line}:{error.column}:", style="bold")
        console.print(place.append(f" {error.message}", style="red"))
    console.print(Text(f"invalid: {_count(invalid.errors, 'fault')}", style="bold red"))


def _print_table(plan: Plan) -> None:
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*(Column(name, overflow="fold") for name in _COLUMNS), box=box.SIMPLE_HEAD)
    for rule in plan.rules:
        for number, cells in enumerate(_rows(rule)):
            pairs = zip(_COLUMNS, cells, strict=True)
            table.add_row(*(Text(cell if number == 0 or column == "fields" else "") for column, cell in pairs))
    Console().print(table)


def _count(things: Sequence[object], of: str) -> str:
    return f"{len(things)} {of}{'' if len(things) == 1 else 's'}"


def _rows(rule: Rule) -> Iterator[tuple[str, ...]]:
    """One row a field, under the columns."""
    topics = ", ".join(pattern.text for pattern in rule.topics.include)
    if rule.topics.exclude:
        topics += " except " + ", ".join(pattern.text for pattern in rule.topics.exclude)
    if rule.client is not None:
        topics += f" by {', '.join(sorted(rule.client.uses)) or 'nothing'}"
    at = ", ".join(sorted(rule.at, reverse=True))
    place = f"{rule.file}:{rule.line}"
    for field in rule.fields:
        what = f"{field.text}: {type(field.mask).__name__.lower()}"
        yield rule.name, topics, at, what, rule.on_unreadable, rule.on_unmaskable, place
