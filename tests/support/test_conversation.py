"""What the comparison of two runs sees, and what it leaves to the clock."""

from __future__ import annotations

from typing import Any

import pytest

from support.conversation import Conversation, Exchange, differences

PRODUCE, FETCH, COMMIT, METADATA = ("Produce", 13), ("Fetch", 18), ("OffsetCommit", 9), ("Metadata", 13)


def said(
    asked: tuple[str, int], *, at: str = "broker", connection: int = 0, code: int = 0, **response: Any
) -> Exchange:
    """An exchange whose answer has one error code, some levels down."""
    body = {"Topics": [{"Partitions": [{"ErrorCode": code}]}], **response}
    return Exchange(at=at, connection=connection, asked=asked, request={}, response=body)


def unanswered(asked: tuple[str, int], *, connection: int = 0) -> Exchange:
    """A request whose connection ended before its answer."""
    return Exchange(at="broker", connection=connection, asked=asked, request={}, response=None)


BASE = [said(METADATA, at="bootstrap"), said(FETCH), said(COMMIT), said(PRODUCE, connection=1)]


OTHERS: dict[str, tuple[list[Exchange], set[str]]] = {
    "an api is not asked": (BASE[:3], {"asked", "places", "answers", "sequence"}),
    "another version": (
        [*BASE[:3], said(("Produce", 12), connection=1)],
        {"asked", "places", "answers", "sequence"},
    ),
    "another address": ([*BASE[:3], said(PRODUCE, at="bootstrap", connection=1)], {"places"}),
    "another connection": ([*BASE[:3], said(PRODUCE, connection=0)], {"order"}),
    "another order on a connection": ([BASE[0], BASE[2], BASE[1], BASE[3]], {"order"}),
    "another order over connections": ([*BASE[:2], BASE[3], BASE[2]], {"sequence"}),
    "an api again, after others": ([*BASE, said(COMMIT)], {"sequence"}),
    "an error": ([*BASE[:3], said(PRODUCE, connection=1, code=87)], {"answers", "sequence"}),
    "an error now and then": ([*BASE, said(PRODUCE, connection=1, code=6)], {"answers", "sequence"}),
    "an error of what the clock counts": ([*BASE, said(FETCH, code=6)], {"answers"}),
    "patience that this api never asks for": ([*BASE, said(PRODUCE, connection=1, code=27)], {"answers", "sequence"}),
    "no answer": ([*BASE[:3], unanswered(PRODUCE, connection=1)], {"answers", "sequence"}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_difference_is_seen(name: str) -> None:
    other, seen = OTHERS[name]

    found = differences(Conversation(BASE), Conversation(other))

    assert set(found) == seen


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([*BASE, said(FETCH), said(FETCH)], id="asked more often"),
        pytest.param([*BASE[:3], said(COMMIT), BASE[3], said(PRODUCE, connection=1)], id="more batches"),
        pytest.param([*BASE, said(METADATA), said(METADATA, connection=1)], id="metadata from elsewhere"),
        pytest.param([*BASE, said(COMMIT, code=27)], id="a rebalance in between"),
        pytest.param([*BASE[:2], said(COMMIT, code=14), *BASE[2:]], id="a coordinator that has just begun"),
        pytest.param([*BASE, said(FETCH, connection=2)], id="one more connection"),
        pytest.param([*BASE, unanswered(FETCH)], id="a poll that the end of the client cut off"),
        pytest.param(
            [*BASE[:3], said(COMMIT, connection=2), said(FETCH, connection=2), BASE[3]],
            id="an order that differs within a run",
        ),
    ],
)
def test_what_the_clock_decides_is_no_difference(other: list[Exchange]) -> None:
    assert differences(Conversation(BASE), Conversation(other)) == {}


def test_rounds_of_a_group_are_one_entry() -> None:
    join, sync = said(("JoinGroup", 9)), said(("SyncGroup", 5))

    few, many = Conversation([join, sync]), Conversation([join, join, sync, join, sync, sync])

    assert differences(few, many) == {}
    assert len(many.sequence()) == 1


def test_offers_are_compared_without_the_epoch_that_counts_time() -> None:
    offers = [said(("ApiVersions", 4), FinalizedFeaturesEpoch=epoch, ApiKeys=[1]) for epoch in (7, 8)]

    (offer,) = Conversation(offers).offers()

    assert offer["ApiKeys"] == [1]
    assert "FinalizedFeaturesEpoch" not in offer
