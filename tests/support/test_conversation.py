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


BASE = [said(METADATA, at="bootstrap"), said(FETCH), said(COMMIT), said(PRODUCE, connection=1)]


@pytest.mark.parametrize(
    ("other", "seen"),
    [
        pytest.param(BASE[:3], {"asked", "places", "errors"}, id="an api is not asked"),
        pytest.param([*BASE[:3], said(("Produce", 12), connection=1)], {"asked", "places"}, id="another version"),
        pytest.param([*BASE[:3], said(PRODUCE, at="bootstrap", connection=1)], {"places"}, id="another address"),
        pytest.param([*BASE[:3], said(PRODUCE, connection=0)], {"order"}, id="another connection"),
        pytest.param([BASE[0], BASE[2], BASE[1], BASE[3]], {"order"}, id="another order"),
        pytest.param([*BASE[:3], said(PRODUCE, connection=1, code=87)], {"errors"}, id="an error"),
        pytest.param([*BASE, said(PRODUCE, connection=1, code=6)], {"errors"}, id="an error now and then"),
    ],
)
def test_a_difference_is_seen(other: list[Exchange], seen: set[str]) -> None:
    found = differences(Conversation(BASE), Conversation(other))

    assert set(found) == seen


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([*BASE, said(FETCH), said(FETCH), said(COMMIT)], id="asked more often"),
        pytest.param([*BASE, said(METADATA), said(METADATA, connection=1)], id="metadata from elsewhere"),
        pytest.param([*BASE, said(COMMIT, code=27)], id="a rebalance in between"),
        pytest.param([*BASE, said(FETCH, connection=2)], id="one more connection"),
        pytest.param(
            [*BASE, said(COMMIT, connection=2), said(FETCH, connection=2)], id="an order that differs within a run"
        ),
    ],
)
def test_what_the_clock_decides_is_no_difference(other: list[Exchange]) -> None:
    assert differences(Conversation(BASE), Conversation(other)) == {}


def test_offers_are_compared_without_the_epoch_that_counts_time() -> None:
    offers = [said(("ApiVersions", 4), FinalizedFeaturesEpoch=epoch, ApiKeys=[1]) for epoch in (7, 8)]

    (offer,) = Conversation(offers).offers()

    assert offer["ApiKeys"] == [1]
    assert "FinalizedFeaturesEpoch" not in offer
