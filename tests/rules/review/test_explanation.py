from __future__ import annotations

import pytest

from wiremask.rules import Client, compile_ruleset
from wiremask.rules.review.explanation import explain

RULES = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: t}
rules:
  - {name: fraud, topics: ["t*"], at: [fetch], when: {client: 'principal == "User:f"'}, value: {fields: [{path: $.a, mask: keep}, {path: $.b, mask: redact}]}}
  - {name: job, topics: ["t*"], at: [fetch], when: {client: 'clientId == "j"'}, value: {fields: [{path: $.a, mask: keep}]}}
  - {name: stored, topics: ["t*"], at: [produce], value: {fields: [{path: $.a, mask: redact}]}}
  - {name: all, topics: ["t*", u], exceptTopics: ["tx*"], at: [fetch], value: {fields: [{path: $, mask: redact}]}}
  - {name: late, topics: [t], at: [fetch], value: {fields: [{path: $.c, mask: drop}]}}
  - {name: broken, topics: [t], at: [fetch], when: {client: 'int(topic) == 1'}, value: {fields: [{path: $, mask: {nullify: {whole: true}}}]}}
"""


def told(topic: str, client: Client) -> dict[str, tuple[str, str]]:
    plan = compile_ruleset({"r.yaml": RULES}, None)
    return {one.rule.name: (one.verdict, one.why) for one in explain(plan, topic, "fetch", client)}


def test_tells_of_each_rule_whether_it_acts_and_why_not() -> None:
    found = told("t", Client(principal="User:a"))

    assert found == {
        "fraud": ("does not act", "its condition is false"),
        "job": (
            "does not act",
            "its condition cannot be decided (clientId not known): what masks acts, what keeps does not",
        ),
        "stored": ("does not act", "it acts at produce only"),
        "all": ("acts", ""),
        "late": ("does not act", "all that it names is taken before it, by all"),
        "broken": ("does not act", "all that it names is taken before it, by all"),
    }


@pytest.mark.parametrize(
    ("topic", "client", "rule", "verdict", "why"),
    [
        ("t", Client(principal="User:f"), "fraud", "acts", "its condition is true"),
        ("t", Client(), "fraud", "acts in part", "(principal not known)"),
        ("tx", Client(), "all", "does not act", "exceptTopics tx* takes the topic from it"),
        ("v", Client(), "all", "does not act", "none of its topics is this one"),
    ],
)
def test_tells_what_a_rule_does_for_a_client_and_topic(
    topic: str, client: Client, rule: str, verdict: str, why: str
) -> None:
    found = told(topic, client)[rule]

    assert found[0] == verdict
    assert why in found[1]


@pytest.mark.parametrize("principal", [None, "User:f", "User:a"])
@pytest.mark.parametrize("topic", ["t", "tx", "u", "v"])
def test_the_rules_that_act_are_those_of_the_plan(topic: str, principal: str | None) -> None:
    client = Client(principal=principal)
    plan = compile_ruleset({"r.yaml": RULES}, None)

    program = plan.match(topic, "fetch", client)

    acting = [name for name, (verdict, why) in told(topic, client).items() if "act" in verdict and "taken" in why]
    acting += [name for name, (verdict, _) in told(topic, client).items() if verdict != "does not act"]
    assert sorted(acting) == sorted(() if program is None else [rule.name for rule in program.rules])
