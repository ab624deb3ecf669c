"""How the commands for people print: a table with colours on a terminal, lines with tabs in a pipe, or JSON."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wiremask.rules.errors import RuleSetInvalid

__all__ = ["Form", "count", "write_errors", "write_json", "write_lines", "write_rows"]

Form = Literal["text", "json"]
COLOURS = {"error": "red", "warning": "yellow", "note": "cyan", "less": "red", "more": "green", "otherwise": "yellow"}


def write_rows(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows on standard output. A first cell that is a word of COLOURS colours its row."""
    if not sys.stdout.isatty():
        for cells in rows:
            sys.stdout.write("\t".join(cells) + "\n")
        return
    from rich import box  # noqa: PLC0415 - only for terminals
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Column, Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*(Column(name, overflow="fold") for name in columns), box=box.SIMPLE_HEAD)
    for cells in rows:
        table.add_row(*(Text(cell) for cell in cells), style=COLOURS.get(cells[0], ""))
    Console().print(table)


def write_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Pairs of a word of COLOURS, or "", and a line, on standard error."""
    if not sys.stderr.isatty():
        for word, line in lines:
            sys.stderr.write(f"{word}: {line}\n" if word else f"{line}\n")
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True, soft_wrap=True)
    for word, line in lines:
        console.print(Text(f"{word}: " if word else "", style=f"bold {COLOURS.get(word, '')}".strip()).append(line))


def write_json(document: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def write_errors(invalid: RuleSetInvalid) -> None:
    """The faults of a ruleset on standard error."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{invalid}\n")
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True, soft_wrap=True)
    for error in invalid.errors:
        place = Text(f"{error.file}:{error.line}:{error.column}:", style="bold")
        console.print(place.append(f" {error.message}", style="red"))
    console.print(Text(f"invalid: {count(invalid.errors, 'fault')}", style="bold red"))


def count(things: Sequence[object], of: str) -> str:
    """How many there are of something."""
    return f"{len(things)} {of}{'' if len(things) == 1 else 's'}"
