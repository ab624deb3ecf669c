"""The `headers` of a rule: names or globs, each with its mask. A header's value is one text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wiremask.rules.language.detectwords import TWICE_FAULT, fault_in_text, read_detect
from wiremask.rules.language.formatchecks import fault_of_header
from wiremask.rules.language.idempotence import fault_when_repeated
from wiremask.rules.language.maskwords import read_mask
from wiremask.rules.model.casefold import fold
from wiremask.rules.model.datakinds import read_data
from wiremask.rules.model.globs import GLOB_CHARACTERS, PatternInvalid, read_glob
from wiremask.rules.model.rule import HeaderField
from wiremask.rules.model.traits import is_reversible, with_path
from wiremask.rules.nodes.shape import Words, member, read_items, read_members, read_switch, read_text
from wiremask.rules.nodes.source import Node, Scalar, place_in

if TYPE_CHECKING:
    from wiremask.rules.detect.detectors import Detector
    from wiremask.rules.errors import Faults
    from wiremask.rules.language.fields import Ground
    from wiremask.rules.language.maskwords import ReadMask

HEADER = Words(of="a header", known=("name", "detect", "mask", "ignoreCase", "data"), required=("name", "mask"))
NAME_LIMIT_CHARACTERS = 256


def read_headers(node: Node, ground: Ground) -> tuple[HeaderField, ...] | None:
    """Reads `headers`, in order of precedence; None if a fault was reported."""
    keys, faults = ground.keys, ground.faults
    before = len(faults.found)
    found: dict[str, HeaderField] = {}
    for item in read_items(node, "`headers` is a list of {name: ..., mask: ...}", faults) or ():
        members = read_members(item, HEADER, faults) or {}
        name, mask_node = member(members, "name"), member(members, "mask")
        mask = None if mask_node is None else read_mask(mask_node, keys, faults)
        case = member(members, "ignoreCase")
        ignore_case = ground.ignore_case if case is None else read_switch(case, "ignoreCase", faults) is True
        detect_node = member(members, "detect")
        detect = () if detect_node is None else read_detect(detect_node, ground.patterns, faults)
        if name is None or mask is None or detect is None:
            continue
        header = _read_header(name, mask, ignore_case, detect, faults)
        data = member(members, "data")
        if header is None:
            continue
        header = replace(header, data=None if data is None else read_data(data, faults))
        if header.text in found:
            line = found[header.text].mark.line
            faults.add(header.mark, f"this name stands already in line {line} of the rule; delete one of the two")
        found.setdefault(header.text, header)
        fault = fault_in_text(mask.mask, detect) if detect else fault_of_header(mask.mask)
        if fault is None and ground.undo is not None and is_reversible(mask.mask):
            fault = ground.undo
        if fault is None and ground.twice:
            fault = TWICE_FAULT if detect else fault_when_repeated(mask.mask, (), ())
        if fault is not None:
            faults.add(mask.mark, fault)
    return tuple(found.values()) if len(faults.found) == before else None


def _read_header(
    node: Node, mask: ReadMask, ignore_case: bool, detect: tuple[Detector, ...], faults: Faults
) -> HeaderField | None:
    text = read_text(node, "`name` is the name of a header or a glob", faults, limit=NAME_LIMIT_CHARACTERS)
    if text is None or not isinstance(node, Scalar):
        return None
    regex = None
    if not GLOB_CHARACTERS.isdisjoint(text):
        try:
            regex = read_glob(fold(text) if ignore_case else text, _take_any).regex
        except PatternInvalid as error:
            faults.add(place_in(node, error.offset), error.message)
            return None
    bound = with_path(mask.mask, f"header {text}")
    return HeaderField(text=text, regex=regex, ignore_case=ignore_case, detect=detect, mask=bound, mark=node.mark)


def _take_any(_: str, __: int) -> None:
    """Headers have any characters in their names."""
