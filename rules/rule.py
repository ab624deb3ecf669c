"""A rule as a value: read, checked, keys resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from wiremask.rules.errors import Mark
from wiremask.rules.masks import Keep

if TYPE_CHECKING:
    from wiremask.rules.condition import Condition
    from wiremask.rules.datakinds import Data
    from wiremask.rules.masks import Mask, OnUnmaskable, OnUnreadable
    from wiremask.rules.selector import Path
    from wiremask.rules.topics import TopicFilter

Format = Literal["json", "text", "auto"]
Direction = Literal["produce", "fetch"]
DIRECTIONS: tuple[Direction, Direction] = ("produce", "fetch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One selector and what happens to the leaves that it hits.

    Attributes:
        path: the selector.
        text: the selector as the rule file has it.
        mark: where that stands in the rule's file; two fields that differ in it alone are equal.
        data: what the field holds, for standards; None if the rule does not say.
    """

    path: Path
    text: str
    mask: Mask
    mark: Mark = field(default=Mark(1, 1), compare=False)
    data: Data | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a rule does to one part of a record.

    Attributes:
        fields: in order of precedence, the first that selects a leaf decides it.
    """

    format: Format = "json"
    fields: tuple[Field, ...]


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
        client: what must hold of the client for the rule to act; None if it acts for every client.
        on_unreadable: what a produced value that is no valid JSON comes to.
        on_unmaskable: what a produced value comes to if a field has a type that its mask does not take.
    """

    name: str
    file: str
    line: int
    column: int
    topics: TopicFilter
    at: frozenset[Direction]
    fields: tuple[Field, ...]
    format: Format = "json"
    client: Condition | None = None
    on_unreadable: OnUnreadable = "reject"
    on_unmaskable: OnUnmaskable = "reject"

    @property
    def masking_fields(self) -> tuple[Field, ...]:
        """The fields that mask, without those that exempt."""
        return tuple(one for one in self.fields if not isinstance(one.mask, Keep))
