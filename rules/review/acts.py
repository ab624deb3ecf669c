"""A ruleset as a flat list: each field of each rule in each of its directions, in order of precedence.

What comparison, `check` and `explain` look at. An attribute of a rule or field that nothing here knows goes along as it
is (`Act.more`), and an attribute of a rule is an act of its own besides: so what is new in the language is compared as
written until it is put in its place here, and never overlooked.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from wiremask.rules.detect.detectors import name_of as detector_name
from wiremask.rules.errors import Mark
from wiremask.rules.model.casefold import fold
from wiremask.rules.model.datakinds import data_found
from wiremask.rules.model.masks import Drop, Fixed, Keep, Mask, Nullify
from wiremask.rules.model.rule import Field, HeaderField
from wiremask.rules.model.selector import Name, Segment, Wildcard
from wiremask.rules.review.reach import covers_path, covers_topics, is_emptied, may_hold, may_meet, may_share_topics
from wiremask.rules.review.strength import at_least

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wiremask.rules.model.datakinds import Data
    from wiremask.rules.model.rule import Direction, Format, RecordCondition, Rule
    from wiremask.rules.model.selector import Path
    from wiremask.rules.model.topics import TopicFilter, TopicPattern

# What does not change which leaves are masked, or how: where a thing stands, and what becomes of what cannot be masked
# (it is refused or hidden, never passed).
_RULE_KNOWN = frozenset(
    {
        *("name", "file", "line", "column", "topics", "at", "client", "on_unreadable", "on_unmaskable"),
        *("record", "fields", "format", "key", "headers", "observes"),
    }
)
_FIELD_KNOWN = frozenset({"path", "text", "mask", "mark", "data", "required"})
_HEADER_KNOWN = frozenset({"text", "regex", "ignore_case", "mask", "mark", "data"})
VALUE, KEY, HEADER = "value", "key", "header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opaque:
    """What an attribute that has no place here holds; equal to its like and stronger than nothing else."""

    value: object = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Act:
    """What one field of one rule does in one direction.

    Attributes:
        order: the position in the order of precedence.
        path_number: equal for equal paths; so for `effect_number` and what acts do.
        part: of the record.
        format: of that.
        text: the selector as written.
        more: names and values of attributes that have no place here.
    """

    rule: Rule
    field: Field | HeaderField | None
    at: Direction
    part: str
    format: Format = "json"
    path: Path
    text: str
    mask: Mask | Opaque
    order: int = 0
    path_number: int = -1
    effect_number: int = -1
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def keeps(self) -> bool:
        """Whether it exempts what it selects."""
        return isinstance(self.mask, Keep)

    @property
    def takes_whole(self) -> bool:
        """Whether it takes an object or array as one, and so before fields that name something in it."""
        return isinstance(self.mask, Drop) or (isinstance(self.mask, Nullify | Fixed) and self.mask.whole)

    @property
    def detects(self) -> bool:
        """Whether it masks what it finds in texts, and leaves the rest of them to others."""
        return self.field is not None and bool(self.field.detect)

    @property
    def decides_unfound(self) -> bool:
        """Whether it ends the search for others though it masks what it finds alone: the first for a header does."""
        return self.detects and self.part == HEADER

    @property
    def patterns(self) -> tuple[TopicPattern, ...]:
        """The topic patterns of its rule of which something is left."""
        topics = self.rule.topics
        return tuple(pattern for pattern in topics.include if not is_emptied(pattern, topics.exclude))

    @property
    def condition(self) -> str | None:
        """The condition on the client, as written."""
        return None if self.rule.client is None else self.rule.client.text

    @property
    def record(self) -> frozenset[RecordCondition]:
        """The conditions on the record; all must hold."""
        return frozenset(self.rule.record)

    @property
    def holds(self) -> tuple[Data, ...]:
        """What the field holds: as it says, and as its detectors find."""
        if self.field is None:
            return ()
        said = () if self.field.data is None else (self.field.data,)
        return said + tuple(one for one in data_found(self.field.detect) if one.kind not in {one.kind for one in said})

    @property
    def kinds(self) -> frozenset[str]:
        """The words of that."""
        return frozenset(one.kind for one in self.holds)

    @property
    def name(self) -> str:
        """How the field is told."""
        return self.part if self.field is None else name_of(self.part, self.field)

    @property
    def mark(self) -> Mark:
        """Where the selector stands, or the name of the rule."""
        return Mark(self.rule.line, self.rule.column) if self.field is None else self.field.mark

    @property
    def effect(self) -> tuple[object, ...]:
        """All that decides what it does; equal for two acts that do the same."""
        topics = self.rule.topics
        return (
            self.at,
            self.part,
            self.format,
            frozenset(topics.include),
            frozenset(topics.exclude),
            self.path,
            self.condition,
            self.record,
            self.mask,
            self.more,
        )

    def is_strong(self, other: Act) -> bool:
        """Whether its mask is at least as strong as another's."""
        if self.decides_unfound and self.more != other.more:
            return False
        if isinstance(self.mask, Opaque) or isinstance(other.mask, Opaque):
            return self.mask == other.mask
        return at_least(self.mask, other.mask)

    def covers(self, other: Act, pattern: TopicPattern) -> bool:
        """Whether it certainly selects all that another selects on topics of a pattern, for the same clients."""
        return self.at == other.at and self._holds_for(other) and self.covers_where_it_is(other, pattern)

    def covers_where_it_is(self, other: Act, pattern: TopicPattern) -> bool:
        """The same, whatever the direction, the clients and the record."""
        return (
            self.part == other.part
            and covers_path(self.path, other.path)
            and covers_topics(self.rule.topics, pattern, other.rule.topics.exclude)
        )

    def goes_before(self, other: Act) -> bool:
        """Whether it may take a leaf from another that selects it too."""
        if self.detects and not other.detects and not self.decides_unfound:
            return False
        if self.order < other.order:
            # Who takes an object whole takes it from those that come before it and name something in it.
            return not other.takes_whole or may_hold(self.path, other.path)
        return self is not other and self.takes_whole and may_hold(self.path, other.path)

    def is_stopped(self, near: Iterable[Act]) -> bool:
        """Whether what it would take whole may be another's before it comes to that: then it is not taken whole."""
        return any(one.order < self.order and may_hold(one.path, self.path) for one in near)

    def acts_where(self, other: Act) -> bool:
        """Whether it looks at the same part in the same way, in each record in which another does."""
        if self.part != other.part or self.format != other.format or self.more != other.more:
            return False
        return not self.record or (self.record <= other.record and self._is_as_sure(other))

    def _holds_for(self, other: Act) -> bool:
        if not self.acts_where(other):
            return False
        return self.condition is None or (self.condition == other.condition and self._is_as_sure(other))

    def _is_as_sure(self, other: Act) -> bool:
        # Where a condition cannot be decided, a field that masks acts and one that exempts does not.
        return other.keeps or not self.keeps


