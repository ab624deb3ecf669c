"""Rules with a condition on the client: who is masked how, and that not knowing falls on the safe side, field by field."""

from __future__ import annotations

from array import array
from concurrent.futures import ThreadPoolExecutor

import pytest

from wiremask.rules import Client, ClientPlan, Direction, Plan, compile_ruleset, plan

START = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"
VALUE = b'{"a":"secret","b":"open"}'
KEPT, MASKED = VALUE, b'{"a":"[redacted]","b":"open"}'

ALICE, BOB = Client(principal="User:alice", client_id="a"), Client(principal="User:bob", client_id="b")
STRANGER = Client(principal=None, client_id="s")


def rule(
    name: str, fields: str, when: str | None = None, *, topics: str = "['*']", at: str = "fetch", more: str = ""
) -> str:
    condition = "" if when is None else f", when: {{client: '{when}'}}"
    return f"  - {{name: {name}, topics: {topics}, at: [{at}]{condition}, value: {{fields: [{fields}]}}{more}}}\n"


def compiled(*rules: str) -> Plan:
    return compile_ruleset({"r": START + "".join(rules)}, lambda _: "")


def seen(plan: ClientPlan, topic: str = "t", at: Direction = "fetch", value: bytes = VALUE) -> bytes:
    program = plan.match(topic, at)
    if program is None:
        return value
    outcome = program.mask(value, array("i", (0, len(value))))
    start, length = outcome.spans
    return value if start < 0 else outcome.values[start : start + length]


MASK_A, KEEP_A = "{path: $.a, mask: redact}", "{path: $.a, mask: keep}"


def test_a_mask_acts_on_those_whom_its_condition_names_and_on_strangers() -> None:
    snapshot = compiled(rule("r", MASK_A, 'principal == "User:bob"'))

    assert seen(snapshot.for_client(ALICE)) == KEPT
    assert seen(snapshot.for_client(BOB)) == MASKED
    assert seen(snapshot.for_client(STRANGER)) == MASKED
    assert seen(snapshot) == MASKED


def test_an_exemption_serves_those_whom_its_condition_names_and_no_stranger() -> None:
    snapshot = compiled(rule("exempt", KEEP_A, 'principal == "User:bob"'), rule("mask", MASK_A))

    assert seen(snapshot.for_client(ALICE)) == MASKED
    assert seen(snapshot.for_client(BOB)) == KEPT
    assert seen(snapshot.for_client(STRANGER)) == MASKED
    assert seen(snapshot) == MASKED


def test_one_rule_that_keeps_and_masks_is_split_for_a_stranger() -> None:
    fields = "{path: $.a, mask: keep}, {path: $.b, mask: redact}"
    snapshot = compiled(rule("both", fields, 'principal == "User:bob"'), rule("all", "{path: $, mask: nullify}"))

    assert seen(snapshot.for_client(BOB)) == b'{"a":"secret","b":"[redacted]"}'
    assert seen(snapshot.for_client(ALICE)) == b'{"a":null,"b":null}'
    assert seen(snapshot.for_client(STRANGER)) == b'{"a":null,"b":"[redacted]"}'


def test_a_rule_that_only_keeps_leaves_a_stranger_with_no_program() -> None:
    snapshot = compiled(rule("keep", KEEP_A, 'principal == "User:bob"'))

    assert snapshot.for_client(STRANGER).match("t", "fetch") is None
    assert snapshot.for_client(BOB).match("t", "fetch") is not None


def test_the_name_of_the_rule_stays_with_its_masking_fields() -> None:
    fields = "{path: $.b, mask: keep}, {path: $.a, mask: {partial: {}}}"
    snapshot = compiled(rule("both", fields, 'principal == "User:bob"', at="produce"))
    program = snapshot.for_client(STRANGER).match("t", "produce")

    assert program is not None
    outcome = program.mask(b'{"a":1}', array("i", (0, 7)))

    assert [program.rules[failure.rule].name for failure in outcome.failures] == ["both"]


@pytest.mark.parametrize(
    "condition", ["int(topic) == 1", 'principal.matches("(")', 'timestamp(clientId) > timestamp("x")']
)
def test_a_condition_that_cannot_be_evaluated_is_on_the_safe_side(condition: str) -> None:
    masks = compiled(rule("r", MASK_A, condition))
    keeps = compiled(rule("k", KEEP_A, condition), rule("r", MASK_A))

    assert seen(masks.for_client(ALICE)) == MASKED
    assert seen(keeps.for_client(ALICE)) == MASKED


def test_a_value_that_does_not_matter_need_not_be_known() -> None:
    snapshot = compiled(rule("k", KEEP_A, 'topic == "t" || principal == "User:bob"'), rule("r", MASK_A))

    assert seen(snapshot.for_client(STRANGER), "t") == KEPT
    assert seen(snapshot.for_client(STRANGER), "u") == MASKED


