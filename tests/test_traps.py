"""TRAPS.md names tests that are there, and each of its traps has one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (TESTS / "TRAPS.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| trap")
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:50] for row in ROWS])
def test_every_trap_is_shown_by_tests_that_are_there(row: list[str]) -> None:
    trap, shown_by = row

    named = re.findall(r"`([^`:]+)::(\w+)`", shown_by)

    assert trap
    assert named
    assert shown_by == ", ".join(f"`{path}::{name}`" for path, name in named)
    assert [(path, name) for path, name in named if name not in _tests_of(TESTS / path)] == []


def test_there_are_traps_of_every_kind() -> None:
    assert len(ROWS) > 40


def _tests_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
