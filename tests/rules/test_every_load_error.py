"""No load error is without a test: each message in the sources is told by some case, which says its exact place."""

from __future__ import annotations

import ast
import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.rule_faults import without_caret
from wiremask.rules import RuleSetInvalid, compile_ruleset
from wiremask.rules.model.datakinds import KINDS
from wiremask.rules.nodes.source import _SYNTAX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "rules"
TABLES = ("language/test_language_errors.py", "model/test_metadata.py", "review/test_standards.py")
TALKATIVE = sorted(
    {
        *(RULES / "language").glob("*.py"),
        *(RULES / "model").glob("*.py"),
        *(RULES / "nodes").glob("*.py"),
        RULES / "detect" / "detectors.py",
        RULES / "kernel" / "detection.py",
        RULES / "keys.py",
        RULES / "maskers" / "dateforms.py",
        RULES / "records" / "formats.py",
        RULES / "review" / "standards.py",
    }
    - {RULES / "language" / "connect.py", RULES / "language" / "schema.py"}
)

WORDS_OF_A_SENTENCE = 3

# Texts of other use: what parsers say, what kinds of data are.
NO_MESSAGES = {
    *(beginning for beginning, _ in _SYNTAX),
    *(kind.says for kind in KINDS.values()),
    "expected ',' or",
    "operand of a select",
}
# Why no case tells these, a piece of each.
UNTOLD = {
    "there is no rule file": "no file has a place; test_ruleset.py: test_no_files_is_a_fault",
    "the masked value is too large for a test": "takes another limit; test_ruletests.py",
    "keys and values; split it into several": "takes seconds; nodes/test_source.py, with another limit",
    "the file has more than ": "the same",
    "this pattern is too large": "RE2 has room for the longest pattern that may be written",
    "a topic pattern is at most ": "a text of that length is refused where it is read",
    "a path is at most ": "the same",
    "a search is made here": "of the kernel, not of a file",
    "the masked values of a batch outgrew the limit": "of a batch, not of a file",
}


def test_each_message_is_told_by_a_case_with_its_place() -> None:
    told = "\n".join(_told())

    untold = [
        f"{path.relative_to(RULES)}:{line}: {piece}"
        for path in TALKATIVE
        for line, piece in _pieces(path)
        if piece not in told and not any(known in piece for known in UNTOLD)
    ]

    assert untold == []


@pytest.mark.parametrize("piece", UNTOLD)
def test_what_no_case_tells_is_still_in_the_sources(piece: str) -> None:
    assert any(piece in written for path in TALKATIVE for _, written in _pieces(path))


def _told() -> Iterator[str]:
    """What the cases of all tables say when they are loaded."""
    for table in TABLES:
        module = _load(HERE / table)
        for marked, _ in module.CASES.values():
            with pytest.raises(RuleSetInvalid) as caught:
                compile_ruleset(without_caret(marked), getattr(module, "resolve", None))
            yield from (error.message for error in caught.value.errors)


def _load(path: Path) -> ModuleType:
    name = f"cases_of_{path.stem}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@cache
def _pieces(path: Path) -> tuple[tuple[int, str], ...]:
    """The sentences that a module has in it, cut where something is put into them, each with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    other = set(_docstrings(tree)) | set(_expressions(tree)) | set(_types(tree))
    return tuple(
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and len(node.value.split()) >= WORDS_OF_A_SENTENCE
        and node.value not in NO_MESSAGES
        and id(node) not in other
    )


def _docstrings(tree: ast.Module) -> Iterator[int]:
    """Texts that are statements of their own."""
    yield from (id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr))


def _expressions(tree: ast.Module) -> Iterator[int]:
    """Regular expressions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "re.compile":
            yield from (id(part) for argument in node.args for part in ast.walk(argument))


def _types(tree: ast.Module) -> Iterator[int]:
    """Types in quotes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "cast":
            yield id(node.args[0])
