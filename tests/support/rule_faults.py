"""Load errors of rule files: a caret in a text shows where the fault is, and is taken out before the text is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wiremask.rules import KeyReference, RuleSetInvalid, compile_ruleset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CARET = "‸"


def assert_one_fault(
    marked: str | Mapping[str, str], message: str, resolve: Callable[[KeyReference], str] | None = None
) -> None:
    """Loads a ruleset and asserts that it has one fault, at the caret, that says `message`."""
    files = {"rules.yaml": marked} if isinstance(marked, str) else marked
    (name,) = [name for name, text in files.items() if CARET in text]
    before = files[name][: files[name].index(CARET)].replace("\r\n", "\n").replace("\r", "\n")
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"

    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset(without_caret(files), resolve)

    found = caught.value.errors
    assert [f"{error.file}:{error.line}:{error.column}" for error in found] == [f"{name}:{place}"], str(caught.value)
    assert message in found[0].message
    assert str(caught.value) == f"{name}:{place}: {found[0].message}"


def without_caret(marked: str | Mapping[str, str]) -> dict[str, str]:
    """The files as they are read."""
    files = {"rules.yaml": marked} if isinstance(marked, str) else marked
    return {name: text.replace(CARET, "", 1) for name, text in files.items()}
