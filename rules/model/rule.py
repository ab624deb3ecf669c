"""A rule as a value: read, checked, keys resolved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from wiremask.rules.errors import Mark
from wiremask.rules.model.casefold import fold
from wiremask.rules.model.masks import Keep

if TYPE_CHECKING:
    from wiremask.rules.detect.detectors import Detector
    from wiremask.rules.model.condition import Condition
    from wiremask.rules.model.datakinds import Data
    from wiremask.rules.model.globs import Regex
    from wiremask.rules.model.masks import FailurePolicy, Mask, OneOf
    from wiremask.rules.model.selector import Path
    from wiremask.rules.model.topics import TopicFilter

Format = Literal["json", "text", "auto"]
Direction = Literal["produce", "fetch"]
DIRECTIONS: tuple[Direction, Direction] = ("produce", "fetch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One selector and what happens to the leaves that it hits.

    Attributes:
        path: the selector.
        text: the selector as the rule file has it.
        detect: what is masked in all that the path selects, wherever it stands in texts; () for the leaves themselves.
        mark: where that stands in the rule's file; two fields that differ in it alone are equal.
        data: what the field holds, for standards; None if the rule does not say.
        required: a produced record in which the path selects nothing is refused.
    """

    path: Path
    text: str
    mask: Mask
    mark: Mark = field(default=Mark(1, 1), compare=False)
    data: Data | None = None
    required: bool = False
    detect: tuple[Detector, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderField:
    """The headers of some names, and what happens to their values.

    Attributes:
        text: the name or glob as the rule file has it.
        regex: matches the whole name, folded if case does not matter; None where `text` is the name.
        ignore_case: names compare by simple case folding.
        detect: what is masked in the values, wherever it stands in them; () for the values themselves.
        mark: where the name stands in the rule's file.
        data: what the values hold, for standards; None if the rule does not say.
    """

    text: str
    regex: Regex | None = field(default=None, repr=False, compare=False)
    ignore_case: bool = False
    detect: tuple[Detector, ...] = ()
    mask: Mask
    mark: Mark = field(default=Mark(1, 1), compare=False)
    data: Data | None = None

    def matches(self, name: str) -> bool:
        """Whether headers of this name are meant."""
        name, text = (fold(name), fold(self.text)) if self.ignore_case else (name, self.text)
        return name == text if self.regex is None else self.regex.fullmatch(name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a rule does to the value or the key of a record.

    Attributes:
        fields: in order of precedence, the first that selects a leaf decides it.
    """

    format: Format = "json"
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCondition:
    """What must be one of some literals: what a path selects in the value, or a header.

    Attributes:
        path: None for a header.
        header: its name; None for a path.
    """

    path: Path | None = None
    header: str | None = None
    literals: OneOf


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a ruleset.

    Attributes:
        name: unique in the ruleset.
        file: the file that holds the rule.
        line: of the rule's name, counted from 1; so is `column`.
        at: the directions that the rule acts in; at least one.
        fields: of the value, in order of precedence, the first that selects a leaf decides it.
        format: of the value.
        key: what happens to keys; None if nothing does.
        headers: in order of precedence, the first that matches a header's name decides it.
        client: what must hold of the client for the rule to act; None if it acts for every client.
        record: what must hold of a record for the rule to act on it, all of it.
        observes: it counts what it would mask, and changes nothing.
        on_unreadable: what a record comes to of which a part is not of its format.
        on_unmaskable: what a record comes to of which a field has a type that its mask does not take.
    """

    name: str
    file: str
    line: int
    column: int
    topics: TopicFilter
    at: frozenset[Direction]
    fields: tuple[Field, ...]
    format: Format = "json"
    key: Part | None = None
    headers: tuple[HeaderField, ...] = ()
    client: Condition | None = None
    record: tuple[RecordCondition, ...] = ()
    observes: bool = False
    on_unreadable: FailurePolicy = "reject"
    on_unmaskable: FailurePolicy = "reject"

    @property
    def value(self) -> Part:
        """The value as a part."""
        return Part(format=self.format, fields=self.fields)

    @property
    def masks(self) -> tuple[Mask, ...]:
        """The masks of all parts."""
        fields = self.fields + (self.key.fields if self.key is not None else ())
        return tuple(one.mask for one in fields) + tuple(one.mask for one in self.headers)

    def without_parts(self) -> Rule:
        """The rule with nothing to mask."""
        return replace(self, fields=(), key=None, headers=())

    def masking(self) -> Rule | None:
        """The rule without what exempts; None if it exempts only."""
        key = None if self.key is None else tuple(one for one in self.key.fields if not isinstance(one.mask, Keep))
        headers = tuple(one for one in self.headers if not isinstance(one.mask, Keep))
        fields = self.masking_fields
        if not fields and not key and not headers:
            return None
        part = replace(self.key, fields=key) if self.key is not None and key else None
        return replace(self, fields=fields, key=part, headers=headers)

    @property
    def masking_fields(self) -> tuple[Field, ...]:
        """The value's fields that mask, without those that exempt."""
        return tuple(one for one in self.fields if not isinstance(one.mask, Keep))
