"""What can be found anywhere in a text: the built-in detectors, and the patterns that a ruleset brings along."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

DETECTORS = (
    "card",
    "iban",
    "us-ssn",
    "email",
    "phone",
    "ipv4",
    "ipv6",
    "mac",
    "jwt",
    "private-key",
    "credential",
    "us-zip",
    "birth-date",
)
"""The built-in detectors, in the order of find_kind_t in find_list.h."""


class PatternInvalid(ValueError):
    """A regular expression that is no pattern to find values by; the message says what to write, and quotes nothing."""


class _Match(Protocol):
    def span(self) -> tuple[int, int]: ...


class Regex(Protocol):
    """A compiled pattern, over bytes of UTF-8."""

    def search(self, text: Buffer, pos: int = ..., endpos: int = ...) -> _Match | None:
        """The first match from `pos` on."""
        ...

    def finditer(self, text: Buffer) -> Iterator[_Match]:
        """All matches, each behind the one before it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomPattern:
    """A detector that a ruleset declares.

    Attributes:
        regex: of RE2, for a part of a text; without anchors.
    """

    name: str
    regex: str
    ignore_case: bool = False

    @property
    def compiled(self) -> Regex:
        """The pattern, ready to search.

        Raises:
            PatternInvalid: RE2 cannot run it, or it may find nothing at a place.
        """
        return compile_pattern(self.regex, ignore_case=self.ignore_case)


Detector = str | CustomPattern
"""The name of a built-in detector, or a pattern of the ruleset."""


def name_of(detector: Detector) -> str:
    """What the rule language calls it."""
    return detector if isinstance(detector, str) else detector.name


@functools.cache
def compile_pattern(expression: str, *, ignore_case: bool) -> Regex:
    """Compiles a pattern: see CustomPattern.compiled."""
    # Loaded here: rules without patterns need no engine.
    import re2  # noqa: PLC0415

    if _has_anchor(expression):
        raise PatternInvalid(
            "a pattern finds a part of a text and has no ^, $, \\A or \\z; write \\b where a word ends"
        )
    options = re2.Options()
    options.log_errors = False  # RE2 would print the expression on standard error
    options.never_capture = True
    options.case_sensitive = not ignore_case
    try:
        regex: Regex = re2.compile(expression, options)
    except re2.error:
        raise PatternInvalid(
            "RE2, which runs patterns in linear time, has no such pattern (no look-around, no back-references); "
            "write it without"
        ) from None
    if any((match := regex.search(text)) is not None and match.span()[0] == match.span()[1] for text in (b"", b"a a")):
        raise PatternInvalid("the pattern matches where there is nothing; write one that takes a character at least")
    return regex


def _has_anchor(expression: str) -> bool:
    """Whether an anchor (of the whole text or a line) stands outside of a set of characters and of quotes.

    A text is searched among others, where they would not mean what they say.
    """
    within_set = quoted = False
    at = 0
    while at < len(expression):
        here, after = expression[at], expression[at + 1 : at + 2]
        if quoted:
            quoted = not (here == "\\" and after == "E")
            at += 1 if quoted else 2
        elif here == "\\":
            if after in ("A", "z") and not within_set:
                return True
            quoted = after == "Q" and not within_set
            at += 2
        elif within_set:
            within_set = here != "]"
            at += 1
        elif here == "[":
            within_set = True
            at += 2 if after == "]" else 3 if after == "^" and expression[at + 2 : at + 3] == "]" else 1
        elif here in "^$":
            return True
        else:
            at += 1
    return False
