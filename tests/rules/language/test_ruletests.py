"""Tests within rules that pass. Those that fail, with their places, are in test_language_errors.py."""

from __future__ import annotations

import pytest

from wiremask.rules import RuleSetInvalid, TopicPlan, compile_ruleset
from wiremask.rules.errors import Faults
from wiremask.rules.language.ruletests import read_tests
from wiremask.rules.nodes.source import read_source
from wiremask.rules.outcome import MaskedTooLarge

FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {{name: t}}
rules:
  - name: r
    topics: [t]
    at: [{at}]
    value: {{fields: [{{path: $.a, mask: {mask}}}]}}
    tests: [{test}]
"""

PASSING = {
    "untouched": ("redact", "{in: {b: [1, 2.50, true, null, 'x']}, out: {b: [1, 2.50, true, null, x]}}"),
    "numbers by value": ("redact", "{in: {b: [1.0, 100, -0.0]}, out: {b: [1, 1e2, 0]}}"),
    "huge numbers by text": ("redact", "{in: {b: 1e99999999999999999999}, out: {b: 1e99999999999999999999}}"),
    "members in another order": ("redact", "{in: {b: 1, a: x, c: 2}, out: {c: 2, b: 1, a: '[redacted]'}}"),
    "scalar root": ("redact", "{in: x, out: x}"),
    "null root": ("redact", "{in: null, out: null}"),
    "characters": ("partial", '{in: {a: "ü\\u0000😀"}, out: {a: "***"}}'),
    "dropped": ("drop", "{in: {a: 1}, out: {}}"),
    "rejected": ("partial", "{in: {a: 1}, rejected: true}"),
    "escaped keys": ("redact", '{in: {"\\"": 1, "a": x}, out: {"\\"": 1, a: "[redacted]"}}'),
}


@pytest.mark.parametrize(("mask", "test"), PASSING.values(), ids=PASSING)
def test_passes(mask: str, test: str) -> None:
    plan = compile_ruleset({"r": FILE.format(at="produce", mask=mask, test=test)}, lambda _: "")

    assert plan.acts_at("produce")


@pytest.mark.parametrize(("at", "rejects"), [("produce", True), ("fetch", False), ("fetch, produce", True)])
def test_runs_in_the_first_direction_of_the_rule(at: str, rejects: bool) -> None:
    tests = ["{in: {a: 1}, rejected: true}", "{in: {a: 1}, out: {a: 0}}"]
    passing, failing = tests if rejects else reversed(tests)

    compile_ruleset({"r": FILE.format(at=at, mask="partial", test=passing)}, lambda _: "")

    with pytest.raises(RuleSetInvalid):
        compile_ruleset({"r": FILE.format(at=at, mask="partial", test=failing)}, lambda _: "")


def test_all_failing_tests_are_reported() -> None:
    tests = "{in: {a: x}, out: {a: x}}, {in: {a: x}, out: {a: '[redacted]'}}, {in: {a: 1}, out: {a: 1}}"

    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset({"r": FILE.format(at="produce", mask="redact", test=tests)}, lambda _: "")

    assert [(error.line, error.column) for error in caught.value.errors] == [(9, 35), (9, 100)]


def test_repr_of_a_test_holds_no_value() -> None:
    faults = Faults(file="f")
    node = read_source("[{in: {canary: canary}, out: canary}]", faults)

    assert node is not None
    assert "canary" not in repr(read_tests(node, faults))


def test_value_that_outgrows_the_kernel_is_a_fault_of_its_test(monkeypatch: pytest.MonkeyPatch) -> None:
    def outgrow(*_: object) -> None:
        raise MaskedTooLarge("too large")

    monkeypatch.setattr(TopicPlan, "mask_records", outgrow)

    with pytest.raises(RuleSetInvalid) as caught:
        compile_ruleset({"r": FILE.format(at="produce", mask="redact", test="{in: x, out: x}")}, lambda _: "")

    assert str(caught.value) == "r:9:21: the masked value is too large for a test; write a smaller `in`"
