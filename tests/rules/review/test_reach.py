from __future__ import annotations

import pytest

from wiremask.rules.model.selector import Path, read_path
from wiremask.rules.model.topics import TopicFilter, read_pattern
from wiremask.rules.review.reach import (
    covers_path,
    covers_pattern,
    covers_topics,
    is_emptied,
    may_hold,
    may_meet,
    may_share,
    may_share_topics,
)


def path(text: str) -> Path:
    return read_path(text.removeprefix("i:"), ignore_case=text.startswith("i:"))


def topics(include: str, exclude: str = "") -> TopicFilter:
    return TopicFilter(
        include=tuple(map(read_pattern, include.split())), exclude=tuple(map(read_pattern, exclude.split()))
    )


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("$", "$"),
        ("$", "$..a"),
        ("$.a", "$.a"),
        ("$.a", "$['a'].b"),
        ("$.*", "$[3]"),
        ("$.*", "$[1:2]"),
        ("$['a','b']", "$.a"),
        ("$..a", "$.a"),
        ("$..a", "$.x[0].a.b"),
        ("$..a", "$..a"),
        ("$..*", "$.a"),
        ("$.x..a", "$.x.y.a"),
        ("i:$.ssn", "$.SSN"),
        ("i:$.ssn", "i:$.Ssn"),
    ],
)
def test_a_path_covers_what_it_surely_selects(wide: str, narrow: str) -> None:
    assert covers_path(path(wide), path(narrow))
    assert may_meet(path(wide), path(narrow))
    assert may_hold(path(wide), path(narrow))


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("$.a.b", "$.a"),
        ("$.a", "$.b"),
        ("$.a", "$['a','b']"),
        ("$.a", "$..a"),
        ("$[0]", "$.*"),
        ("$[0]", "$[0:1]"),
        ("$.x..a", "$.y.a"),
        ("$..a.b", "$.a.x.b"),
        ("$.ssn", "i:$.ssn"),
        ("$.ssn", "$.SSN"),
    ],
)
def test_a_path_does_not_cover_what_it_may_not_select(wide: str, narrow: str) -> None:
    assert not covers_path(path(wide), path(narrow))


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("$.a", "$.b", False),
        ("$.a", "$.a.b", True),
        ("$..b", "$.a", True),  # $.a.b
        ("$..b.c", "$.a.b", True),
        ("$.a.b", "$.b.a", False),
        ("$[0]", "$[1]", False),
        ("$[0]", "$[-1]", True),
        ("$[0]", "$.a", False),
        ("$[0]", "$[1:]", True),
        ("$.a[*].b", "$.a[3].c", False),
        ("i:$.ssn", "$.SSN", True),
    ],
)
def test_two_paths_may_meet(one: str, other: str, meet: bool) -> None:
    assert may_meet(path(one), path(other)) is meet
    assert may_meet(path(other), path(one)) is meet


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("t", "t", True),
        ("t*", "t", True),
        ("t*", "tx", True),
        ("*", "t?", True),
        ("t.*", "t.x*", True),
        ("t.*", "t*", False),
        ("t*x", "tx*", False),
        ("*", "/t.*/", True),
        ("t*", "/t.*/", False),
        ("/t.*/", "/t.*/", True),
        ("/t.*/", "tx", True),
        ("/t.*/", "t*", False),
        ("*", "__t", False),
    ],
)
def test_a_pattern_covers_another(wide: str, narrow: str, covers: bool) -> None:
    assert covers_pattern(read_pattern(wide), read_pattern(narrow)) is covers
    assert is_emptied(read_pattern(narrow), (read_pattern(wide),)) is covers


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("t", "u", False),
        ("t*", "u*", False),
        ("t*", "tx*", True),
        ("*x", "t*", True),
        ("/u/", "t", False),
        ("/u/", "t*", True),
        ("__t", "*", False),
    ],
)
def test_two_patterns_may_share_a_topic(one: str, other: str, share: bool) -> None:
    assert may_share(read_pattern(one), read_pattern(other)) is share
    assert may_share(read_pattern(other), read_pattern(one)) is share


@pytest.mark.parametrize(
    ("include", "exclude", "pattern", "without", "covers", "share"),
    [
        ("t*", "", "tx*", "", True, True),
        ("t*", "ty", "tx*", "", True, True),
        ("t*", "txy", "tx*", "", False, True),
        ("t*", "txy", "tx*", "txy", True, True),
        ("t*", "txy", "tx*", "tx*", True, False),
        ("t*", "tx*", "txy", "", False, False),
        ("u", "", "t", "", False, False),
        ("t", "", "t*", "t", False, False),
    ],
)
def test_exceptions_of_both_rules_count(
    include: str, exclude: str, pattern: str, without: str, covers: bool, share: bool
) -> None:
    excluded = tuple(map(read_pattern, without.split()))

    assert covers_topics(topics(include, exclude), read_pattern(pattern), excluded) is covers
    assert may_share_topics(topics(include, exclude), read_pattern(pattern), excluded) is share
