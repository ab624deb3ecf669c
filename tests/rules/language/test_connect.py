"""What becomes of a Kafka Connect connector's transforms."""

from __future__ import annotations

import json
import re
from array import array
from pathlib import Path
from typing import Any

import pytest

from wiremask.rules import Plan, compile_ruleset
from wiremask.rules.language.connect import ConnectorInvalid, import_connector

README = (Path(__file__).parents[3] / "rules" / "README.md").read_text(encoding="utf-8")
PLAIN = {"value.converter": "org.JsonConverter", "value.converter.schemas.enable": "false"}
MASK = {"transforms": "m", "transforms.m.type": "x.MaskField$Value", "transforms.m.fields": "a,b"}
TRIM = {"transforms": "m", "transforms.m.type": "x.ReplaceField$Value"}


def matches(pattern: str, negate: str = "false") -> dict[str, str]:
    return {
        "transforms.m.predicate": "p",
        "transforms.m.negate": negate,
        "predicates.p.type": "x.TopicNameMatches",
        "predicates.p.pattern": pattern,
    }


def predicate(kind: str, negate: str = "false") -> dict[str, str]:
    return {"transforms.m.predicate": "p", "transforms.m.negate": negate, "predicates.p.type": f"x.{kind}"}


def imported(*parts: dict[str, str], topics: str = "t,u", **more: Any) -> tuple[Plan, tuple[str, ...]]:
    config = {"topics": topics, **PLAIN}
    for part in parts:
        config.update(part)
    found = import_connector({"name": "c", "config": config}, **more)
    return compile_ruleset({"r.yaml": found.text}, None), found.notes


def masked(plan: Plan, value: object, topic: str = "t", at: Any = "fetch") -> object:
    program = plan.match(topic, at)
    record = json.dumps(value).encode()
    if program is None:
        return value
    outcome = program.mask(record, array("i", (0, len(record))))
    start, length = outcome.spans
    return json.loads(record if start < 0 else outcome.values[start : start + length])


