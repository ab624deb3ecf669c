"""Topic ids and their names."""

from __future__ import annotations

from wiremask.proxy.topics import ZERO_ID, TopicNames

A, B, C = (bytes([number]) * 16 for number in (1, 2, 3))


def test_knows_what_it_learned() -> None:
    names = TopicNames()
    names.learn(A, "payments")

    assert names.name(A) == "payments"
    assert names.name(B) is None


def test_a_topic_made_anew_has_both_ids() -> None:
    names = TopicNames()
    names.learn(A, "payments")
    names.learn(B, "payments")

    assert (names.name(A), names.name(B)) == ("payments", "payments")


def test_the_zero_id_stands_for_no_topic() -> None:
    names = TopicNames()
    names.learn(ZERO_ID, "payments")

    assert names.name(ZERO_ID) is None


def test_lists_unknown_ids_once() -> None:
    names = TopicNames()
    names.learn(B, "payments")

    assert names.unknown([A, B, ZERO_ID, C, A]) == [A, C]


def test_forgets_what_was_used_longest_ago() -> None:
    names = TopicNames(limit=2)
    names.learn(A, "a")
    names.learn(B, "b")
    names.name(A)

    names.learn(C, "c")

    assert names.name(B) is None
    assert (names.name(A), names.name(C)) == ("a", "c")
