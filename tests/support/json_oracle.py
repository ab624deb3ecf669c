"""What the JSON kernel must agree with: a strict reader and a slow, plain masker, both in Python.

Validity is the standard library's word, hardened. The masker shares nothing with the kernel but the values that
describe paths and masks: it parses a tree with positions, evaluates each JSONPath as RFC 9535 spells it out, decides
leaf by leaf, and writes the expected bytes.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import string
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wiremask.rules.maskers.catalog import collect
from wiremask.rules.model.casefold import fold
from wiremask.rules.model.masks import Drop, Fixed, Hash, Keep, Nullify, Partial, Pattern, Redact, Truncate
from wiremask.rules.model.selector import Index, Name, Path, Selector, Slice, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wiremask.rules.kernel.automaton import Selection

_SPACE = re.compile(r"[ \t\r\n]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SCALAR = re.compile(r"[-+.0-9a-zA-Z]+")
_CHARACTER = re.compile(r"\\u[dD][89abAB]..\\u....|\\u....|\\.|.", re.DOTALL)


class Unreadable(Exception):
    """The text is not valid JSON."""


class Unmaskable(Exception):
    """A leaf has a type that its mask does not take."""

    def __init__(self, rule: int) -> None:
        super().__init__(rule)
        self.rule = rule


class Pairs(list[tuple[str, Any]]):
    """An object with all its members, doubles too."""


class Number(str):
    """A number as it is written."""

    __slots__ = ()


def read(text: bytes, depth_limit: int = 64) -> Any:
    """Reads strictly; raises Unreadable."""
    try:
        decoded = text.decode("utf-8")
        if decoded.startswith("\ufeff"):
            raise Unreadable
        tree = json.loads(
            decoded, parse_constant=_refuse, parse_int=Number, parse_float=Number, object_pairs_hook=Pairs
        )
    except (ValueError, RecursionError):
        raise Unreadable from None
    _check(tree, depth_limit)
    return tree


def _refuse(constant: str) -> None:
    raise Unreadable


def _check(tree: Any, depth: int) -> None:
    if isinstance(tree, (Pairs, list)) and depth == 0:
        raise Unreadable
    if isinstance(tree, Pairs):
        for name, value in tree:
            _check(name, 0)
            _check(value, depth - 1)
    elif isinstance(tree, list):
        for value in tree:
            _check(value, depth - 1)
    elif isinstance(tree, str) and any("\ud800" <= char <= "\udfff" for char in tree):
        raise Unreadable


@dataclass(eq=False)
class Node:
    """A value with its text, and for containers each item with what stands around it."""

    text: str
    items: list[Item] | None = None


@dataclass(eq=False)
class Item:
    before: str
    """From the bracket or comma before it."""
    head: str
    """Name and colon with the space around; "" for an element."""
    name: str | None
    value: Node
    after: str
    """To the bracket or comma after it."""


@dataclass
class Expected:
    text: bytes
    counts: Counter[int] = field(default_factory=Counter)


def mask(text: bytes, selections: Sequence[Selection], depth_limit: int = 64, conditions: bytes = b"") -> Expected:
    """The bytes that must come out; raises Unreadable or Unmaskable."""
    read(text, depth_limit)
    source = text.decode()
    start = _SPACE.match(source).end()  # type: ignore[union-attr]
    root, end = _parse(source, start)
    chosen = [
        _select(root, selection.path) if selection.when is None or conditions[selection.when] else set()
        for selection in selections
    ]
    masker = _Masker(selections, chosen)
    inner = masker.write(root, len(selections))
    if masker.unfit is not None:
        raise Unmaskable(masker.unfit)
    return Expected((source[:start] + inner + source[end:]).encode(), masker.counts)


def _parse(source: str, at: int) -> tuple[Node, int]:
    if source[at] == '"':
        end = _STRING.match(source, at).end()  # type: ignore[union-attr]
        return Node(source[at:end]), end
    if source[at] not in "{[":
        end = _SCALAR.match(source, at).end()  # type: ignore[union-attr]
        return Node(source[at:end]), end
    items: list[Item] = []
    start = at
    named, closing = (True, "}") if source[at] == "{" else (False, "]")
    while True:
        begin = _SPACE.match(source, at + 1).end()  # type: ignore[union-attr]
        if source[begin] == closing:
            return Node(source[start : begin + 1], items), begin + 1
        head, name, value_at = "", None, begin
        if named:
            key_end = _STRING.match(source, begin).end()  # type: ignore[union-attr]
            name = json.loads(source[begin:key_end])
            value_at = _SPACE.match(source, source.index(":", key_end) + 1).end()  # type: ignore[union-attr]
            head = source[begin:value_at]
        value, end = _parse(source, value_at)
        after = _SPACE.match(source, end).end()  # type: ignore[union-attr]
        items.append(Item(source[at + 1 : begin], head, name, value, source[end:after]))
        if source[after] == closing:
            return Node(source[start : after + 1], items), after + 1
        at = after


def _descendants(node: Node) -> Iterator[Node]:
    yield node
    for item in node.items or ():
        yield from _descendants(item.value)


def _children(node: Node, selector: Selector) -> Iterator[Node]:
    items = node.items or []
    elements = [item.value for item in items if item.name is None]
    match selector:
        case Name(name, ignore_case=True):
            yield from (item.value for item in items if item.name is not None and fold(item.name) == name)
        case Name(name):
            yield from (item.value for item in items if item.name == name)
        case Index(index):
            yield from elements[index : index + 1 or None]
        case Slice(start, end, step):
            yield from elements[start:end:step]
        case Wildcard():
            yield from (item.value for item in items)


def _select(root: Node, path: Path) -> set[Node]:
    nodes = {root}
    for segment in path:
        parents = {below for node in nodes for below in _descendants(node)} if segment.descendant else nodes
        nodes = {child for node in parents for selector in segment.selectors for child in _children(node, selector)}
    return nodes


class _Masker:
    def __init__(self, selections: Sequence[Selection], chosen: Sequence[set[Node]]) -> None:
        self._selections = selections
        self._chosen = chosen
        self.counts: Counter[int] = Counter()
        self.unfit: int | None = None
        """The first rule with a leaf that a collected mask does not take: told only if all other leaves were taken."""

    def _decide(self, node: Node, above: int) -> int:
        return min([above, *(i for i, nodes in enumerate(self._chosen) if node in nodes)])

    def _drops(self, node: Node, above: int) -> bool:
        winner = self._decide(node, above)
        return winner < len(self._selections) and isinstance(self._selections[winner].mask, Drop)

    def write(self, node: Node, above: int) -> str:
        winner = self._decide(node, above)
        selection = self._selections[winner] if winner < len(self._selections) else None
        if node.items is None:
            return node.text if selection is None else self._write_leaf(node.text, selection)
        match selection.mask if selection is not None else None:
            case Fixed(literal=literal, whole=True):
                self._count(selection)
                return literal.decode()
            case Nullify(whole=True):
                self._count(selection)
                return "null"
        if not node.items:
            return node.text
        text = node.text[0] + node.items[0].before
        kept = False
        for item in node.items:
            if self._drops(item.value, winner):
                self._count(self._selections[self._decide(item.value, winner)])
                text += item.after if kept or item is node.items[-1] else ""
                continue
            text += f",{item.before}" if kept else ""
            text += item.head + self.write(item.value, winner) + item.after
            kept = True
        return text + node.text[-1]

    def _count(self, selection: Selection | None) -> None:
        assert selection is not None
        self.counts[selection.rule] += 1

    def _write_leaf(self, text: str, selection: Selection) -> str:
        mask = selection.mask
        if isinstance(mask, Keep) or text == "null":
            return text
        string, number = text[0] == '"', text[0] in "-0123456789"
        if not isinstance(mask, Redact | Fixed | Nullify):
            masked = self._write_text(text, mask, number) if string or number else None
            if masked is None and selection.on_unmaskable == "reject":
                if not self._is_unfit(text, mask):
                    raise Unmaskable(selection.rule)
                self.unfit = selection.rule if self.unfit is None else self.unfit
            self._count(selection)
            return masked or ("0" if number else '"[redacted]"' if string else "false")
        self._count(selection)
        match mask:
            case Redact():
                literal = mask.number if number else mask.boolean
                return json.dumps(mask.text, ensure_ascii=False) if string else literal.decode()
            case Fixed(literal=literal):
                return literal.decode()
            case Nullify():
                return "null"

    def _is_unfit(self, text: str, mask: Any) -> bool:
        """Whether the type is one that a collected mask takes."""
        if isinstance(mask, Partial | Truncate | Pattern | Hash):
            return False
        return text[0] == '"' or (text[0] in "-0123456789" and collect(mask, "").takes_numbers)

    def _write_text(self, text: str, mask: Any, number: bool) -> str | None:
        """A string or number by a mask that takes text; None if it takes none like this."""
        written = text if number else text[1:-1]
        if isinstance(mask, Partial | Truncate | Pattern | Hash):
            if number and not mask.as_string:
                return None
            match mask:
                case Partial():
                    return f'"{_hide(written, mask)}"'
                case Truncate(length=length):
                    return f'"{"".join(_CHARACTER.findall(written)[:length])}"'
                case Pattern():
                    return f'"{"".join(map(_classify, _CHARACTER.findall(written)))}"'
                case Hash():
                    return f'"{_hash(text if number else json.loads(text), mask)}"'
        # Each collected mask has tests of its own; here it shows how the kernel gathers leaves and puts them back.
        collected = collect(mask, "")
        if number and not collected.takes_numbers:
            return None
        given = text if number else json.loads(text)
        (masked,) = collected.mask([given], b"n" if number else b"s")
        if masked is given and not (number and collected.makes_text):
            return text
        if masked is None or (number and not collected.makes_text):
            return masked
        return json.dumps(masked, ensure_ascii=False)


def _hide(written: str, mask: Partial) -> str:
    pieces = _CHARACTER.findall(written)
    counted = [i for i, piece in enumerate(pieces) if json.loads(f'"{piece}"') not in set(mask.separators)]
    kept: set[int] = set()
    if mask.hide_first + mask.hide_last:
        kept = set(counted[mask.hide_first : max(0, len(counted) - mask.hide_last)])
    elif len(counted) > mask.keep_first + mask.keep_last:
        kept = {*counted[: mask.keep_first], *counted[len(counted) - mask.keep_last :]}
    hidden = json.dumps(mask.char, ensure_ascii=False)[1:-1]
    if mask.fixed_length:
        if len(counted) <= mask.keep_first + mask.keep_last:
            return hidden * (mask.fixed_length + mask.keep_first + mask.keep_last)
        first = counted[mask.keep_first - 1] + 1 if kept and mask.keep_first else 0
        last = counted[len(counted) - mask.keep_last] if kept and mask.keep_last else len(pieces)
        return "".join(pieces[:first]) + hidden * mask.fixed_length + "".join(pieces[last:])
    return "".join(hidden if i in counted and i not in kept else piece for i, piece in enumerate(pieces))


def _classify(piece: str) -> str:
    char = json.loads(f'"{piece}"')
    if char in string.ascii_letters or (char > "\x7f" and not char.isspace() and not char.isnumeric()):
        return "X" if char.isupper() or unicodedata.category(char) == "Lt" else "x"
    return "9" if char.isnumeric() else piece


def _hash(text: str, mask: Hash) -> str:
    digest = hmac.digest(mask.subkey, text.encode(), "sha256")
    if mask.encoding == "hex":
        return digest.hex()[: mask.length]
    if mask.encoding == "base64url":
        return base64.urlsafe_b64encode(digest).decode()[: mask.length]
    standard = base64.b32encode(digest).decode()
    return standard.translate(str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"))[
        : mask.length
    ]
