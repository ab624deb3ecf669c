"""Load errors of rule files: a caret in a text shows where the fault is, and is taken out before the text is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wiremask.rules import KeyReference, RuleSetInvalid, compile_ruleset

if TYPE_CHECKING:
    from collections.abc import Callable

CARET = "‸"


def assert_one_fault(marked: str, message: str, resolve: Callable[[KeyReference], str] | None = None) -> None:
    """Loads a text and asserts that it has one fault, at the caret, that says `message`."""
    before = marked[: marked.index(CARET)].replace("\r\n", "\n").replace("\r", "\n")
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"

    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset({"rules.yaml": marked.replace(CARET, "", 1)}, resolve)

    assert [f"{error.line}:{error.column}" for error in caught.value.errors] == [place], str(caught.value)
    assert message in caught.value.errors[0].message
    assert str(caught.value) == f"rules.yaml:{place}: {caught.value.errors[0].message}"
