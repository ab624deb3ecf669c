"""The parts of a record that have fields: `value` and `key`. Headers are in headerfields.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from wiremask.rules.language.fieldlist import FieldReader
from wiremask.rules.language.formatchecks import check_text_fields
from wiremask.rules.model.rule import Field, Part
from wiremask.rules.model.selector import write_path
from wiremask.rules.model.traits import is_deterministic, with_path
from wiremask.rules.nodes.shape import Words, member, read_members, read_word

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults
    from wiremask.rules.language.detectwords import PatternBook
    from wiremask.rules.language.keyring import KeyRing
    from wiremask.rules.model.rule import Format
    from wiremask.rules.nodes.source import Node

VALUE = Words(of="`value`", known=("format", "unlisted", "fields"), required=("fields",))
KEY = Words(of="`key`", known=("format", "fields"), required=("fields",))

FORMATS = ("json", "text", "auto")
LATER_FORMATS = ("avro", "protobuf")
KEY_FAULT = (
    "equal keys must stay equal, and this mask gives another output each time; "
    "write {encrypt: {key: ..., deterministic: true}}, or hash"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What holds for all parts of a rule while they are read.

    Attributes:
        twice: the rule acts in both directions, so each mask may meet what it has masked before.
        undo: why masks that can be undone are refused here; None if they are not.
        produces: the rule acts at produce.
        ignore_case: whether names compare without regard to case, where a field does not say.
        keys: those that the ruleset declares.
        patterns: likewise.
        faults: takes what is wrong.
    """

    twice: bool
    undo: str | None
    produces: bool
    ignore_case: bool
    keys: KeyRing
    patterns: PatternBook
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
    faults = ground.faults
    before = len(faults.found)
    members = read_members(node, words, faults)
    if members is None:
        return None
    form_node = member(members, "format")
    form = "json" if form_node is None else read_word(form_node, "format", FORMATS, faults, later=LATER_FORMATS)
    fields = FieldReader(ground=ground).read(members)
    if fields is None:
        return None
    if words is KEY:
        for placed in fields:
            if not is_deterministic(placed.field.mask):
                faults.add(placed.mask, KEY_FAULT)
    if form is not None and form_node is not None:
        check_text_fields(
            cast("Format", form),
            [(placed.field, placed.path, placed.mask) for placed in fields],
            mark=form_node.mark,
            twice=ground.twice,
            faults=faults,
        )
    if len(faults.found) > before:
        return None
    return Part(format=cast("Format", form), fields=tuple(placed.field for placed in fields))
