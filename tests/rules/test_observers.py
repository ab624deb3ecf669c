"""Rules in `mode: observe`: they change nothing, end no search, and count what they would do."""

from __future__ import annotations

import pytest

from wiremask.rules import Direction, TopicPlan, compile_ruleset
from wiremask.rules.records.onerecord import OneRecord

START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"
OBSERVING = (
    "mode: observe, value: {fields: [{path: $.a, mask: redact}, {path: $.b, mask: partial}, {path: $.c, mask: keep}]}"
)
RECORD = OneRecord.of(value=b'{"a":[1,2],"b":"x","c":"y"}')


def compiled(*rules: str, at: Direction = "produce", limit_bytes: int = 1 << 20) -> TopicPlan:
    text = START + "".join(f"  - {{name: r{i}, topics: [t], at: [{at}], {rule}}}\n" for i, rule in enumerate(rules))
    plan = compile_ruleset({"r": text}, lambda _: "", output_limit_bytes=limit_bytes).match("t", at)
    assert plan is not None
    return plan


def test_observing_rule_changes_nothing_and_counts_by_field() -> None:
    plan = compiled(OBSERVING)

    outcome = plan.mask_records(RECORD)
    (observation,) = [observer.observe(RECORD) for observer in plan.observers]

    assert outcome.is_unchanged
    assert (observation.rule, observation.masked, observation.failed) == ("r0", {"$.a": 2, "$.b": 1}, {})


def test_observing_rule_does_not_end_the_search_for_later_ones() -> None:
    plan = compiled(OBSERVING, "value: {fields: [{path: $, mask: redact}]}")

    outcome = plan.mask_records(RECORD)

    redacted = b'{"a":[0,0],"b":"[redacted]","c":"[redacted]"}'
    assert RECORD.masked_value(outcome) == redacted
    assert outcome.value is not None
    assert list(outcome.value.masked) == [0, 4]


def test_observing_rule_counts_no_leaf_that_an_earlier_rule_decides() -> None:
    plan = compiled("value: {fields: [{path: '$.a[0]', mask: keep}, {path: $.b, mask: redact}]}", OBSERVING, OBSERVING)

    observations = [observer.observe(RECORD) for observer in plan.observers]

    assert [observation.masked for observation in observations] == [{"$.a": 1}, {"$.a": 1}]


@pytest.mark.parametrize(
    ("policy", "failed"), [("reject", {"unmaskable": 1}), ("redact", {})], ids=["reject", "redact"]
)
def test_counts_records_that_it_would_not_let_pass(policy: str, failed: dict[str, int]) -> None:
    plan = compiled(f"{OBSERVING}, onUnmaskable: {policy}, onUnreadable: {policy}")
    (observer,) = plan.observers

    assert observer.observe(OneRecord.of(value=b'{"b":1}')).failed == failed
    assert observer.observe(OneRecord.of(value=b"{")).failed == {"unreadable": 1}
    assert plan.mask_records(OneRecord.of(value=b"{")).is_unchanged


def test_observes_keys_and_headers() -> None:
    plan = compiled(
        "mode: observe, key: {format: text, fields: [{path: $, mask: redact}]}, "
        "headers: [{name: 'x-*', mask: drop}, {name: y, mask: redact}]",
        at="fetch",
    )
    record = OneRecord.of(key=b"k", headers=[("x-1", b"v"), ("x-2", b"v"), ("z", b"v")])

    (observation,) = [observer.observe(record) for observer in plan.observers]

    assert plan.mask_records(record).is_unchanged
    assert observation.masked == {"key $": 1, "header x-*": 2}


def test_observes_alone_where_its_format_is_another() -> None:
    rule = "value: {format: text, fields: [{path: $, mask: redact}]}"
    plan = compiled("value: {fields: [{path: $.a, mask: redact}]}", f"mode: observe, {rule}")

    (observation,) = [observer.observe(RECORD) for observer in plan.observers]

    assert observation.masked == {"$": 1}


def test_outgrown_copy_is_counted_and_harms_nobody() -> None:
    plan = compiled("mode: observe, value: {fields: [{path: $.b, mask: redact}]}", limit_bytes=16)

    (observation,) = [observer.observe(RECORD) for observer in plan.observers]

    assert observation.failed == {"too large": 1}
    assert plan.mask_records(RECORD).is_unchanged


def test_tests_of_an_observing_rule_run_as_if_it_were_enforced() -> None:
    text = f"{OBSERVING}, tests: [{{in: {{b: x}}, out: {{b: '*'}}}}]"

    assert compiled(text).rules[0].observes
