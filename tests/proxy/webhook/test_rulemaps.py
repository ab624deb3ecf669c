"""A ConfigMap of rules is taken only if `wiremask check` would take the rules."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.rulefolder import rule, ruleset
from wiremask.proxy.webhook.review import Allowed, Answer, Json, Question, Refused
from wiremask.proxy.webhook.rulemaps import SHOWN_FAULTS, validate

GOOD = ruleset(rule("r", "t", {"$.ssn": "redact"}))


def config_map(data: dict[str, str] | None = None, *, labelled: bool = True, **more: Any) -> Json:
    labels = {"wiremask.dev/rules": "true"} if labelled else {}
    return {"metadata": {"name": "rules", "labels": labels}, "data": data or {}, **more}


def answer(wanted: Json, old: Json | None = None, operation: str = "CREATE") -> Answer:
    question = Question(uid="u", kind="ConfigMap", operation=operation, namespace="n", object=wanted, old=old or {})
    return validate(question, json_depth=64)


def test_valid_rules_are_taken_and_other_files_do_not_count() -> None:
    assert answer(config_map({"rules.yaml": GOOD, "notes.txt": "no YAML: ["})) == Allowed()


def test_fault_is_told_with_file_line_and_column() -> None:
    broken = GOOD.replace('"topics"', '"topic"')

    refused = answer(config_map({"rules.yaml": broken}))

    assert isinstance(refused, Refused)
    line, column = next(
        (n, text.index('"topic"') + 1) for n, text in enumerate(broken.split("\n"), 1) if '"topic"' in text
    )
    assert f"rules.yaml:{line}:{column}: " in refused.message


def test_what_check_warns_of_is_a_warning_here_too() -> None:
    hidden = ruleset(
        rule("all", "customers", {"$..ssn": "redact"}),
        rule("never", "customers", {"$.ssn": {"partial": {"keepLast": 4}}}),
    )

    allowed = answer(config_map({"a.yaml": hidden}))

    assert isinstance(allowed, Allowed)
    assert [warning.split(":")[0] for warning in allowed.warnings] == ["a.yaml"]


def test_many_faults_are_counted() -> None:
    rules = ruleset(*(rule(f"r{n}", "t", {"$[": "redact"}) for n in range(SHOWN_FAULTS + 3)))

    refused = answer(config_map({"rules.yaml": rules}))

    assert isinstance(refused, Refused)
    assert refused.message.endswith("and 3 more")


def test_failing_test_of_a_rule_is_a_fault() -> None:
    rules = ruleset(rule("r", "t", {"$.a": "redact"}, tests=[{"in": {"a": "x"}, "out": {"a": "x"}}]))

    assert isinstance(answer(config_map({"rules.yaml": rules})), Refused)


def test_test_that_needs_a_key_is_told_as_not_decided() -> None:
    rules = ruleset(
        rule("r", "t", {"$.a": {"hash": {"key": "k"}}}, tests=[{"in": {"a": "x"}, "out": {"a": "0"}}]),
        keys={"k": {"file": "/nowhere/key"}},
    )

    allowed = answer(config_map({"rules.yaml": rules}))

    assert isinstance(allowed, Allowed)
    assert ["not decided" in warning for warning in allowed.warnings] == [True]


@pytest.mark.parametrize(
    "wanted",
    [config_map(), config_map({"notes.txt": "x"}), config_map(binaryData={"r.yaml": "/w=="}, data={"a.yaml": GOOD})],
    ids=["empty", "no rule file", "binary"],
)
def test_config_map_without_rules_that_can_be_read_is_refused(wanted: Json) -> None:
    assert isinstance(answer(wanted), Refused)


def test_change_that_masks_less_is_refused_unless_the_rules_allow_that_step() -> None:
    weaker = ruleset(rule("r", "t", {"$.ssn": {"partial": {"keepLast": 4}}}))
    old = config_map({"rules.yaml": GOOD})

    refused = answer(config_map({"rules.yaml": weaker}), old, "UPDATE")
    assert isinstance(refused, Refused)
    digest = next(line for line in refused.message.split('"') if len(line) == 64)
    permitted = json.loads(weaker)
    permitted["metadata"]["allowWeaker"] = {"from": digest, "reason": "the fraud team needs the last four"}
    allowed = answer(config_map({"rules.yaml": json.dumps(permitted)}), old, "UPDATE")

    assert "masks less" in refused.message
    assert isinstance(allowed, Allowed)
    assert ["allowed by allowWeaker" in warning for warning in allowed.warnings] == [True]


def test_change_that_masks_more_is_taken() -> None:
    before = ruleset(rule("r", "t", {"$.ssn": {"partial": {"keepLast": 4}}}))

    assert answer(config_map({"rules.yaml": GOOD}), config_map({"rules.yaml": before}), "UPDATE") == Allowed()


def test_label_cannot_be_taken_off() -> None:
    assert isinstance(answer(config_map({"r.yaml": "["}, labelled=False), config_map(), "UPDATE"), Refused)


def test_deletion_and_other_config_maps_pass() -> None:
    assert answer({}, config_map(), "DELETE") == Allowed()
    assert answer(config_map({"r.yaml": "["}, labelled=False)) == Allowed()
