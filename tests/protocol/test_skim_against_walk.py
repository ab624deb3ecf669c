"""The short way reads a frame as the strict walker does, or sends it to the walker.

Every byte of a message of every version is cut, changed, doubled, dropped, and put in the place of a length that lies: the
skim says yes exactly where the walker reads the message, it has no address, and all topics that the walker sees are clear;
and it asked about those topics, no others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from support.kafka_oracle import oracle
from support.lies import lies
from support.skims import TAKEN, clear_where, skim_of, walked
from wiremask.protocol.skim import Skim

IDS = [f"{name}-{version}" for name, version in TAKEN]
WITH_TOPICS = [(name, version) for name, version in TAKEN if name != "ProduceResponse"]


def unmasked(values: dict[str, Any]) -> dict[str, Any]:
    """The same without the addresses that would keep it from passing at once."""
    return {name: value for name, value in values.items() if name != "node_endpoints"}


def skimmed(skim: Skim, frame: bytes, decide: Callable[[str | bytes], bool]) -> list[str | bytes] | None:
    """The topics that the skim asked about before it let a frame pass; None if it did not."""
    asked: list[str | bytes] = []

    def note(topic: str | bytes) -> bool:
        asked.append(topic)
        return decide(topic)

    yes = skim.passes(bytearray(frame), 0, len(frame), clear_where(note))
    return asked if yes else None


@pytest.mark.parametrize(("name", "version"), TAKEN, ids=IDS)
def test_passes_exactly_what_the_walker_reads_and_asks_about_its_topics(name: str, version: int) -> None:
    skim, head = skim_of(name, version)
    values = oracle(name, unknown_tags=True).sample(version)
    bodies = [oracle(name, unknown_tags=True).encode(one, version) for one in (values, unmasked(values))]
    passed = 0

    for lie in dict.fromkeys(lie for body in bodies for lie in lies(body)):
        seen = walked(name, version, lie)
        told = skimmed(skim, head + lie, lambda _: True)
        assert told == (None if seen is None else list(dict.fromkeys(seen)))
        passed += told is not None

    assert passed > 0


@pytest.mark.parametrize(("name", "version"), WITH_TOPICS)
def test_one_topic_with_a_rule_among_others_is_enough(name: str, version: int) -> None:
    skim, head = skim_of(name, version)
    body = oracle(name).encode(unmasked(oracle(name).sample(version)), version)
    topics = walked(name, version, body)
    assert topics

    assert skimmed(skim, head + body, lambda topic: topic not in topics) is None
    assert skimmed(skim, head + body, lambda topic: topic in topics) is not None


@pytest.mark.parametrize("version", range(3, 14))
def test_a_lying_head_opens_no_passage_that_closes_over_a_message_the_walker_refuses(version: int) -> None:
    skim, head = skim_of("ProduceRequest", version)
    values = oracle("ProduceRequest", unknown_tags=True).sample(version)
    (topic, _) = values["topic_data"]
    (partition, _) = topic["partition_data"]
    records = b"r" * 300
    values["topic_data"] = [{**topic, "partition_data": [{**partition, "records": records}]}]
    body = oracle("ProduceRequest", unknown_tags=True).encode(values, version)
    opened = 0

    for lie in dict.fromkeys(lies(body)):
        frame = bytearray(head + lie)
        arrived = len(head) + body.index(records) + 100
        passage = skim.opens(frame[:arrived], 0, min(arrived, len(frame)), len(frame), clear_where(lambda _: True))
        if passage is None:
            continue
        opened += 1
        closes = passage.closes(frame, len(frame) - passage.tail_bytes)
        seen = walked("ProduceRequest", version, lie)
        assert closes == (seen is not None)
        if seen is not None:
            (key,) = seen
            assert passage.is_clear(clear_where(lambda topic, key=key: topic == key))
            assert not passage.is_clear(clear_where(lambda topic, key=key: topic != key))

    assert opened > 0