def test_the_example_of_the_readme_gives_what_it_says() -> None:
    connector = re.findall(r"^```json connector\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[0]
    ruleset = README.split("becomes\n\n```yaml ruleset\n")[1].split("```\n")[0]

    found = import_connector(json.loads(connector))

    assert found.text == ruleset
    assert found.notes == ()


@pytest.mark.parametrize(
    ("parts", "value", "expected"),
    [
        ([MASK], {"a": "x", "b": 1, "c": 2}, {"a": "", "b": 0, "c": 2}),
        ([MASK, {"transforms.m.replacement": "zz"}], {"a": "x", "b": 1}, {"a": "zz", "b": 0}),
        ([MASK, {"transforms.m.replacement": "7"}], {"a": "x", "b": 1}, {"a": "7", "b": 7}),
        ([TRIM, {"transforms.m.exclude": "a"}], {"a": 1, "b": 2}, {"b": 2}),
        ([TRIM, {"transforms.m.blacklist": "a"}], {"a": 1, "b": 2}, {"b": 2}),
        ([MASK, {"value.converter.schemas.enable": "true"}], {"payload": {"a": "x"}}, {"payload": {"a": ""}}),
        ([MASK, {"transforms.m.fields": 'a b,c"d'}], {"a b": "x", 'c"d': "y"}, {"a b": "", 'c"d': ""}),
        ([MASK, predicate("RecordIsTombstone", "true")], {"a": "x"}, {"a": ""}),
        (
            [
                {**MASK, "transforms": "m,n", "transforms.m.fields": "a"},
                {"transforms.n.type": "x.ReplaceField$Value", "transforms.n.exclude": "a"},
            ],
            {"a": "x"},
            {},
        ),
        (
            [
                {**MASK, "transforms": "m,n", "transforms.m.fields": "a", "transforms.m.replacement": "first"},
                {
                    "transforms.n.type": "x.MaskField$Value",
                    "transforms.n.fields": "a",
                    "transforms.n.replacement": "last",
                },
            ],
            {"a": "x"},
            {"a": "last"},
        ),
    ],
    ids=["mask", "replacement", "number", "exclude", "blacklist", "schema", "names", "tombstone", "both", "twice"],
)
def test_rules_do_what_the_transforms_do(parts: list[dict[str, str]], value: object, expected: object) -> None:
    plan, notes = imported(*parts)

    assert masked(plan, value) == expected
    assert notes == ()


@pytest.mark.parametrize(
    ("more", "topics"),
    [
        (matches("t|v"), {"t"}),
        (matches("t|v", "true"), {"u"}),
        (matches("[tu]"), {"t", "u"}),
    ],
    ids=["matching", "negated", "both"],
)
def test_a_predicate_on_the_topic_becomes_topics(more: dict[str, str], topics: set[str]) -> None:
    plan, notes = imported(MASK, more)

    assert {topic for topic in ("t", "u", "v") if plan.match(topic, "fetch") is not None} == topics
    assert notes == ()


@pytest.mark.parametrize(
    ("config", "topic", "at"),
    [
        ({"topics": "t"}, "t", "fetch"),
        ({"topics.regex": "t[0-9]"}, "t1", "fetch"),
        ({"topic": "t"}, "t", "produce"),
        ({"topic.prefix": "db."}, "db.orders", "produce"),
    ],
    ids=["sink", "sink by expression", "source", "source by prefix"],
)
def test_topics_and_direction_are_those_of_the_connector(config: dict[str, str], topic: str, at: Any) -> None:
    found = import_connector({**config, **PLAIN, **MASK})

    plan = compile_ruleset({"r.yaml": found.text}, None)

    assert plan.match(topic, at) is not None
    assert [sorted(rule.at) for rule in plan.rules] == [[at]]


def test_a_list_of_included_fields_becomes_an_allow_list() -> None:
    plan, notes = imported(TRIM, {"transforms.m.include": "a"})

    assert masked(plan, {"a": "x", "b": {"c": 1}}) == {"a": "x", "b": {"c": None}}
    assert "makes that null instead" in notes[0]


def test_a_transform_of_keys_becomes_a_rule_for_keys() -> None:
    plan, notes = imported(
        MASK,
        {
            "transforms.m.type": "x.MaskField$Key",
            "key.converter": "x.JsonConverter",
            "key.converter.schemas.enable": "false",
        },
    )

    assert plan.rules[0].key is not None
    assert plan.rules[0].fields == ()
    assert notes == ()


def test_transforms_of_like_names_become_rules_of_different_names() -> None:
    names = ["a b", "a-b", "a.b"]
    parts = {
        f"transforms.{name}.{key}": value
        for name in names
        for key, value in {"type": "x.MaskField$Value", "fields": name}.items()
    }

    plan, _ = imported({"transforms": ",".join(names), **parts})

    assert [rule.name for rule in plan.rules] == ["a.b-mask", "a-b-mask", "a-b-mask-2"]


def test_what_stands_twice_counts_once() -> None:
    plan, notes = imported(MASK, {"transforms.m.fields": "a,b,a"}, topics="t,t")

    assert [field.text for field in plan.rules[0].fields] == ['$["a"]', '$["b"]']
    assert notes == ()


LACKING = {
    "replacement that is long": ([MASK, {"transforms.m.replacement": "x" * 1025}], "is longer than 1024 characters"),
    "other transform": (
        [{**MASK, "transforms": "x,m", "transforms.x.type": "x.TimestampConverter$Value"}],
        "is no mask",
    ),
    "other transform before": (
        [{**MASK, "transforms": "x,m", "transforms.x.type": "x.Flatten$Value"}],
        "transform x stands before m and may give fields other names",
    ),
    "renames": ([TRIM, {"transforms.m.renames": "a:b", "transforms.m.exclude": "c"}], "renames fields"),
    "header predicate": ([MASK, predicate("HasHeaderKey")], "(HasHeaderKey) is not a rule's; the rule masks all"),
    "unknown predicate": ([MASK, {"transforms.m.predicate": "q"}], "(unknown) is not a rule's"),
    "look-ahead": ([MASK, matches("(?!t).*")], "is none that rules can have"),
    "two patterns": ([MASK, matches("t.*"), {"topics.regex": "[tu]"}], "two patterns at once"),
}


@pytest.mark.parametrize(("parts", "note"), LACKING.values(), ids=LACKING)
def test_what_cannot_be_carried_over_is_told_and_masks_more_rather_than_less(
    parts: list[dict[str, str]], note: str
) -> None:
    plan, notes = imported(*parts)

    assert any(note in line for line in notes)
    assert plan.match("t", "fetch") is not None


@pytest.mark.parametrize(
    ("parts", "note"),
    [
        ([MASK, {"value.converter": "io.confluent.connect.avro.AvroConverter"}], "is not JSON"),
        ([MASK, predicate("RecordIsTombstone")], "acts on tombstones only"),
        ([MASK, matches("v")], "matches none of the topics"),
        ([MASK, {"transforms.m.fields": " , "}], "transform m names no fields"),
        ([{"transforms": ""}], "no transform became a rule"),
    ],
    ids=["avro", "tombstones", "no topic", "no fields", "none"],
)
def test_no_rule_comes_of_what_has_none(parts: list[dict[str, str]], note: str) -> None:
    config = {"topics": "t,u", **PLAIN}
    for part in parts:
        config.update(part)

    found = import_connector(config)

    assert found.text == ""
    assert any(note in line for line in found.notes)


def test_topics_can_be_given() -> None:
    found = import_connector({**PLAIN, **MASK}, ["x"])

    assert compile_ruleset({"r.yaml": found.text}, None).match("x", "produce") is not None


def test_a_converter_that_is_not_named_is_told() -> None:
    found = import_connector({"topics": "t", **MASK})

    assert "names no value.converter" in found.notes[0]


@pytest.mark.parametrize("document", [None, [], {}, {"config": 1}, {"config": {"topics": ["t"]}}, {"transforms": "m"}])
def test_refuses_what_is_no_connector(document: object) -> None:
    with pytest.raises(ConnectorInvalid):
        import_connector(document)