class Numbers:
    """Numbers for paths and effects, the same for equal ones; and which paths may meet, each pair looked at once.

    Rulesets that are compared share one of these.
    """

    def __init__(self) -> None:
        self._paths: dict[Path, int] = {}
        self._effects: dict[tuple[object, ...], int] = {}
        self._meeting: dict[tuple[int, int], bool] = {}

    def number(self, act: Act, order: int) -> Act:
        """The act with its numbers."""
        return replace(
            act,
            order=order,
            path_number=self._paths.setdefault(act.path, len(self._paths)),
            effect_number=self._effects.setdefault(act.effect, len(self._effects)),
        )

    def may_meet(self, one: Act, other: Act) -> bool:
        """Whether two acts may select one leaf, if their topics have it."""
        if one.at != other.at or one.part != other.part:
            return False
        pair = (one.path_number, other.path_number)
        found = self._meeting.get(pair)
        if found is None:
            found = self._meeting[pair] = self._meeting[pair[::-1]] = may_meet(one.path, other.path)
        return found


class Acts:
    """All acts of a ruleset.

    Attributes:
        all: in order of precedence.
    """

    def __init__(self, rules: Iterable[Rule], numbers: Numbers | None = None) -> None:
        self.all: list[Act] = []
        self._numbers = numbers or Numbers()
        self._by_rule: list[tuple[Rule, list[Act]]] = []
        self._sharing: dict[tuple[str, TopicFilter], list[Act]] = {}
        self._near: dict[tuple[int, str, TopicFilter, str, Direction], list[Act]] = {}
        for rule in rules:
            acts = [self._numbers.number(act, order) for order, act in enumerate(_acts_of(rule), len(self.all))]
            self._by_rule.append((rule, acts))
            self.all += acts

    def masking(self) -> Iterator[tuple[Act, TopicPattern]]:
        """Each act that masks, with each of its topic patterns that its rule leaves something of."""
        for act in self.all:
            if not act.keeps:
                for pattern in act.patterns:
                    yield act, pattern

    def near(self, act: Act, pattern: TopicPattern) -> list[Act]:
        """The acts that may select what an act of this or another ruleset selects on topics of its pattern.

        Acts of another ruleset must have been given the same numbers.
        """
        topics = act.rule.topics
        known = (act.path_number, pattern.text, topics, act.part, act.at)
        near = self._near.get(known)
        if near is None:
            sharing = self._sharing.get((pattern.text, topics))
            if sharing is None:
                sharing = self._sharing[pattern.text, topics] = [
                    one
                    for rule, acts in self._by_rule
                    if may_share_topics(rule.topics, pattern, topics.exclude)
                    for one in acts
                ]
            near = self._near[known] = [one for one in sharing if self._numbers.may_meet(one, act)]
        return near


