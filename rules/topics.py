"""Topic patterns: exact names, globs and `/regular expressions/`.

A glob knows `*` (any characters, none too), `?` (one character) and `[a-c_]`, `[!0-9]` (one character of a set, or not
of it). Globs and regular expressions never match a name that begins with `__` (`__consumer_offsets` and its like); such
a topic is named in full. A regular expression is RE2's (linear time), and matches the whole name.

Source: Kafka `org.apache.kafka.common.internals.Topic` (legal names, internal topics).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Protocol

NAME_LIMIT_CHARACTERS = 249
PATTERN_LIMIT_CHARACTERS = 1024
INTERNAL_PREFIX = "__"

_LEGAL = re.compile(r"[A-Za-z0-9._-]")
_GLOB_CHARACTERS = frozenset("*?[")


class _Regex(Protocol):
    def fullmatch(self, text: str) -> object | None: ...


class PatternInvalid(ValueError):
    """A text that is no topic pattern; `offset` counts characters from 0, and nothing of the text is quoted."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicPattern:
    """One pattern as written.

    Attributes:
        text: the pattern as the rule file has it.
        sample: one topic name that the pattern matches; None where finding one is not obvious.
        prefix: characters that each match begins with; rules out most topics without the regular expression.
        regex: None for an exact name.
    """

    text: str
    sample: str | None
    prefix: str = ""
    regex: _Regex | None = field(default=None, repr=False, compare=False)

    def matches(self, topic: str) -> bool:
        """Whether the whole name matches."""
        if self.regex is None:
            return topic == self.text
        return (
            topic.startswith(self.prefix)
            and not topic.startswith(INTERNAL_PREFIX)
            and self.regex.fullmatch(topic) is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFilter:
    """The topics of a rule: any of `include` and none of `exclude`."""

    include: tuple[TopicPattern, ...]
    exclude: tuple[TopicPattern, ...] = ()

    def matches(self, topic: str) -> bool:
        """Whether the rule acts on this topic."""
        for pattern in self.include:
            if pattern.matches(topic):
                return not any(other.matches(topic) for other in self.exclude)
        return False


def read_pattern(text: str) -> TopicPattern:
    """Reads one pattern.

    Raises:
        PatternInvalid: a name that no topic can have, a set that is not closed, an expression that RE2 refuses.
    """
    if not text:
        raise PatternInvalid(0, 'a topic pattern is missing; write a name, a glob such as "payments.*" or /regex/')
    if len(text) > PATTERN_LIMIT_CHARACTERS:
        raise PatternInvalid(0, f"a topic pattern is at most {PATTERN_LIMIT_CHARACTERS} characters")
    if text.startswith("/"):
        return _read_regex(text)
    if _GLOB_CHARACTERS.isdisjoint(text):
        return _read_name(text)
    return _read_glob(text)


def _read_name(text: str) -> TopicPattern:
    for offset, character in enumerate(text):
        _check_legal(character, offset)
    if text in {".", ".."}:
        raise PatternInvalid(0, "no topic has this name")
    if len(text) > NAME_LIMIT_CHARACTERS:
        raise PatternInvalid(NAME_LIMIT_CHARACTERS, f"a topic name is at most {NAME_LIMIT_CHARACTERS} characters")
    return TopicPattern(text=text, sample=text)


def _read_regex(text: str) -> TopicPattern:
    if len(text) < 3 or not text.endswith("/"):
        raise PatternInvalid(0, "a regular expression stands between slashes: /payments[.](eu|us)/")
    regex = _compile(text[1:-1])
    if regex is None:
        raise PatternInvalid(1, "RE2 cannot run this expression; write it without look-around and back references")
    return TopicPattern(text=text, sample=None, regex=regex)


def _read_glob(text: str) -> TopicPattern:
    if text.startswith(INTERNAL_PREFIX):
        raise PatternInvalid(0, "a glob never matches a name that begins with `__`; write that name in full")
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
            end, members, first = _read_set(text, at)
            expression.append(members)
            sample.append(first)
            at = end
        else:
            _check_legal(character, at)
            expression.append(re.escape(character))
            sample.append(character)
        at += 1
    regex = _compile("".join(expression))
    if regex is None:
        raise PatternInvalid(0, "this pattern is too large; write several shorter ones")
    prefix = re.split(r"[*?[]", text, maxsplit=1)[0]
    pattern = TopicPattern(text=text, sample="".join(sample), prefix=prefix, regex=regex)
    # `[!x]` is the one set for which the guess of a member may be wrong.
    return pattern if pattern.matches("".join(sample)) else replace(pattern, sample=None)


def _read_set(text: str, start: int) -> tuple[int, str, str]:
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
        _check_legal(low, at)
        if at + 2 < end and text[at + 1] == "-":
            high = text[at + 2]
            _check_legal(high, at + 2)
            if high < low:
                raise PatternInvalid(at, "the range runs backwards; write its ends the other way round")
            parts.append(f"{re.escape(low)}-{re.escape(high)}")
            at += 3
        else:
            parts.append(re.escape(low))
            at += 1
    return end, f"[{'^' if negated else ''}{''.join(parts)}]", "x" if negated else first


def _check_legal(character: str, offset: int) -> None:
    if _LEGAL.fullmatch(character) is None:
        raise PatternInvalid(
            offset,
            "no topic name has this character: letters, digits, `.`, `_`, `-` are possible; "
            "a glob has `*`, `?`, `[...]`; for alternatives write several patterns",
        )


def _compile(expression: str) -> _Regex | None:
    # Loaded here: rules with exact names need no engine.
    import re2  # noqa: PLC0415

    options = re2.Options()
    options.log_errors = False  # RE2 would print the expression on standard error
    options.dot_nl = True
    try:
        regex: _Regex = re2.compile(expression, options)
    except re2.error:
        return None
    return regex
