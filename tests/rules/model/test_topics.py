"""Topic patterns against names. Faults in patterns are in test_language_errors.py."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.model.globs import PatternInvalid
from wiremask.rules.model.topics import TopicFilter, read_pattern

MATCHES = [
    ("payments", "payments", True),
    ("payments", "payments2", False),
    ("payments", "Payments", False),
    ("a.b", "axb", False),
    ("*", "payments", True),
    ("payments.*", "payments.cards", True),
    ("payments.*", "payments.", True),
    ("payments.*", "payments", False),
    ("payments.*", "xpayments.cards", False),
    ("*.dlq", "a.b.dlq", True),
    ("a*c*e", "abcde", True),
    ("a*c*e", "abcd", False),
    ("a?c", "abc", True),
    ("a?c", "ac", False),
    ("[a-c]x", "bx", True),
    ("[a-c]x", "dx", False),
    ("[!0-9]x", "ax", True),
    ("[!0-9]x", "1x", False),
    ("[ab-]x", "-x", True),
    ("[.]x", "ax", False),
    ("/a|b/", "a", True),
    ("/a|b/", "ab", False),
    ("/(?i)A.B/", "a.b", True),
    ("/pay/", "payments", False),
    ("*", "__consumer_offsets", False),
    ("_*", "__consumer_offsets", False),
    ("[_][_]*", "__consumer_offsets", False),
    ("?_consumer_offsets", "__consumer_offsets", False),
    ("/.*/", "__transaction_state", False),
    ("/__share_group_state/", "__share_group_state", False),
    ("__consumer_offsets", "__consumer_offsets", True),
    ("_*", "_schemas", True),
]


@pytest.mark.parametrize(("pattern", "topic", "matches"), MATCHES)
def test_pattern_matches_whole_name(pattern: str, topic: str, matches: bool) -> None:
    assert read_pattern(pattern).matches(topic) is matches


NAMES = st.text(alphabet="abc._-", min_size=1, max_size=8).filter(lambda name: not name.startswith("__"))


@given(st.text(alphabet="ab._*?", min_size=1, max_size=8), NAMES)
@settings(max_examples=300, deadline=None)
def test_glob_agrees_with_fnmatch(glob: str, name: str) -> None:
    if glob.startswith("__") or glob in {".", ".."}:
        return

    assert read_pattern(glob).matches(name) is fnmatch.fnmatchcase(name, glob)


@given(st.text(alphabet="ab1-!.*?[]", min_size=1, max_size=10))
@settings(max_examples=300, deadline=None)
def test_sample_of_a_glob_matches_it(glob: str) -> None:
    pattern, offset = None, 0
    try:
        pattern = read_pattern(glob)
    except PatternInvalid as fault:
        offset = fault.offset

    assert 0 <= offset < len(glob)
    assert pattern is None or pattern.sample is None or pattern.matches(pattern.sample)
    assert pattern is None or pattern.sample is not None or "[!" in glob


def test_filter_takes_included_and_not_excluded() -> None:
    topics = TopicFilter(
        include=(read_pattern("payments.*"), read_pattern("orders")), exclude=(read_pattern("payments.public*"),)
    )

    assert topics.matches("payments.cards")
    assert topics.matches("orders")
    assert not topics.matches("payments.public")
    assert not topics.matches("other")


def test_refused_expression_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternInvalid) as caught:
        read_pattern("/canary(?=x)/")

    assert "canary" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_refuses_pattern_longer_than_limit() -> None:
    with pytest.raises(PatternInvalid, match="at most 1024"):
        read_pattern("*" + "a" * 1024)


def test_refuses_expression_that_is_too_large() -> None:
    with pytest.raises(PatternInvalid, match="RE2 cannot run"):
        read_pattern("/((a{1000}){1000})/")
