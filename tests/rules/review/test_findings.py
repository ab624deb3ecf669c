from __future__ import annotations

import pytest

from wiremask.rules import compile_ruleset
from wiremask.rules.review.findings import Finding, find

HEAD = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"
LATER = "  - {name: late, topics: [t], at: [fetch], value: {fields: [{path: $.a, mask: redact}]}}\n"


def found(*rules: str) -> list[Finding]:
    text = HEAD + "".join(f"  - {rule}\n" if not rule.startswith("  ") else rule for rule in rules)
    return list(find(compile_ruleset({"r.yaml": text}, None)))


def first(fields: str, *, topics: str = "[t]", at: str = "[fetch]", more: str = "") -> str:
    return f"{{name: early, topics: {topics}, at: {at}, {more}value: {{fields: [{fields}]}}}}"


CONDITION = "when: {client: 'principal == \"a\"'}, "
TAKEN = {
    "same path": first("{path: $.a, mask: keep}"),
    "what it stands in": first("{path: $, mask: redact}"),
    "any depth": first("{path: $..a, mask: redact}"),
    "a list that holds it": first("{path: \"$['b','a']\", mask: redact}"),
    "more topics": first("{path: $.a, mask: keep}", topics='["*"]'),
    "exceptions elsewhere": first("{path: $.a, mask: keep}", topics='["*"]', more="exceptTopics: [u], "),
    "both directions": first("{path: $.a, mask: keep}", at="[produce, fetch]"),
}
NOT_TAKEN = {
    "other path": first("{path: $.b, mask: keep}"),
    "narrower path": first("{path: $.a.b, mask: keep}"),
    "other topic": first("{path: $.a, mask: keep}", topics="[u]"),
    "expression": first("{path: $.a, mask: keep}", topics='["/u|v/"]'),
    "exception": first("{path: $.a, mask: keep}", topics='["*"]', more="exceptTopics: [t], "),
    "other direction": first("{path: $.a, mask: keep}", at="[produce]"),
    "condition": first("{path: $.a, mask: keep}", more=CONDITION),
}


@pytest.mark.parametrize("rule", TAKEN.values(), ids=TAKEN)
def test_warns_of_a_rule_from_which_others_take_everything(rule: str) -> None:
    (finding,) = found(rule, LATER)

    assert (finding.kind, finding.code, finding.rule, finding.line) == ("warning", "unreachable", "late", 6)
    assert "rule late never acts" in finding.message
    assert "of rule early" in finding.message


@pytest.mark.parametrize("rule", NOT_TAKEN.values(), ids=NOT_TAKEN)
def test_does_not_warn_where_something_is_left(rule: str) -> None:
    assert [finding for finding in found(rule, LATER) if finding.kind == "warning"] == []


def test_warns_of_the_one_field_of_a_rule_that_is_never_used() -> None:
    (finding,) = found(first("{path: $.a, mask: redact}, {path: $.a.b, mask: keep}, {path: $.c, mask: redact}"))

    assert (finding.code, finding.line, finding.column) == ("unreachable", 5, 96)
    assert finding.message.startswith("$.a.b of rule early is never used: $.a in line 5 takes all of it")


def test_who_takes_an_object_whole_takes_it_from_those_before_it_too() -> None:
    (finding,) = found(first("{path: $.a.b, mask: keep}, {path: $.a, mask: drop}"))

    assert finding.message.startswith("$.a.b of rule early is never used: $.a in line 5 takes all of it")


def test_who_is_kept_from_taking_an_object_whole_takes_nothing() -> None:
    found_fields = [
        one.message.split(" of rule")[0]
        for one in found(first("{path: $.a.b, mask: keep}, {path: $.a, mask: redact}, {path: $.a.c, mask: drop}"))
    ]

    assert found_fields == ["$.a.c"]


def test_a_rule_of_two_topics_is_used_if_one_of_them_is_left() -> None:
    assert [one.kind for one in found(first("{path: $.a, mask: keep}"), LATER.replace("[t]", "[t, u]"))] == []


@pytest.mark.parametrize("more", ["exceptTopics: [t], ", 'exceptTopics: ["*"], ', 'exceptTopics: ["t*"], '])
def test_warns_of_a_rule_without_a_topic_left(more: str) -> None:
    (finding,) = found(first("{path: $.a, mask: redact}", more=more))

    assert (finding.code, finding.rule) == ("never", "early")
    assert "`exceptTopics` takes all of its topics" in finding.message


def test_warns_of_a_topic_pattern_of_which_nothing_is_left() -> None:
    (finding,) = found(first("{path: $.a, mask: redact}", topics='[u, "t.*"]', more='exceptTopics: ["t*"], '))

    assert (finding.code, finding.message.count("t.*")) == ("never", 1)


def test_notes_which_rule_wins_where_two_overlap() -> None:
    (finding,) = found(first("{path: $.a, mask: keep}", topics='["t*"]', more=CONDITION), LATER)

    assert (finding.kind, finding.code, finding.rule) == ("note", "overlap", "late")
    assert finding.message == ("rule early goes before rule late at fetch: on t, $.a wins where $.a names the same")


def test_nothing_is_found_where_two_rules_do_the_same() -> None:
    assert found(first("{path: $.a, mask: redact}", more=CONDITION), LATER) == []


@pytest.mark.parametrize(
    ("key", "at", "words", "others"),
    [
        ("{hash: {key: pii}}", "produce", ["compaction goes by these"], ["become one", "two forms"]),
        ("redact", "produce", ["compaction goes by these", "several keys become one"], ["two forms"]),
        ("[{truncate: 4}, {hash: {key: pii}}]", "produce", ["several keys become one"], ["two forms"]),
        ("redact", "fetch", ["masks keys at fetch"], ["compaction goes by", "become one"]),
    ],
    ids=["hash", "redact", "list", "fetch"],
)
def test_warns_of_masked_keys(key: str, at: str, words: list[str], others: list[str]) -> None:
    (finding,) = found(
        f"{{name: r, topics: [t], at: [{at}], key: {{format: text, fields: [{{path: $, mask: {key}}}]}}}}\n"
        "keys: {pii: {env: PII}}"
    )

    assert (finding.kind, finding.code, finding.rule) == ("warning", "key", "r")
    assert all(word in finding.message for word in words)
    assert not any(word in finding.message for word in others)


def test_warns_of_keys_masked_for_some_clients_and_not_of_those_that_are_kept() -> None:
    key = "key: {format: text, fields: [{path: $, mask: %s}]}"

    (masked,) = found("{name: r, topics: [t], at: [produce], " + CONDITION + key % "redact" + "}")

    assert "one key has two forms" in masked.message
    assert found("{name: r, topics: [t], at: [produce], " + key % "keep" + "}") == []


def test_notes_rules_that_observe_only() -> None:
    (finding,) = found(
        "{name: r, topics: [t], at: [fetch], mode: observe, value: {fields: [{path: $.a, mask: redact}]}}"
    )

    assert (finding.kind, finding.code, finding.message) == (
        "note", "observe", "rule r observes only: it changes nothing yet"
    )  # fmt: skip
