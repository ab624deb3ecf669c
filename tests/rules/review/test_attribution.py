from __future__ import annotations

import json

import pytest

from wiremask.rules import compile_ruleset
from wiremask.rules.outcome import Detail
from wiremask.rules.review.attribution import ValueUnreadable, attribute

HEAD = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nrules:\n"


def decided(fields: str, value: str, form: str = "json") -> dict[str, str]:
    rule = f"  - {{name: r, topics: [t], at: [produce], value: {{format: {form}, fields: [{fields}]}}}}\n"
    rules = compile_ruleset({"r.yaml": HEAD + rule}, None).rules
    return {one.path: one.field.text for one in attribute(rules, value.encode(), json_depth=8)}


@pytest.mark.parametrize(
    ("fields", "value", "found"),
    [
        ("{path: $.a, mask: redact}", '{"a": "x", "b": 1}', {"$.a": "$.a"}),
        ("{path: $.a, mask: redact}", '{"a": [1, {"c d": true}]}', {"$.a[0]": "$.a", '$.a[1]["c d"]': "$.a"}),
        (
            "{path: $.a.b, mask: keep}, {path: $.a, mask: redact}",
            '{"a": {"b": 1, "c": 2}}',
            {"$.a.b": "$.a.b", "$.a.c": "$.a"},
        ),
        ("{path: $.a.b, mask: keep}, {path: $.a, mask: drop}", '{"a": {"b": 1, "c": 2}}', {"$.a": "$.a"}),
        ("{path: $.a, mask: {partial: {keepLast: 4}}}", '{"a": 17}', {"$.a": "$.a"}),
        ("{path: $.a, mask: redact}", '{"a": null}', {}),
        ("{path: $.a, mask: redact}", '{"a": 1, "a": 2}', {"$.a": "$.a"}),
        ("{path: $.a, mask: redact}", '{"b": 1}', {}),
        ("{path: $, mask: redact}", "1", {"$": "$"}),
    ],
)
def test_tells_which_field_decides_each_leaf(fields: str, value: str, found: dict[str, str]) -> None:
    assert decided(fields, value) == found


EMBEDDED = (
    "{path: $.a, embedded: json, fields: [{path: $.b, mask: redact}, {detect: [email], mask: redact}, "
    "{path: $.c, embedded: base64-json, fields: [{path: '$[0]', mask: {truncate: 1}}], unlisted: nullify}]}, "
    "{path: $.d, mask: keep, onMissing: reject}"
)


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ({"b": {"x": 1}, "e": "to ada@example.com"}, {"$.a: $.b.x": "$.b", "$.a: $.e": "detect: email"}),
        ({"c": "WyJ4Il0="}, {"$.a: $.c: $[0]": "$[0]"}),
        ({"c": "W1syXSwxXQ"}, {"$.a: $.c: $[0][0]": "$[0]", "$.a: $.c: $[1]": "unlisted"}),
        ({"c": "IngiCg=="}, {"$.a: $.c: $": "unlisted"}),
        ({"c": "no base64"}, {}),
        ("b", {}),
    ],
    ids=["json", "base64", "unlisted", "text in base64", "no document", "text"],
)
def test_tells_which_field_decides_in_embedded_documents(document: object, found: dict[str, str]) -> None:
    assert decided(EMBEDDED, json.dumps({"a": json.dumps(document)})) == found


@pytest.mark.parametrize("form", ["text", "auto"])
def test_tells_which_field_decides_a_text(form: str) -> None:
    assert decided("{path: $, mask: redact}", "no JSON", form) == {"$": "$"}


def test_an_unreadable_value_is_told_without_its_content() -> None:
    with pytest.raises(ValueUnreadable) as unreadable:
        decided("{path: $.a, mask: redact}", '{"a": "canary')

    assert unreadable.value.detail == Detail.UNEXPECTED_END
    assert "canary" not in str(unreadable.value)
