"""Whether one reader may see what two fields leave.

Two readers are known to differ only where both conditions say so in the plainest form: `principal == "User:a"`,
`principal in ["User:a", "User:b"]`, or the same with `!=` and `!(... in ...)`. Who the proxy cannot name is none of
them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wiremask.rules.review.reach import covers_path, covers_topics

if TYPE_CHECKING:
    from wiremask.rules.review.acts import Act

_TEXT = r"\"[^\"\\]*\"|'[^'\\]*'"
_IS = re.compile(rf"\s*principal\s*(==|!=)\s*({_TEXT})\s*")
_IN = re.compile(rf"\s*(!\s*\(\s*)?principal\s+in\s*\[\s*((?:{_TEXT})(?:\s*,\s*(?:{_TEXT}))*)\s*\](?(1)\s*\))\s*")


def may_be_one_reader(one: Act, other: Act) -> bool:
    """Whether a reader may see both fields, or what they left in topics."""
    first, second = sorted((one, other), key=lambda act: act.order)
    if _takes_all(first, second):
        return False
    # What is stored everybody sees.
    if one.rule.at != other.rule.at or "produce" in one.rule.at:
        return True
    return not are_disjoint(one.condition, other.condition)


def are_disjoint(one: str | None, other: str | None) -> bool:
    """Whether no principal can meet both conditions."""
    mine, yours = _principals(one), _principals(other)
    if mine is None or yours is None:
        return False
    (names, excludes), (others, also_excludes) = mine, yours
    if excludes and also_excludes:
        return False
    if excludes or also_excludes:
        return others <= names if excludes else names <= others
    return names.isdisjoint(others)


def _takes_all(first: Act, second: Act) -> bool:
    """Whether the first acts, for some readers, wherever the second does for the others: each sees one of them."""
    if not first.acts_where(second):
        return False  # detectors, for one, may find something else or nothing
    return first.rule.at == second.rule.at and all(
        covers_path(first.path, second.path) and covers_topics(first.rule.topics, pattern, second.rule.topics.exclude)
        for pattern in second.patterns
    )


def _principals(condition: str | None) -> tuple[frozenset[str], bool] | None:
    """The principals that a condition names, and whether it means all but these; None if it says something else."""
    if condition is None:
        return None
    found = _IS.fullmatch(condition)
    if found is not None:
        return frozenset({found[2][1:-1]}), found[1] == "!="
    found = _IN.fullmatch(condition)
    if found is not None:
        return frozenset(text[1:-1] for text in re.findall(_TEXT, found[2])), found[1] is not None
    return None
