"""Plans: which rules act where, failure policies by direction, and what is remembered."""

from __future__ import annotations

from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest

from wiremask.rules import Direction, Outcome, Plan, Reason, compile_ruleset, plan
from wiremask.rules.outcome import REFUSED, UNCHANGED

START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"


def rule(name: str, topics: str, at: str, mask: str = "redact", more: str = "") -> str:
    return (
        f"  - {{name: {name}, topics: {topics}, at: [{at}], value: {{fields: [{{path: $.a, mask: {mask}}}]}}{more}}}\n"
    )


def compiled(*rules: str) -> Plan:
    return compile_ruleset({"r": START + "".join(rules)}, lambda _: "")


def outcome_of(snapshot: Plan, topic: str, at: Direction, value: bytes) -> Outcome:
    program = snapshot.match(topic, at)
    assert program is not None
    return program.mask(value, array("i", (0, len(value))))


def names(snapshot: Plan, topic: str, at: Direction) -> list[str]:
    program = snapshot.match(topic, at)
    return [] if program is None else [found.name for found in program.rules]


def test_matches_rules_of_topic_and_direction_in_order() -> None:
    snapshot = compiled(
        rule("all", "['*']", "produce, fetch"),
        rule("pay", "['pay.*']", "produce", more=", exceptTopics: [pay.public]"),
        rule("out", "[pay.cards, __audit]", "fetch"),
    )

    assert names(snapshot, "pay.cards", "produce") == ["all", "pay"]
    assert names(snapshot, "pay.cards", "fetch") == ["all", "out"]
    assert names(snapshot, "pay.public", "produce") == ["all"]
    assert names(snapshot, "__audit", "produce") == []
    assert names(snapshot, "__audit", "fetch") == ["out"]
    assert snapshot.match("__consumer_offsets", "fetch") is None


def test_acts_at_directions_that_rules_have() -> None:
    assert compiled(rule("r", "[t]", "produce")).acts_at("produce")
    assert not compiled(rule("r", "[t]", "produce")).acts_at("fetch")
    assert compiled(rule("r", "[t]", "fetch, produce")).acts_at("fetch")


def test_later_calls_give_the_same_program_and_share_it_between_topics() -> None:
    snapshot = compiled(rule("r", "['a*']", "produce, fetch"))

    first = snapshot.match("a1", "produce")

    assert first is not None
    assert snapshot.match("a1", "produce") is first
    assert snapshot.match("a2", "produce") is first
    assert snapshot.match("a1", "fetch") is not first


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "TOPICS_REMEMBERED", 8)
    monkeypatch.setattr(plan, "PROGRAMS_REMEMBERED", 2)
    snapshot = compiled(*(rule(f"r{number}", f"['t{number}*', all]", "fetch") for number in range(4)))

    found = [names(snapshot, f"t{number % 4}.{number}", "fetch") for number in range(100)]

    assert found == [[f"r{number % 4}"] for number in range(100)]
    assert len(snapshot._matches) == 8
    assert len(snapshot._programs) == 2
    assert names(snapshot, "all", "fetch") == ["r0", "r1", "r2", "r3"]


@pytest.mark.parametrize("more", ["", ", onUnreadable: reject, onUnmaskable: reject"])
def test_produce_rejects_by_default(more: str) -> None:
    snapshot = compiled(rule("other", "['*']", "produce"), rule("text", "[t]", "produce", "partial", more))

    unreadable = outcome_of(snapshot, "t", "produce", b'{"a":')
    unmaskable = outcome_of(compiled(rule("text", "[t]", "produce", "partial", more)), "t", "produce", b'{"a":1}')

    assert [(failure.reason, failure.rule) for failure in unreadable.failures] == [(Reason.UNREADABLE, -1)]
    assert [(failure.reason, failure.rule) for failure in unmaskable.failures] == [(Reason.UNMASKABLE, 0)]
    assert unreadable.spans[0] == unmaskable.spans[0] == REFUSED


def test_failure_names_its_rule() -> None:
    snapshot = compiled(
        "  - {name: other, topics: ['*'], at: [produce], value: {fields: [{path: $.b, mask: redact}]}}\n",
        rule("elsewhere", "[u]", "produce"),
        rule("text", "[t]", "produce", "partial"),
    )
    program = snapshot.match("t", "produce")

    failures = outcome_of(snapshot, "t", "produce", b'{"a":1}').failures

    assert program is not None
    assert [program.rules[failure.rule].name for failure in failures] == ["text"]


def test_produce_redacts_where_rules_say_so() -> None:
    snapshot = compiled(rule("r", "[t]", "produce", "partial", ", onUnreadable: redact, onUnmaskable: redact"))

    unreadable = outcome_of(snapshot, "t", "produce", b'{"a":')
    unmaskable = outcome_of(snapshot, "t", "produce", b'{"a":1}')

    assert (unreadable.values, unreadable.unreadable) == (b'{"wiremask":"unreadable"}', 1)
    assert unmaskable.values == b'{"a":0}'


def test_reject_wins_where_rules_differ_on_unreadable() -> None:
    snapshot = compiled(
        rule("soft", "['*']", "produce", more=", onUnreadable: redact"),
        rule("hard", "[t]", "produce", more=", onUnreadable: reject"),
    )

    assert len(outcome_of(snapshot, "t", "produce", b"x").failures) == 1
    assert outcome_of(snapshot, "u", "produce", b"x").failures == ()


@pytest.mark.parametrize("value", [b'{"a":', b'{"a":1}', b"", b"\xff"])
def test_fetch_never_rejects(value: bytes) -> None:
    snapshot = compiled(rule("r", "[t]", "fetch", "partial", ", onUnreadable: reject, onUnmaskable: reject"))

    outcome = outcome_of(snapshot, "t", "fetch", value)

    assert outcome.failures == ()
    assert outcome.values in {b'{"wiremask":"unreadable"}', b'{"a":0}'}


def test_null_and_untouched_values_stay() -> None:
    program = compiled(rule("r", "[t]", "produce")).match("t", "produce")
    value = b'{"b": 1}'

    assert program is not None
    assert list(program.mask(value, array("i", (0, len(value), 0, -1))).spans[::2]) == [UNCHANGED, UNCHANGED]


def test_threads_share_a_plan() -> None:
    snapshot = compiled(*(rule(f"r{number}", f"['t{number}*']", "fetch") for number in range(20)))

    def mask(number: int) -> bytes:
        return outcome_of(snapshot, f"t{number % 20}.{number % 50}", "fetch", b'{"a":"x"}').values

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(mask, range(2000)))

    assert found == {b'{"a":"[redacted]"}'}


def test_repr_tells_no_more_than_names() -> None:
    assert repr(compiled(rule("r", "[t]", "fetch"))).startswith("Plan(name='t', digest='")


@pytest.mark.parametrize(
    ("more", "is_light"),
    [
        ("", True),
        (", when: {record: [{header: source, equals: web}, {path: $.b, equals: c}]}", True),
        (", headers: [{name: a, mask: redact}]", False),
        (", mode: observe", False),
    ],
    ids=["values", "conditions on records", "headers", "observing"],
)
def test_the_kernel_does_alone_what_is_neither_in_headers_nor_only_counted(more: str, is_light: bool) -> None:
    program = compiled(rule("r", "[t]", "produce", more=more)).match("t", "produce")

    assert program is not None
    assert program.is_light is is_light