def test_conditions_see_topic_client_id_and_listener() -> None:
    condition = 'topic.startsWith("pay") && clientId == "job" && listener == "inner"'
    snapshot = compiled(rule("k", KEEP_A, condition), rule("r", MASK_A))
    job = Client(principal="User:x", client_id="job", listener="inner")

    assert seen(snapshot.for_client(job), "pay") == KEPT
    assert seen(snapshot.for_client(job), "other") == MASKED
    assert seen(snapshot.for_client(Client(client_id="job", listener="outer")), "pay") == MASKED
    assert seen(snapshot.for_client(Client(client_id="job")), "pay") == MASKED
    assert seen(snapshot.for_client(Client(listener="inner")), "pay") == MASKED


def test_directions_are_decided_apart() -> None:
    snapshot = compiled(
        rule("out", MASK_A, 'principal == "User:bob"', at="fetch"),
        rule("in", MASK_A, 'principal == "User:alice"', at="produce"),
    )

    assert [seen(snapshot.for_client(ALICE), at=at) for at in ("fetch", "produce")] == [KEPT, MASKED]
    assert [seen(snapshot.for_client(BOB), at=at) for at in ("fetch", "produce")] == [MASKED, KEPT]


def test_a_ruleset_without_conditions_is_its_own_plan_for_everybody() -> None:
    snapshot = compiled(rule("r", MASK_A))

    assert snapshot.for_client(ALICE) is snapshot
    assert snapshot.for_client(STRANGER) is snapshot


def test_clients_for_whom_the_same_rules_act_share_a_program() -> None:
    snapshot = compiled(rule("r", MASK_A, 'principal != "User:alice"'), rule("s", "{path: $.b, mask: redact}"))

    bob, carol = (
        snapshot.for_client(Client(principal=f"User:{name}")).match("t", "fetch") for name in ("bob", "carol")
    )

    assert bob is carol
    assert bob is snapshot.for_client(STRANGER).match("u", "fetch")
    assert bob is not snapshot.for_client(ALICE).match("t", "fetch")


def test_a_condition_is_decided_once_for_a_client_and_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    from wiremask.rules.model.condition import Condition

    asked: list[tuple[str | None, str]] = []
    original = Condition.holds

    def holds(self: Condition, client: Client, topic: str) -> bool | None:
        asked.append((client.principal, topic))
        return original(self, client, topic)

    monkeypatch.setattr(Condition, "holds", holds)
    snapshot = compiled(
        rule("r", MASK_A, 'principal == "User:bob"'), rule("s", "{path: $.b, mask: redact}", topics="[other]")
    )
    asked.clear()

    for _ in range(3):
        for client_id in ("one", "two"):
            snapshot.for_client(Client(principal="User:bob", client_id=client_id)).match("t", "fetch")

    assert asked == [("User:bob", "t")]


def test_what_is_remembered_of_clients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "DECISIONS_REMEMBERED", 8)
    snapshot = compiled(rule("r", MASK_A, 'principal == "User:1" || clientId == "2"'))

    found = [
        seen(snapshot.for_client(Client(principal=f"User:{number % 3}", client_id=str(number % 5))), f"t{number}")
        for number in range(60)
    ]
    seen(snapshot.for_client(Client(principal="User:1", client_id="x" * 30_000)), "t")

    assert found == [MASKED if number % 3 == 1 or number % 5 == 2 else KEPT for number in range(60)]
    assert len(snapshot._decisions) == 8
    assert all(len(client.client_id or "") < 1024 for client, _, _ in snapshot._decisions)


def test_threads_decide_the_same() -> None:
    snapshot = compiled(rule("k", KEEP_A, 'principal == "User:1"'), rule("r", MASK_A, 'topic != "t2"'))

    def agrees(number: int) -> bool:
        found = seen(snapshot.for_client(Client(principal=f"User:{number % 4}")), f"t{number % 3}")
        return found == (KEPT if number % 4 == 1 or number % 3 == 2 else MASKED)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(agrees, range(3000)))


def test_a_rule_s_own_tests_run_as_if_its_condition_held() -> None:
    tests = ", tests: [{in: {a: x}, out: {a: '[redacted]'}}]"

    snapshot = compiled(rule("r", MASK_A, 'principal == "User:nobody"', more=tests))

    assert seen(snapshot.for_client(ALICE)) == KEPT


def test_rules_that_meet_where_conditions_hold_are_tried_at_load() -> None:
    from wiremask.rules import RuleSetInvalid

    many = [
        rule(
            f"r{number}",
            ", ".join(f"{{path: '$..a{number}..b{step}..c', mask: redact}}" for step in range(3)),
            f'principal == "{number}"',
        )
        for number in range(8)
    ]

    with pytest.raises(RuleSetInvalid, match="the paths of all rules for one of these topics multiply"):
        compiled(*(text.replace("'*'", "t") for text in many))
