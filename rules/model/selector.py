"""Selectors: RFC 9535 JSONPath as far as it names fields.

Read are `$`, `.name`, `['name']`, `[0]`, `[-1]`, `[1:3]`, `[*]`, `.*`, their descendant forms (`..name`, `..*`,
`..[...]`) and lists of selectors in brackets. Filters are refused by name.

Source: RFC 9535 section 2 (syntax), section 2.3 (selectors), section 2.5 (segments).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from wiremask.rules.model.casefold import fold

LENGTH_LIMIT_CHARACTERS = 1024
SEGMENT_LIMIT = 64
INDEX_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Name:
    """A member by its name, compared after the escapes of both sides are decoded.

    Attributes:
        ignore_case: names compare by simple case folding; `name` is folded already.
    """

    name: str
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Index:
    """An array element by position, counted from 0; -1 is the last one."""

    index: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Array elements from `start` on, by steps, before `end`; bounds below 0 count from the end.

    Source: RFC 9535 section 2.3.4. None is a bound that is not given. `step` is not 0.
    """

    start: int | None
    end: int | None
    step: int = 1


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Every member of an object and every element of an array."""


Selector = Name | Index | Slice | Wildcard


@dataclass(frozen=True, slots=True)
class Segment:
    """One step of a path: any of its selectors, in a child or (`descendant`) at any depth below."""

    selectors: tuple[Selector, ...]
    descendant: bool = False


Path = tuple[Segment, ...]
"""An empty path is `$`: the root value."""


class PathInvalid(ValueError):
    """A text that is no selector.

    Attributes:
        offset: the character, counted from 0, where the fault lies.
        message: what, and what to write instead; nothing of the text is quoted.
    """

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


# RFC 9535 section 2.5.1.1: a letter, `_` or anything beyond ASCII, then digits too. Written as what is excluded,
# because the compiler of `re` spends milliseconds on wide ranges.
_SHORTHAND = re.compile("[^\x00-@[-^`{-\x7f][^\x00-/:-@[-^`{-\x7f]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANK = re.compile(r"[ \t\n\r]*")
_INTEGER = re.compile(r"-?[0-9]+")
_HEX4 = re.compile(r"[0-9A-Fa-f]{4}")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "/": "/", "\\": "\\"}


def read_path(text: str, *, ignore_case: bool = False) -> Path:
    """Reads a selector.

    Args:
        text: such as `$.customer.ssn`.
        ignore_case: whether its names select members whose names differ in case alone.

    Raises:
        PathInvalid: with the offset of the first character that does not fit.
    """
    return _Reader(text, ignore_case).path()


def canonical(path: Path) -> tuple[tuple[frozenset[Selector], bool], ...]:
    """A form that is equal for two paths that select the same, whatever the order in their lists."""
    return tuple((frozenset(segment.selectors), segment.descendant) for segment in path)


def write_path(path: Path) -> str:
    """The path as text, in one form for all ways to write it, with names in double quotes and lists sorted."""
    return "$" + "".join(
        f"{'..' if segment.descendant else ''}[{','.join(sorted(map(_write_selector, segment.selectors)))}]"
        for segment in path
    )


def _write_selector(selector: Selector) -> str:
    match selector:
        case Name(name):
            return json.dumps(name, ensure_ascii=False)
        case Index(index):
            return str(index)
        case Slice(start, end, step):
            return f"{'' if start is None else start}:{'' if end is None else end}:{step}"
        case Wildcard():
            return "*"


class _Reader:
    """One pass over the text, left to right."""

    def __init__(self, text: str, ignore_case: bool) -> None:
        self._text = text
        self._ignore_case = ignore_case
        self._at = 0

    def path(self) -> Path:
        if len(self._text) > LENGTH_LIMIT_CHARACTERS:
            raise PathInvalid(0, f"a path is at most {LENGTH_LIMIT_CHARACTERS} characters")
        half = _SURROGATE.search(self._text)
        if half is not None:
            raise PathInvalid(half.start(), "half of a surrogate pair is no character; write both halves")
        if not self._take("$"):
            raise PathInvalid(0, "a path begins with `$`, for example $.customer.ssn")
        segments: list[Segment] = []
        while self._at < len(self._text):
            if len(segments) == SEGMENT_LIMIT:
                raise self._fault(f"a path has at most {SEGMENT_LIMIT} steps")
            segments.append(self._segment())
        return tuple(segments)

    def _segment(self) -> Segment:
        start = self._at
        self._skip_blank()
        if self._at == len(self._text):
            raise PathInvalid(start, "a path does not end with a space; delete it")
        if self._take(".."):
            if self._at == len(self._text):
                raise self._fault("a name, `*` or `[` is missing after `..`, for example $..email")
            selectors = self._bracketed() if self._take("[") else (self._dotted(),)
            return Segment(selectors, descendant=True)
        if self._take("."):
            return Segment((self._dotted(),))
        if self._take("["):
            return Segment(self._bracketed())
        if self._at > 1 and self._text[self._at - 1] not in "]* ":
            raise self._fault("this character needs quotes in a name; write $['the name']")
        raise self._fault("a step begins with `.` or `[`")

    def _dotted(self) -> Selector:
        if self._take("*"):
            return Wildcard()
        shorthand = _SHORTHAND.match(self._text, self._at)
        if shorthand is None:
            raise self._fault(
                "a name or `*` is missing after the dot; write $['the name'] for a name of other characters"
            )
        self._at = shorthand.end()
        return self._name(shorthand.group())

    def _name(self, name: str) -> Name:
        return Name(fold(name), ignore_case=True) if self._ignore_case else Name(name)

    def _bracketed(self) -> tuple[Selector, ...]:
        selectors: list[Selector] = []
        while True:
            self._skip_blank()
            start = self._at
            selector = self._selector()
            if selector in selectors:
                raise PathInvalid(start, "this stands in the list already; delete it")
            selectors.append(selector)
            self._skip_blank()
            if self._take("]"):
                return tuple(selectors)
            if not self._take(","):
                raise self._fault("`,` or `]` is missing here")

    def _selector(self) -> Selector:
        if self._at == len(self._text):
            raise self._fault("`]` is missing at the end")
        first = self._text[self._at]
        if first == "*":
            self._at += 1
            return Wildcard()
        if first in "'\"":
            return self._name(self._quoted(first))
        if first == "?":
            raise self._fault("filters `[?...]` are not supported; write `when: {record: ...}` in the rule, or [*]")
        if first in ":-0123456789":
            return self._index_or_slice()
        if first == "]":
            raise self._fault("a selector is missing between the brackets; write a quoted name, an index or *")
        raise self._fault("a name in brackets is quoted: ['name']")

    def _index_or_slice(self) -> Index | Slice:
        begin = self._at
        start = self._bound()
        behind = self._at
        self._skip_blank()
        if not self._take(":"):
            self._at = behind
            if start is None:
                self._refuse_number()
            return Index(start)
        self._skip_blank()
        end = self._bound()
        self._skip_blank()
        step = None
        if self._take(":"):
            self._skip_blank()
            at = self._at
            step = self._bound()
            if step == 0:
                raise PathInvalid(at, "a step of 0 selects nothing; write 1, or leave it out")
        step = 1 if step is None else step
        start = 0 if start is None and step > 0 else start
        if start is not None and end is not None and (start < 0) == (end < 0) and (end - start) * step <= 0:
            raise PathInvalid(begin, "this slice selects nothing; its end is excluded, and lies behind its start")
        return Slice(start, end, step)

    def _bound(self) -> int | None:
        """A whole number, if one stands here."""
        digits = _INTEGER.match(self._text, self._at)
        if digits is None:
            if self._text.startswith("-", self._at):
                self._refuse_number()
            return None
        magnitude = digits.group().removeprefix("-")
        if digits.group() == "-0":
            self._refuse_number()
        if len(magnitude) > 1 and magnitude.startswith("0"):
            raise self._fault("an index has no leading zero; delete it")
        # The length first: int() of a long run of digits costs its square.
        if len(magnitude) > 10 or int(magnitude) > INDEX_LIMIT:
            raise self._fault(f"an index is at most {INDEX_LIMIT}, and at least -{INDEX_LIMIT}")
        self._at = digits.end()
        return int(digits.group())

    def _refuse_number(self) -> NoReturn:
        raise self._fault("an index is 0, 1, 2, ..., or counts from the end: -1, -2, ...")

    def _quoted(self, quote: str) -> str:
        start = self._at
        self._at += 1
        characters: list[str] = []
        while self._at < len(self._text):
            character = self._text[self._at]
            if character == quote:
                self._at += 1
                return "".join(characters)
            if character < " ":
                raise self._fault("a control character in a name is written as an escape: \\uNNNN")
            if character == "\\":
                characters.append(self._escape(quote))
            else:
                characters.append(character)
                self._at += 1
        raise PathInvalid(start, "the quoted name never ends; close the quote")

    def _escape(self, quote: str) -> str:
        letter = self._text[self._at + 1 : self._at + 2]
        if letter == "u":
            unit = self._unit(self._at)
            if 0xD800 <= unit < 0xDC00 and self._text.startswith("\\u", self._at + 6):
                low = self._unit(self._at + 6)
                if 0xDC00 <= low < 0xE000:
                    self._at += 12
                    return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
            if 0xD800 <= unit < 0xE000:
                raise self._fault("half of a surrogate pair is no character; write both halves")
            self._at += 6
            return chr(unit)
        if letter == quote:
            self._at += 2
            return quote
        if letter not in _ESCAPES:
            raise self._fault(
                "unknown escape; these are known: \\b \\t \\n \\f \\r \\/ \\\\ \\uNNNN and the quote itself"
            )
        self._at += 2
        return _ESCAPES[letter]

    def _unit(self, at: int) -> int:
        digits = _HEX4.match(self._text, at + 2)
        if digits is None:
            raise PathInvalid(at, "four hexadecimal digits follow \\u")
        return int(digits.group(), 16)

    def _take(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _skip_blank(self) -> None:
        blank = _BLANK.match(self._text, self._at)
        if blank is not None:
            self._at = blank.end()

    def _fault(self, message: str) -> PathInvalid:
        return PathInvalid(self._at, message)
