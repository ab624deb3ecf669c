"""The list of fields that a part of a record has, and the lists in it: `fields`, `unlisted`, `embedded`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.rules.detect.detectors import name_of
from wiremask.rules.language.detectwords import TWICE_FAULT, fault_in_text, read_detect, text_of
from wiremask.rules.language.idempotence import fault_when_repeated
from wiremask.rules.language.maskwords import read_mask
from wiremask.rules.model.datakinds import read_data
from wiremask.rules.model.masks import Drop, Embedded, Fixed, Keep, Mask, Nullify
from wiremask.rules.model.rule import Field
from wiremask.rules.model.selector import Path, PathInvalid, canonical, read_path, write_path
from wiremask.rules.model.traits import is_reversible, with_path
from wiremask.rules.nodes.shape import Words, member, read_items, read_members, read_switch, read_text, read_word
from wiremask.rules.nodes.source import Entry, Node, Scalar, place_in

if TYPE_CHECKING:
    from wiremask.rules.errors import Faults, Mark
    from wiremask.rules.language.fields import Ground
    from wiremask.rules.model.datakinds import Data

FIELD = Words(
    of="a field",
    known=("path", "detect", "mask", "ignoreCase", "data", "onMissing", "embedded", "fields", "unlisted"),
    later=("tag",),
)
EMBEDDED = ("json", "base64-json")
EMBEDDED_DEPTH = 4
ON_MISSING = ("ignore", "reject")
UNLISTED = "unlisted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A field, and where its path and its mask stand."""

    field: Field
    path: Mark
    mask: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldReader:
    """Reads lists of fields.

    Attributes:
        ground: what holds for the rule.
        depth: lists that this one stands in.
    """

    ground: Ground
    depth: int = 0

    @property
    def faults(self) -> Faults:
        """Takes what is wrong."""
        return self.ground.faults

    def read(self, members: dict[str, Entry]) -> list[Placed] | None:
        """Reads `fields` and `unlisted` of a mapping, in order of precedence; None if there is no list."""
        listed = member(members, "fields")
        fields = None if listed is None else self._list(listed)
        unlisted = self._unlisted(member(members, UNLISTED))
        if fields is None:
            return None
        if unlisted is not None:
            fields.append(unlisted)
        self._check(fields)
        return fields

    def _list(self, node: Node) -> list[Placed] | None:
        items = read_items(node, "`fields` is a list of {path: ..., mask: ...}", self.faults)
        if items is None:
            return None
        fields = [self._field(item) for item in items]
        return [field for field in fields if field is not None]

    def _field(self, node: Node) -> Placed | None:
        members = read_members(node, FIELD, self.faults)
        if members is None:
            return None
        detect = member(members, "detect")
        path_node = member(members, "path")
        if (path_node is None) == (detect is None) and "tag" not in members:
            self.faults.add(
                node.mark, "a field has exactly one of `path` and `detect`; write {path: $.name, mask: ...}"
            )
        path = None if path_node is None else self._path(path_node, self._case(members))
        data = self._data(members)
        required = self._required(members, path)
        mask = self._mask(node, members)
        if detect is not None:
            return self._detect(detect, mask, data, members)
        if path is None or mask is None or path_node is None:
            return None
        if not path and isinstance(mask[0], Drop):
            self.faults.add(mask[1], "`drop` at `$` would leave no value; write {nullify: {whole: true}}")
            return None
        text = path_node.text if isinstance(path_node, Scalar) else ""
        field = Field(
            path=path,
            text=text,
            mask=with_path(mask[0], write_path(path)),
            mark=path_node.mark,
            data=data,
            required=required,
        )
        return Placed(field=field, path=path_node.mark, mask=mask[1])

    def _detect(
        self, node: Node, mask: tuple[Mask, Mark] | None, data: Data | None, members: dict[str, Entry]
    ) -> Placed | None:
        """A field with detectors: they look at all that no field before it decides."""
        detect = read_detect(node, self.ground.patterns, self.faults)
        for key in ("ignoreCase", "onMissing", "embedded"):
            if key in members:
                self.faults.add(members[key].mark, f"`{key}` goes with `path`; delete it")
                return None
        if detect is None or mask is None:
            return None
        fault = fault_in_text(mask[0], detect)
        if fault is not None:
            self.faults.add(mask[1], fault)
            return None
        field = Field(path=(), text=text_of(detect), mask=mask[0], detect=detect, mark=node.mark, data=data)
        return Placed(field=field, path=node.mark, mask=mask[1])

    def _case(self, members: dict[str, Entry]) -> bool:
        node = member(members, "ignoreCase")
        return self.ground.ignore_case if node is None else read_switch(node, "ignoreCase", self.faults) is True

    def _data(self, members: dict[str, Entry]) -> Data | None:
        node = member(members, "data")
        if node is not None and (self.depth or "embedded" in members):
            self.faults.add(members["data"].mark, "standards do not look into embedded documents yet; delete `data`")
            return None
        return None if node is None else read_data(node, self.faults)

    def _required(self, members: dict[str, Entry], path: Path | None) -> bool:
        """Whether a record that lacks the field is refused."""
        node = member(members, "onMissing")
        if node is None or read_word(node, "onMissing", ON_MISSING, self.faults) != "reject":
            return False
        if self.depth:
            self.faults.add(node.mark, "fields of embedded documents cannot be required yet; write ignore")
        elif not self.ground.produces:
            self.faults.add(node.mark, "nothing is rejected at fetch; write ignore, or a rule for produce")
        elif path == ():
            self.faults.add(node.mark, "`$` is never missing; write ignore")
        return True

    def _path(self, node: Node, ignore_case: bool) -> Path | None:
        text = read_text(node, "`path` is a JSONPath such as $.customer.ssn", self.faults)
        if text is None or not isinstance(node, Scalar):
            return None
        try:
            return read_path(text, ignore_case=ignore_case)
        except PathInvalid as error:
            self.faults.add(place_in(node, error.offset), error.message)
            return None

    def _mask(self, node: Node, members: dict[str, Entry]) -> tuple[Mask, Mark] | None:
        """The mask of a field: its own, or that of the document in it."""
        mask_node, embedded = member(members, "mask"), member(members, "embedded")
        if (mask_node is None) == (embedded is None):
            self.faults.add(
                node.mark, "a field has exactly one of `mask` and `embedded`; write {path: $.name, mask: ...}"
            )
        if embedded is not None:
            return self._embedded(embedded, members)
        for key in ("fields", UNLISTED):
            if key in members:
                self.faults.add(members[key].mark, f"`{key}` in a field goes with `embedded`; delete it")
        mask = None if mask_node is None else read_mask(mask_node, self.ground.keys, self.faults)
        return None if mask is None else (mask.mask, mask.mark)

    def _embedded(self, node: Node, members: dict[str, Entry]) -> tuple[Mask, Mark] | None:
        word = read_word(node, "embedded", EMBEDDED, self.faults)
        if self.depth == EMBEDDED_DEPTH:
            self.faults.add(node.mark, f"documents are embedded at most {EMBEDDED_DEPTH} deep; mask this one whole")
            return None
        if "fields" not in members:
            self.faults.add(node.mark, "`embedded` goes with `fields`, those of the document in the text; add them")
            return None
        fields = replace(self, depth=self.depth + 1).read(members)
        if word is None or not fields:
            return None
        return Embedded(base64=word != "json", fields=tuple(placed.field for placed in fields)), node.mark

    def _unlisted(self, node: Node | None) -> Placed | None:
        """What becomes of all that no field selects: a field for `$`, behind all others."""
        mask = None if node is None else read_mask(node, self.ground.keys, self.faults)
        if node is None or mask is None or isinstance(mask.mask, Keep):
            return None
        if isinstance(mask.mask, Drop) or (isinstance(mask.mask, Nullify | Fixed) and mask.mask.whole):
            self.faults.add(
                mask.mark, "this mask would take the value whole, with the fields that are listed; write redact"
            )
            return None
        field = Field(path=(), text=UNLISTED, mask=with_path(mask.mask, write_path(())), mark=node.mark)
        return Placed(field=field, path=node.mark, mask=mask.mark)

    def _check(self, fields: list[Placed]) -> None:
        lines: dict[object, int] = {}
        paths = [placed.field.path for placed in fields]
        for placed in fields:
            field = placed.field
            if field.detect:
                self._check_detect(placed, lines)
                continue
            form = canonical(field.path)
            if form in lines:
                what = "all is listed by `$`" if field.text == UNLISTED else "this path stands already"
                self.faults.add(placed.path, f"{what} in line {lines[form]} of the rule; delete one of the two")
            lines.setdefault(form, placed.path.line)
            if isinstance(field.mask, Embedded):
                continue  # its fields were checked where they were read
            fault = fault_when_repeated(field.mask, field.path, paths) if self.ground.twice else None
            if fault is not None:
                self.faults.add(placed.mask, fault)
            if self.ground.undo is not None and is_reversible(field.mask):
                self.faults.add(placed.mask, self.ground.undo)

    def _check_detect(self, placed: Placed, lines: dict[object, int]) -> None:
        for detector in placed.field.detect:
            if detector in lines:
                self.faults.add(
                    placed.path,
                    f"`{name_of(detector)}` stands already in line {lines[detector]} of the rule; delete one",
                )
            lines.setdefault(detector, placed.path.line)
        if self.ground.twice:
            self.faults.add(placed.mask, TWICE_FAULT)
