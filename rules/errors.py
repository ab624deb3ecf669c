"""What can be wrong with a ruleset, each fault at its place in a file.

No message quotes what a rule file holds, except words of the language and names that passed their pattern: a file may
hold, by mistake, the text of a key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text; line and column count from 1, columns in characters."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class RuleError:
    """One fault, and what to write instead. Sorts by place."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"


class RuleSetInvalid(Exception):
    """A ruleset that may not run.

    Attributes:
        errors: all that was found, in the order of files and lines; at least one.
    """

    def __init__(self, errors: Sequence[RuleError]) -> None:
        super().__init__(errors)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class RulesClash(ValueError):
    """Rules that meet on one topic and cannot act together. The text says why, and quotes nothing."""


class KeyUnavailable(Exception):
    """A key reference leads to no text. `reason` says why and never holds any part of a key."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Collects the faults of one file, so that all are reported together."""

    file: str
    found: list[RuleError] = field(default_factory=list)

    def add(self, mark: Mark, message: str) -> None:
        """Records one fault; reading goes on."""
        self.found.append(RuleError(file=self.file, line=mark.line, column=mark.column, message=message))
