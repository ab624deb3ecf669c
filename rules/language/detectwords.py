"""`patterns` and `detect`: detectors as the rule language writes them, and the masks that fit what they find."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wiremask.rules.detect.detectors import DETECTORS, CustomPattern, Detector, PatternInvalid, name_of
from wiremask.rules.model.masks import (
    Age,
    Bucket,
    Chain,
    Date,
    DateShift,
    Drop,
    Email,
    Encrypt,
    Fixed,
    Fpe,
    Ip,
    IpScramble,
    Keep,
    Mask,
    Noise,
    Nullify,
    Range,
    Round,
    Token,
    Zip3,
)
from wiremask.rules.nodes.shape import (
    Words,
    expected,
    member,
    read_items,
    read_members,
    read_switch,
    read_text,
    suggest,
)
from wiremask.rules.nodes.source import Entry, Mapping, Node

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults

PATTERN = Words(of="a pattern", known=("regex", "ignoreCase"), required=("regex",))
PATTERN_FORM = 'write {regex: "EMP[0-9]{6}"}'
TWICE_FAULT = (
    "`detect` at produce and fetch may find something else beside what it has masked; "
    "leave one direction, or write a rule for each"
)

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")

# A mask of one form takes what these detectors find; a pattern of the ruleset may find anything.
FITTING: dict[str, tuple[str, ...]] = {
    "email": ("email",),
    "ip": ("ipv4", "ipv6"),
    "zip3": ("us-zip",),
    "date": ("birth-date",),
    "token with `format: pan`": ("card",),
    "token with `format: iban`": ("iban",),
}


class PatternBook:
    """The patterns that a ruleset declares, by name.

    Attributes:
        complete: all files could be read; else a missing pattern is no fault, it may be declared in one of the others.
    """

    def __init__(self) -> None:
        self.complete = True
        self._patterns: dict[str, CustomPattern | None] = {}
        self._places: dict[str, str] = {}

    def declare(self, node: Node, faults: Faults) -> None:
        """Reads one file's `patterns`."""
        if not isinstance(node, Mapping):
            expected(node, f"`patterns` is a mapping from a name to a pattern; {PATTERN_FORM}", faults)
            return
        for entry in node.entries:
            self._declare(entry, faults)

    def find(self, node: Node, faults: Faults) -> Detector | None:
        """The detector that a word names; None, reported, for none."""
        word = read_text(node, "a detector is a word, such as card", faults)
        if word is None or word in DETECTORS:
            return word
        if word not in self._patterns:
            if self.complete:
                faults.add(node.mark, f"no such detector; {suggest(word, (*DETECTORS, *self._patterns))}")
            return None
        return self._patterns[word]

    def _declare(self, entry: Entry, faults: Faults) -> None:
        if _NAME.fullmatch(entry.key) is None:
            faults.add(
                entry.mark,
                "the name of a pattern has small letters, digits and `-`, a letter first, at most 63",
            )
            return
        if entry.key in DETECTORS:
            faults.add(entry.mark, "a detector of this name is built in; choose another name")
            return
        if entry.key in self._places:
            faults.add(
                entry.mark, f"a pattern of this name is declared at {self._places[entry.key]}; rename one of the two"
            )
            return
        self._places[entry.key] = f"{faults.file}:{entry.mark.line}"
        self._patterns[entry.key] = _read_pattern(entry, faults)


def _read_pattern(entry: Entry, faults: Faults) -> CustomPattern | None:
    members = read_members(entry.value, PATTERN, faults)
    regex_node = None if members is None else member(members, "regex")
    if members is None or regex_node is None:
        return None
    case = member(members, "ignoreCase")
    ignore_case = case is not None and read_switch(case, "ignoreCase", faults) is True
    regex = read_text(regex_node, "`regex` is a regular expression of RE2", faults)
    if regex is None:
        return None
    pattern = CustomPattern(name=entry.key, regex=regex, ignore_case=ignore_case)
    try:
        pattern.compiled  # noqa: B018 - to see whether it can be
    except PatternInvalid as error:
        faults.add(regex_node.mark, str(error))
        return None
    return pattern


def read_detect(node: Node, patterns: PatternBook, faults: Faults) -> tuple[Detector, ...] | None:
    """Reads `detect`; None if a fault was reported."""
    before = len(faults.found)
    items = read_items(node, "`detect` is a list of detectors, such as [card, iban]", faults)
    found: dict[Detector, None] = {}
    for item in items or ():
        detector = patterns.find(item, faults)
        if detector is not None and detector in found:
            faults.add(item.mark, "this detector stands in the list already; delete it")
        if detector is not None:
            found[detector] = None
    return tuple(found) if found and len(faults.found) == before else None


def text_of(detect: tuple[Detector, ...]) -> str:
    """How a message names a field with detectors."""
    return f"detect: {', '.join(map(name_of, detect))}"


def fault_in_text(mask: Mask, detect: tuple[Detector, ...]) -> str | None:
    """Why a mask cannot stand for what these detectors find, a part of a text, and what to write; None if it can."""
    match mask:
        case Keep():
            return "a detector finds what is to be masked; write `keep` for a path, before it"
        case Drop() | Nullify():
            return "what is found is a part of a text, which stays one; write redact"
        case Fixed(whole=True):
            return "what is found is a part of a text; delete `whole`"
        case Fixed(literal=literal) if not literal.startswith(b'"'):
            return "what is found is a part of a text; write {fixed: a text}"
        case Bucket() | Round() | Range() | Noise() | Age():
            return "this mask is for numbers, and what is found is a text; write redact or partial"
        case DateShift():
            return "a date that is found is not shifted; write {date: year}"
        case Fpe() | Encrypt():
            return "what this mask makes of a value is not found again, to be undone; write token or hash"
        case Chain(masks=masks):
            return next((fault for one in masks if (fault := fault_in_text(one, detect)) is not None), None)
        case _:
            form = _form(mask)
            unfit = [one for one in detect if isinstance(one, str) and form is not None and one not in FITTING[form]]
            if form is None or not unfit:
                return None
            return f"{form} does not take what `{unfit[0]}` finds; write a field for each, or redact"


def _form(mask: Mask) -> str | None:
    match mask:
        case Email():
            return "email"
        case Ip() | IpScramble():
            return "ip"
        case Zip3():
            return "zip3"
        case Date():
            return "date"
        case Token(form="pan"):
            return "token with `format: pan`"
        case Token(form="iban"):
            return "token with `format: iban`"
        case _:
            return None
