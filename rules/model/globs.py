"""Globs: `*` (any characters, none too), `?` (one character), `[a-c_]` and `[!0-9]` (one of a set, or not of it).

A glob becomes an expression of RE2 (linear time) that matches whole names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

GLOB_CHARACTERS = frozenset("*?[")


class Regex(Protocol):
    """A compiled expression."""

    def fullmatch(self, text: str) -> object | None:
        """The match of the whole text, if it does."""
        ...


class PatternInvalid(ValueError):
    """A text that is no pattern; `offset` counts characters from 0, and nothing of the text is quoted."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """A glob.

    Attributes:
        regex: matches the whole name.
        sample: a name that it probably matches.
        prefix: characters that each match begins with.
    """

    regex: Regex
    sample: str
    prefix: str


def read_glob(text: str, check: Callable[[str, int], None]) -> Glob:
    """Reads a glob; `check` refuses a character that no name has, at its offset, by raising PatternInvalid."""
    expression: list[str] = []
    sample: list[str] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character == "*":
            expression.append(".*")
            sample.append("x")
        elif character == "?":
            expression.append(".")
            sample.append("x")
        elif character == "[":
            end, members, first = _read_set(text, at, check)
            expression.append(members)
            sample.append(first)
            at = end
        else:
            check(character, at)
            expression.append(re.escape(character))
            sample.append(character)
        at += 1
    regex = compile_regex("".join(expression))
    if regex is None:
        raise PatternInvalid(0, "this pattern is too large; write several shorter ones")
    return Glob(regex=regex, sample="".join(sample), prefix=re.split(r"[*?[]", text, maxsplit=1)[0])


def compile_regex(expression: str) -> Regex | None:
    """The expression as RE2 runs it; None if RE2 refuses it."""
    # Loaded here: rules with exact names need no engine.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False  # RE2 would print the expression on standard error
    options.dot_nl = True
    try:
        regex: Regex = re2.compile(expression, options)
    except re2.error:
        return None
    return regex


def _read_set(text: str, start: int, check: Callable[[str, int], None]) -> tuple[int, str, str]:
    """Reads `[...]`: the offset of its `]`, the set as RE2 writes it, and one character that may be in it."""
    end = text.find("]", start + 1)
    if end < 0:
        raise PatternInvalid(start, "the set is not closed; write `]` after it")
    negated = text.startswith("!", start + 1)
    at = start + 2 if negated else start + 1
    if at == end:
        raise PatternInvalid(start, "the set is empty; write its characters, for example [a-z0-9]")
    parts: list[str] = []
    first = text[at]
    while at < end:
        low = text[at]
        check(low, at)
        if at + 2 < end and text[at + 1] == "-":
            high = text[at + 2]
            check(high, at + 2)
            if high < low:
                raise PatternInvalid(at, "the range runs backwards; write its ends the other way round")
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
            at += 3
        else:
            parts.append(re.escape(low))
            at += 1
    return end, f"[{'^' if negated else ''}{''.join(parts)}]", "x" if negated else first
