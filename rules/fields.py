"""The parts of a record that have fields: `value` and `key`. Headers are in headerfields.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from wiremask.rules.datakinds import read_data
from wiremask.rules.formatchecks import check_text_fields
from wiremask.rules.idempotence import fault_when_repeated
from wiremask.rules.masks import Drop, Fixed, Keep, Nullify
from wiremask.rules.maskwords import read_mask
from wiremask.rules.rule import Field, Part
from wiremask.rules.selector import Path, PathInvalid, canonical, read_path, write_path
from wiremask.rules.shape import Words, member, read_items, read_members, read_switch, read_text, read_word
from wiremask.rules.source import Entry, Node, Scalar, place_in
from wiremask.rules.traits import is_deterministic, is_reversible, with_path

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.keyring import KeyRing
    from wiremask.rules.rule import Format

VALUE = Words(of="`value`", known=("format", "unlisted", "fields"), required=("fields",))
KEY = Words(of="`key`", known=("format", "fields"), required=("fields",))
FIELD = Words(of="a field", known=("path", "mask", "ignoreCase", "data"), required=("mask",), later=("detect",))

UNLISTED = "unlisted"
FORMATS = ("json", "text", "auto")
LATER_FORMATS = ("avro", "protobuf")
KEY_FAULT = (
    "equal keys must stay equal, and this mask gives another output each time; "
    "write {encrypt: {key: ..., deterministic: true}}, or hash"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where the path and the mask of a field stand."""

    path: Mark
    mask: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What holds for all parts of a rule while they are read.

    Attributes:
        twice: the rule acts in both directions, so each mask may meet what it has masked before.
        undo: why masks that can be undone are refused here; None if they are not.
        ignore_case: whether names compare without regard to case, where a field does not say.
        keys: those that the ruleset declares.
        faults: takes what is wrong.
    """

    twice: bool
    undo: str | None
    ignore_case: bool
    keys: KeyRing
    faults: Faults


def read_value(node: Node, ground: Ground) -> Part | None:
    """Reads `value`; None if a fault was reported."""
    return _read_part(node, VALUE, ground)


def read_key(node: Node, ground: Ground) -> Part | None:
    """Reads `key`; None if a fault was reported. Equal keys must stay equal, so its masks are deterministic."""
    part = _read_part(node, KEY, ground)
    return None if part is None else replace(part, fields=tuple(_of_key(field) for field in part.fields))


def _of_key(field: Field) -> Field:
    """The field with masks that know that they are in a key, so that no one can move their outputs to the value."""
    return replace(field, mask=with_path(field.mask, f"key {write_path(field.path)}"))


def _read_part(node: Node, words: Words, ground: Ground) -> Part | None:
    keys, faults = ground.keys, ground.faults
    before = len(faults.found)
    members = read_members(node, words, faults)
    if members is None:
        return None
    form_node = member(members, "format")
    form = "json" if form_node is None else read_word(form_node, "format", FORMATS, faults, later=LATER_FORMATS)
    listed = member(members, "fields")
    fields = None if listed is None else _read_fields(listed, keys, faults, ground.ignore_case)
    unlisted = _read_unlisted(members, keys, faults)
    if fields is None:
        return None
    _check_repeats(fields if unlisted is None else [*fields, unlisted], faults)
    if unlisted is not None:
        fields.append(unlisted)
    if ground.twice:
        _check_idempotence(fields, faults)
    if ground.undo is not None:
        for field, place in fields:
            if is_reversible(field.mask):
                faults.add(place.mask, ground.undo)
    if words is KEY:
        for field, place in fields:
            if not is_deterministic(field.mask):
                faults.add(place.mask, KEY_FAULT)
    if form is not None and form_node is not None:
        check_text_fields(
            cast("Format", form),
            [(field, place.path, place.mask) for field, place in fields],
            mark=form_node.mark,
            twice=ground.twice,
            faults=faults,
        )
    if len(faults.found) > before:
        return None
    return Part(format=cast("Format", form), fields=tuple(field for field, _ in fields))


def _read_fields(node: Node, keys: KeyRing, faults: Faults, ignore_case: bool) -> list[tuple[Field, _Place]] | None:
    items = read_items(node, "`fields` is a list of {path: ..., mask: ...}", faults)
    if items is None:
        return None
    fields = [_read_field(item, keys, faults, ignore_case) for item in items]
    return [field for field in fields if field is not None]


def _read_field(node: Node, keys: KeyRing, faults: Faults, ignore_case: bool) -> tuple[Field, _Place] | None:
    members = read_members(node, FIELD, faults)
    if members is None:
        return None
    path_node, mask_node, detect = member(members, "path"), member(members, "mask"), member(members, "detect")
    if detect is not None:
        for item in read_items(detect, "`detect` is a list of detectors", faults) or ():
            read_text(item, "a detector is a word", faults)
    if (path_node is None) == (detect is None):
        faults.add(node.mark, "a field has exactly one of `path` and `detect`; write {path: $.name, mask: ...}")
    case = member(members, "ignoreCase")
    if case is not None:
        ignore_case = read_switch(case, "ignoreCase", faults) is True
    data_node = member(members, "data")
    data = None if data_node is None else read_data(data_node, faults)
    path = None if path_node is None else _read_path(path_node, faults, ignore_case)
    mask = None if mask_node is None else read_mask(mask_node, keys, faults)
    if path is None or mask is None or path_node is None:
        return None
    if not path and isinstance(mask.mask, Drop):
        faults.add(mask.mark, "`drop` at `$` would leave no value; write {nullify: {whole: true}}")
        return None
    text = path_node.text if isinstance(path_node, Scalar) else ""
    field = Field(path=path, text=text, mask=with_path(mask.mask, write_path(path)), mark=path_node.mark, data=data)
    return field, _Place(path=path_node.mark, mask=mask.mark)


def _read_unlisted(members: dict[str, Entry], keys: KeyRing, faults: Faults) -> tuple[Field, _Place] | None:
    """What becomes of all that no field selects: a field for `$`, behind all others."""
    node = member(members, "unlisted")
    mask = None if node is None else read_mask(node, keys, faults)
    if node is None or mask is None or isinstance(mask.mask, Keep):
        return None
    if isinstance(mask.mask, Drop) or (isinstance(mask.mask, Nullify | Fixed) and mask.mask.whole):
        faults.add(mask.mark, "this mask would take the value whole, with the fields that are listed; write redact")
        return None
    field = Field(path=(), text=UNLISTED, mask=with_path(mask.mask, write_path(())), mark=node.mark)
    return field, _Place(path=node.mark, mask=mask.mark)


def _read_path(node: Node, faults: Faults, ignore_case: bool) -> Path | None:
    text = read_text(node, "`path` is a JSONPath such as $.customer.ssn", faults)
    if text is None or not isinstance(node, Scalar):
        return None
    try:
        return read_path(text, ignore_case=ignore_case)
    except PathInvalid as error:
        faults.add(place_in(node, error.offset), error.message)
        return None


def _check_repeats(fields: list[tuple[Field, _Place]], faults: Faults) -> None:
    lines: dict[object, int] = {}
    for field, place in fields:
        form = canonical(field.path)
        if form in lines:
            what = "all is listed by `$`" if field.text == UNLISTED else "this path stands already"
            faults.add(place.path, f"{what} in line {lines[form]} of the rule; delete one of the two")
        lines.setdefault(form, place.path.line)


def _check_idempotence(fields: list[tuple[Field, _Place]], faults: Faults) -> None:
    paths = [field.path for field, _ in fields]
    for field, place in fields:
        fault = fault_when_repeated(field.mask, field.path, paths)
        if fault is not None:
            faults.add(place.mask, fault)
