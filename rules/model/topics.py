"""Topic patterns: exact names, globs and `/regular expressions/`.

A glob knows `*` (any characters, none too), `?` (one character) and `[a-c_]`, `[!0-9]` (one character of a set, or not
of it). Globs and regular expressions never match a name that begins with `__` (`__consumer_offsets` and its like); such
a topic is named in full. A regular expression is RE2's (linear time), and matches the whole name.

Source: Kafka `org.apache.kafka.common.internals.Topic` (legal names, internal topics).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from wiremask.rules.model.globs import GLOB_CHARACTERS, PatternInvalid, Regex, compile_regex, read_glob

NAME_LIMIT_CHARACTERS = 249
PATTERN_LIMIT_CHARACTERS = 1024
INTERNAL_PREFIX = "__"

_LEGAL = re.compile(r"[A-Za-z0-9._-]")


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
    regex: Regex | None = field(default=None, repr=False, compare=False)

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
    if GLOB_CHARACTERS.isdisjoint(text):
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
    regex = compile_regex(text[1:-1])
    if regex is None:
        raise PatternInvalid(1, "RE2 cannot run this expression; write it without look-around and back references")
    return TopicPattern(text=text, sample=None, regex=regex)


def _read_glob(text: str) -> TopicPattern:
    if text.startswith(INTERNAL_PREFIX):
        raise PatternInvalid(0, "a glob never matches a name that begins with `__`; write that name in full")
    glob = read_glob(text, _check_legal)
    pattern = TopicPattern(text=text, sample=glob.sample, prefix=glob.prefix, regex=glob.regex)
    # `[!x]` is the one set for which the guess of a member may be wrong.
    return pattern if pattern.matches(glob.sample) else replace(pattern, sample=None)


def _check_legal(character: str, offset: int) -> None:
    if _LEGAL.fullmatch(character) is None:
        raise PatternInvalid(
            offset,
            "no topic name has this character: letters, digits, `.`, `_`, `-` are possible; "
            "a glob has `*`, `?`, `[...]`; for alternatives write several patterns",
        )