def fields_of(rule: Rule) -> Iterator[tuple[str, Field | HeaderField]]:
    """The fields of all parts of a rule, each after the name of its part."""
    yield from ((VALUE, one) for one in rule.fields)
    if rule.key is not None:
        yield from ((KEY, one) for one in rule.key.fields)
    yield from ((HEADER, one) for one in rule.headers)


def name_of(part: str, one: Field | HeaderField) -> str:
    """How a field is told: the selector, after the part if that is not the value."""
    return selector_of(one) if part == VALUE else f"{part} {selector_of(one)}"


def selector_of(one: Field | HeaderField) -> str:
    """What a field selects, as written."""
    if not isinstance(one, HeaderField) or not one.detect:
        return one.text
    return f"{one.text} detect: {', '.join(map(detector_name, one.detect))}"


def path_of(one: Field | HeaderField) -> Path:
    """The path that a field selects; headers count as the members of an object."""
    return one.path if isinstance(one, Field) else _header_path(one)


def _acts_of(rule: Rule) -> Iterator[Act]:
    if rule.observes:
        return  # it changes nothing
    more = _unknown(rule, _RULE_KNOWN)
    forms: dict[str, Format] = {
        VALUE: rule.format,
        KEY: "json" if rule.key is None else rule.key.format,
        HEADER: "text",
    }
    for at in sorted(rule.at, reverse=True):
        for part, one in fields_of(rule):
            yield Act(
                rule=rule,
                field=one,
                at=at,
                part=part,
                format=forms[part],
                path=path_of(one),
                text=selector_of(one),
                mask=one.mask,
                more=(*more, *_unknown(one, _FIELD_KNOWN if isinstance(one, Field) else _HEADER_KNOWN)),
            )
        for name, value in more:
            yield Act(rule=rule, field=None, at=at, part=name, path=(), text="", mask=Opaque(value=value))


def _header_path(one: HeaderField) -> Path:
    if one.regex is None:
        return (Segment((Name(fold(one.text) if one.ignore_case else one.text, one.ignore_case),)),)
    return (Segment((Wildcard() if one.text == "*" else _Glob(one.text, one.ignore_case),)),)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class _Glob:
    """Headers by a glob: covers what is written so, and may be any."""

    text: str
    ignore_case: bool


def _unknown(thing: Rule | Field | HeaderField, known: frozenset[str]) -> tuple[tuple[str, Any], ...]:
    """The attributes that have no place here and are not as they are by default."""
    found = []
    for attribute in fields(thing):
        if attribute.name in known:
            continue
        value = getattr(thing, attribute.name)
        default = attribute.default if attribute.default is not MISSING else None
        if attribute.default_factory is not MISSING:
            default = attribute.default_factory()
        if value != default:
            found.append((attribute.name, value))
    return tuple(found)
