"""What a pattern or a path reaches, as far as that can be told from how it is written.

`covers_...` is true only where it is certain; `may_...` is false only where it is certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.model.casefold import fold
from wiremask.rules.model.selector import Index, Name, Slice, Wildcard

if TYPE_CHECKING:
    from wiremask.rules.model.selector import Path, Segment, Selector
    from wiremask.rules.model.topics import TopicFilter, TopicPattern

_SPECIAL = frozenset("*?[")


def covers_pattern(wide: TopicPattern, narrow: TopicPattern) -> bool:
    """Whether every topic of one pattern is one of the other."""
    if wide.text == narrow.text:
        return True
    if narrow.regex is None:
        return wide.matches(narrow.text)
    stem = wide.text[:-1]
    if wide.regex is None or not wide.text.endswith("*") or not _SPECIAL.isdisjoint(stem) or stem.startswith("/"):
        return False
    # A glob such as `payments.*`, or `*`: whatever begins so. Neither it nor what is narrower matches `__...`.
    return narrow.prefix.startswith(stem)


def may_share(one: TopicPattern, other: TopicPattern) -> bool:
    """Whether a topic may match both."""
    if one.regex is None:
        return other.matches(one.text)
    if other.regex is None:
        return one.matches(other.text)
    return one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)


def covers_topics(wide: TopicFilter, pattern: TopicPattern, exclude: tuple[TopicPattern, ...]) -> bool:
    """Whether a rule acts on every topic of a pattern that `exclude` leaves."""
    if not any(covers_pattern(one, pattern) for one in wide.include):
        return False
    return all(
        not may_share(gap, pattern) or any(covers_pattern(other, gap) for other in exclude) for gap in wide.exclude
    )


def may_share_topics(one: TopicFilter, pattern: TopicPattern, exclude: tuple[TopicPattern, ...]) -> bool:
    """Whether a rule may act on a topic of a pattern that `exclude` leaves."""
    if is_emptied(pattern, exclude) or is_emptied(pattern, one.exclude):
        return False
    return any(
        may_share(mine, pattern) and not is_emptied(mine, one.exclude) and not is_emptied(mine, exclude)
        for mine in one.include
    )


def is_emptied(pattern: TopicPattern, exclude: tuple[TopicPattern, ...]) -> bool:
    """Whether nothing is left of a pattern."""
    return any(covers_pattern(other, pattern) for other in exclude)


def covers_path(wide: Path, narrow: Path) -> bool:
    """Whether all that one path selects is selected by the other, or stands in what that selects."""
    states, seen = [(0, 0)], set()
    while states:
        at, to = states.pop()
        if at == len(wide):
            return True
        if (at, to) in seen or to == len(narrow):
            continue
        seen.add((at, to))
        if _covers_step(wide[at], narrow[to]):
            states.append((at + 1, to + 1))
        if wide[at].descendant:
            states.append((at, to + 1))
    return False


def may_hold(above: Path, below: Path) -> bool:
    """Whether one path may select a node that the other selects, or one that such a node stands in."""
    seen: set[tuple[int, int]] = set()
    states = [(0, 0)]
    while states:
        at, to = states.pop()
        if (at, to) in seen:
            continue
        seen.add((at, to))
        if at == len(above):
            return True
        if to == len(below):
            continue
        if _may_be_one(above[at], below[to]):
            states.append((at + 1, to + 1))
        # A descendant step goes any number of levels down before it selects.
        if above[at].descendant:
            states.append((at, to + 1))
        if below[to].descendant:
            states.append((at + 1, to))
    return False


def may_meet(one: Path, other: Path) -> bool:
    """Whether a leaf may be selected by both."""
    return may_hold(one, other) or may_hold(other, one)


def _covers_step(wide: Segment, narrow: Segment) -> bool:
    if narrow.descendant and not wide.descendant:
        return False
    return all(any(_covers_selector(one, other) for one in wide.selectors) for other in narrow.selectors)


def _covers_selector(wide: Selector, narrow: Selector) -> bool:
    if isinstance(wide, Name) and isinstance(narrow, Name) and wide.ignore_case:
        return fold(narrow.name) == wide.name
    return wide == narrow or isinstance(wide, Wildcard)


def _may_be_one(one: Segment, other: Segment) -> bool:
    return any(_may_be_same(mine, yours) for mine in one.selectors for yours in other.selectors)


def _may_be_same(one: Selector, other: Selector) -> bool:
    """Whether two selectors may select the same child; letter case never tells names apart here."""
    if isinstance(one, Name) and isinstance(other, Name):
        return fold(one.name) == fold(other.name)
    if isinstance(one, Index) and isinstance(other, Index):
        # One that counts from the end may be any.
        return one.index == other.index or min(one.index, other.index) < 0
    # A member is no element; of what else there may be, nothing is known here.
    kinds = {type(one), type(other)}
    return not (Name in kinds and kinds & {Index, Slice})
