"""YAML text -> a tree of nodes that know their place.

The accepted language is a strict subset of the YAML 1.2 core schema. Of plain (unquoted) scalars only `true`, `false`,
`null` and JSON numbers mean something; whatever else some YAML version reads as other than text (`0123`, `~`, `.inf`,
`True`) is refused with the form to write, and all the rest (`NO`, `12:30:45`) is text. Anchors, aliases, merges, tags,
directives, further documents, duplicate keys and keys that are not text are refused: a rule should mean to every reader
what it says.

Source: YAML 1.2.2 section 10.3 (core schema), RFC 8259 section 6 (numbers).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from wiremask.rules.errors import Faults, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ruamel.yaml.error import MarkedYAMLError

SIZE_LIMIT_CHARACTERS = 1 << 20
DEPTH_LIMIT = 100
NODE_LIMIT = 100_000  # the parser takes about 50 us for each

ScalarKind = Literal["text", "number", "boolean", "null"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """A single value.

    Attributes:
        kind: what the scalar means.
        text: the characters that it means; for a number, a boolean or null also those that it was written with.
        raw: how a one-line scalar was written, quotes included; "" where characters don't follow one another in a line.
    """

    mark: Mark
    kind: ScalarKind
    text: str = field(repr=False)
    raw: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A list of nodes."""

    mark: Mark
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member of a mapping; `mark` is the place of its key."""

    mark: Mark
    key: str = field(repr=False)
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Members in the order of the text; no key stands twice."""

    mark: Mark
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A node whose fault is already reported: readers pass over it in silence."""

    mark: Mark


Node = Scalar | Sequence | Mapping | Broken

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_NUMBER_ELSEWHERE = re.compile(
    r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_WRITE_VALUE = 'write it, or null, or "" for an empty text'
_WORDS: dict[str, ScalarKind] = {"true": "boolean", "false": "boolean", "null": "null"}
_WORDS_ELSEWHERE = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "Null": "null", "NULL": "null"}
# Line breaks of YAML 1.1 (NEL, LS, PS) would make two readers count lines differently.
_UNFIT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE_END = re.compile(r"\r\n|\r|\n")

# The parser's own words may quote the file, so each is told by its beginning and said anew.
_SYNTAX = (
    ("mapping values are not allowed", "`:` cannot stand here; quote a text that holds `: `, or check the indentation"),
    ("found character '\\t'", "a tab cannot indent or begin a value; write spaces"),
    ("found character '%'", "a text that begins with `%` must be quoted"),
    ("found character '@'", "a text that begins with `@` must be quoted"),
    ("found character '`'", "a text that begins with a backtick must be quoted"),
    ("found unexpected end of stream", "the quoted text never ends; close the quote"),
    ("found unexpected document separator", "the quoted text never ends; close the quote"),
    (
        "found unknown escape character",
        "unknown escape in double quotes; write `\\\\` for a backslash, or quote with '",
    ),
    ("expected escape sequence of", "incomplete escape in a double-quoted text; write \\xNN, \\uNNNN or \\UNNNNNNNN"),
    ("expected ',' or ']'", "the list `[...]` is not closed or lacks a comma before this"),
    ("expected ',' or '}'", "the mapping `{...}` is not closed or lacks a comma before this"),
    ("could not find expected ':'", "a key without `:` before this; write `key: value`"),
    ("could not found expected ':'", "a key without `:` before this; write `key: value`"),
    (
        "expected the node content",
        "a value is missing here; write it, or delete the comma or bracket that stands instead",
    ),
    ("expected <block end>", "this does not continue what stands above; check indentation, `- ` and quotes"),
    ("sequence entries are not allowed", "`- ` cannot begin a list here; put the list on lines of its own"),
    ("found undefined tag handle", "tags are not supported; delete `!...`, and quote the value if it is text"),
    ("while scanning an alias", '`*` begins an alias; quote a pattern that begins with `*`: "*"'),
    ("while scanning an anchor", "`&` begins an anchor; quote a text that begins with `&`"),
    ("while scanning a directive", "directives are not supported; delete the line that begins with `%`"),
    ("while scanning a tag", "tags are not supported; quote a text that begins with `!`"),
    ("while scanning a block scalar", "a text that begins with `|` or `>` must be quoted"),
)


class _Unreadable(Exception):
    """Ends the reading of one file; the fault is recorded."""


def read_source(text: str, faults: Faults, *, key_kinds: frozenset[ScalarKind] = frozenset({"text"})) -> Node | None:
    """Reads one file into its only document.

    Args:
        key_kinds: what keys may be; a number as a key stands for the text that it is written with.

    Returns:
        The root node, or None if the text is no YAML at all (the fault is then in `faults`).
    """
    if not _is_fit(text, faults):
        return None
    try:
        return _Tree(text, faults, key_kinds).read()
    except _Unreadable:
        return None


def place_in(scalar: Scalar, offset: int) -> Mark:
    """The place of the character at `offset` of a scalar's text; the scalar's own place if it spans several lines."""
    if not scalar.raw:
        return scalar.mark
    return Mark(scalar.mark.line, scalar.mark.column + _raw_offset(scalar.raw, offset))


def _raw_offset(raw: str, offset: int) -> int:
    quote = raw[0] if raw[0] in "'\"" else ""
    if not quote:
        return offset
    at = 1
    for _ in range(offset):
        if quote == "'" and raw.startswith("''", at):
            at += 2
        elif quote == '"' and raw[at] == "\\":
            at += {"x": 4, "u": 6, "U": 10}.get(raw[at + 1], 2)
        else:
            at += 1
    return at


def _is_fit(text: str, faults: Faults) -> bool:
    if len(text) > SIZE_LIMIT_CHARACTERS:
        faults.add(Mark(1, 1), f"the file is longer than {SIZE_LIMIT_CHARACTERS} characters; split it into several")
        return False
    unfit = _UNFIT.search(text)
    if unfit is None:
        return True
    before = _LINE_END.split(text[: unfit.start()])
    place = Mark(len(before), len(before[-1]) + 1)
    if unfit.start() == 0 and text[0] == "\ufeff":
        faults.add(place, "the file begins with a byte order mark; save it as UTF-8 without one")
    else:
        faults.add(place, "a control character cannot stand in a rule file; write it as an escape in double quotes")
    return False


class _Tree:
    """Builds the nodes of one text from the parser's events."""

    def __init__(self, text: str, faults: Faults, key_kinds: frozenset[ScalarKind]) -> None:
        self._text = text
        self._faults = faults
        self._key_kinds = key_kinds
        self._last = Mark(1, 1)
        self._nodes = 0
        self._events = self._parse()

    def read(self) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in self._events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    raise self._fail(self._mark(event), "a second document begins here; put it into a file of its own")
                if event.version or event.tags:
                    line = next(number for number, line in enumerate(_LINE_END.split(self._text), 1) if line[:1] == "%")
                    raise self._fail(
                        Mark(line, 1), "directives are not supported; delete the line that begins with `%`"
                    )
                root = self._node(next(self._events), 1)
        if root is None:
            raise self._fail(Mark(1, 1), "the file is empty; begin with `apiVersion: wiremask.dev/v1`")
        return root

    def _parse(self) -> Iterator[Any]:
        # Loaded here: a proxy that passes everything needs no YAML.
        from ruamel.yaml import YAML  # noqa: PLC0415
        from ruamel.yaml.error import MarkedYAMLError  # noqa: PLC0415

        try:
            for event in YAML(typ="safe", pure=True).parse(self._text):
                self._last = self._mark(event)
                yield event
        except MarkedYAMLError as error:
            raise self._syntax(error) from None
        except (ArithmeticError, ValueError, LookupError):
            # An escape beyond U+10FFFF, for one, comes out of the parser as OverflowError.
            raise self._fail(self._last, "this cannot be read as YAML; check the quotes and escapes after it") from None

    def _syntax(self, error: MarkedYAMLError) -> _Unreadable:
        said = (str(error.problem or ""), str(error.context or ""))
        mark = error.problem_mark or error.context_mark
        if said[0].endswith("expected ':'"):
            mark = error.context_mark or mark  # the key; the problem shows after it
        place = Mark(mark.line + 1, mark.column + 1) if mark is not None else self._last
        if (
            said[0].startswith("expected ',' or")
            and mark is not None
            and self._text[mark.index : mark.index + 1] in {"[", "{"}
        ):
            return self._fail(place, "within brackets, a text that holds `[` or `{` is quoted; quote it")
        for beginning, message in _SYNTAX:
            if said[0].startswith(beginning) or said[1].startswith(beginning):
                return self._fail(place, message)
        return self._fail(place, "this is not valid YAML; check quotes, brackets and indentation")

    def _fail(self, mark: Mark, message: str) -> _Unreadable:
        self._faults.add(mark, message)
        return _Unreadable()

    @staticmethod
    def _mark(event: Any) -> Mark:
        return Mark(event.start_mark.line + 1, event.start_mark.column + 1)

    def _node(self, event: Any, depth: int) -> Node:
        mark = self._mark(event)
        self._nodes += 1
        if self._nodes > NODE_LIMIT:
            raise self._fail(mark, f"the file has more than {NODE_LIMIT} keys and values; split it into several")
        if depth > DEPTH_LIMIT:
            raise self._fail(mark, f"nested deeper than {DEPTH_LIMIT}; flatten it")
        kind = type(event).__name__
        if kind == "AliasEvent":
            self._faults.add(
                mark, "aliases are not supported; write the value out, or quote a text that begins with `*`"
            )
            return Broken(mark=mark)
        if event.anchor is not None:
            self._faults.add(mark, "anchors are not supported; delete `&...`, and quote a text that begins with `&`")
        if event.tag is not None:
            self._faults.add(mark, "tags are not supported; delete `!...`, and quote the value if it is text")
        if kind == "SequenceStartEvent":
            return self._sequence(mark, depth)
        if kind == "MappingStartEvent":
            return self._mapping(mark, depth)
        return self._scalar(event, mark)

    def _sequence(self, mark: Mark, depth: int) -> Sequence:
        items: list[Node] = []
        for event in self._events:
            if type(event).__name__ == "SequenceEndEvent":
                break
            items.append(self._node(event, depth + 1))
        return Sequence(mark=mark, items=tuple(items))

    def _mapping(self, mark: Mark, depth: int) -> Mapping:
        entries: list[Entry] = []
        lines: dict[str, int] = {}
        for event in self._events:
            if type(event).__name__ == "MappingEndEvent":
                break
            key = self._node(event, depth + 1)
            following = next(self._events)
            if _is_empty(following):
                # The parser places what is not there at whatever comes next.
                self._faults.add(key.mark, f"no value for this key; {_WRITE_VALUE}")
                value: Node = Broken(mark=key.mark)
            else:
                value = self._node(following, depth + 1)
            if isinstance(key, Broken):
                continue
            if not isinstance(key, Scalar) or key.kind not in self._key_kinds:
                self._faults.add(key.mark, "a key must be text; quote it")
            elif key.text == "<<" and not key.raw.startswith(("'", '"')):
                self._faults.add(key.mark, "merges are not supported; write the members out")
            elif key.text in lines:
                self._faults.add(key.mark, f"this key stands already in line {lines[key.text]}; delete one of the two")
            else:
                lines[key.text] = key.mark.line
                entries.append(Entry(mark=key.mark, key=key.text, value=value))
        return Mapping(mark=mark, entries=tuple(entries))

    def _scalar(self, event: Any, mark: Mark) -> Scalar | Broken:
        raw = self._text[event.start_mark.index : event.end_mark.index]
        if event.tag is not None or event.anchor is not None or event.style in {"|", ">"} or _LINE_END.search(raw):
            raw = ""
        text: str = event.value
        if _SURROGATE.search(text):
            raw = ""
            try:  # JSON writes one character above U+FFFF as two escapes
                text = text.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                self._faults.add(mark, "half of a surrogate pair is no character; write both halves, or \\UNNNNNNNN")
                return Broken(mark=mark)
        kind: ScalarKind = "text"
        if event.style is None:
            fault = _ambiguity(text)
            if fault is not None:
                self._faults.add(mark, fault)
                return Broken(mark=mark)
            kind = "number" if _NUMBER.fullmatch(text) else _WORDS.get(text, "text")
        return Scalar(mark=mark, kind=kind, text=text, raw=raw)


def _is_empty(event: Any) -> bool:
    return getattr(event, "value", None) == "" and event.style is None and event.tag is None


def _ambiguity(plain: str) -> str | None:
    if plain == "":
        return f"a value is missing here; {_WRITE_VALUE}"
    if plain == "~":
        return "write null, or quote it if it is text"
    if plain in _WORDS_ELSEWHERE:
        return f"write {_WORDS_ELSEWHERE[plain]}, or quote it if it is text"
    if _NUMBER.fullmatch(plain) is None and _NUMBER_ELSEWHERE.fullmatch(plain) is not None:
        return "YAML readers differ on this number; write a plain decimal number, or quote it if it is text"
    return None
