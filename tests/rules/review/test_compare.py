"""Two rulesets compared: what is told, and that nothing is told to be safe that is not."""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import product
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import Client, Plan, Rule, compile_ruleset
from wiremask.rules.model.masks import Keep
from wiremask.rules.model.metadata import Metadata
from wiremask.rules.model.selector import read_path
from wiremask.rules.review.attribution import attribute
from wiremask.rules.review.compare import compare
from wiremask.rules.review.strength import at_least

if TYPE_CHECKING:
    from wiremask.rules import Direction, Field
    from wiremask.rules.model.rule import HeaderField

HEAD = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nkeys: {k: {env: K}, l: {env: L}}\nrules:\n"


def rule(fields: str, *, name: str = "r", topics: str = "[t]", at: str = "[fetch]", more: str = "") -> str:
    listed = ", ".join(
        f"{{path: {one.split(': ', 1)[0]}, mask: {one.split(': ', 1)[1]}}}" for one in fields.split("; ")
    )
    return f"  - {{name: {name}, topics: {topics}, at: {at}, {more}value: {{fields: [{listed}]}}}}\n"


def plan(*rules: str) -> Plan:
    return compile_ruleset({"r.yaml": HEAD + "".join(rules)}, None)


def changes(old: str, new: str) -> list[tuple[str, bool, str, str, str]]:
    return [(one.verdict, one.weaker, one.field, one.before, one.after) for one in compare(plan(old), plan(new))]


PAIRS = {
    "the same": ("$.a: redact", "$.a: redact", []),
    "another text": ("$.a: redact", "$.a: {redact: {text: x}}", [("otherwise", False, "redact", "redact")]),
    "stronger mask": ("$.a: redact", "$.a: drop", [("more", False, "redact", "drop")]),
    "weaker mask": ("$.a: redact", "$.a: {hash: {key: k}}", [("less", True, "redact", "hash")]),
    "neither": (
        "$.a: {partial: {keepLast: 4}}",
        "$.a: {partial: {keepFirst: 4}}",
        [("otherwise", True, "partial {keepLast: 4}", "partial {keepFirst: 4}")],
    ),
    "another key": ("$.a: {hash: {key: k}}", "$.a: {hash: {key: l}}", [("otherwise", True, "hash", "hash")]),
    "another domain": (
        "$.a: {hash: {key: k}}",
        "$.a: {hash: {key: k, domain: d}}",
        [("otherwise", True, "hash", "hash")],
    ),
    "exempted": ("$.a: redact", "$.a: keep", [("less", True, "redact", "keep")]),
    "masked": ("$.a: keep", "$.a: redact", [("more", False, "keep", "redact")]),
    "exempted within": ("$.a: redact", "$.a.b: keep; $.a: redact", [("less", True, "redact", "keep of $.a.b")]),
    "exempted within and taken whole": ("$.a: drop", "$.a.b: keep; $.a: drop", []),
    "exempted above and taken whole": ("$.a: drop", "$: keep; $.a: drop", [("less", True, "drop", "keep of $")]),
    "exempted before, in both": (
        "$.a.b: keep; $.a: redact",
        "$.a.b: keep; $.a: drop",
        [("more", False, "redact", "drop")],
    ),
    "exempted less": (
        "$.a: keep; $..a: redact; $.b: redact",
        "$.a.c: keep; $..a: redact; $.b: redact",
        [("more", False, "keep of $.a", "redact")],
    ),
    "no field": ("$.a: redact; $.b: redact", "$.a: redact", [("less", True, "redact", "nothing")]),
    "wider path": ("$.a.b: redact", "$.a: redact", [("more", False, "nothing", "redact")]),
    "wider by descent": ("$.a.b: redact", "$..b: redact", [("more", False, "nothing", "redact")]),
    "narrower path": ("$.a: redact", "$.a.b: redact", [("less", True, "redact", "nothing")]),
    "other order, no leaf in common": ("$.a: redact; $.b: nullify", "$.b: nullify; $.a: redact", []),
    "other order, a leaf in common": (
        "$.a.b: drop; $.a: redact",
        "$.a: redact; $.a.b: drop",
        [("less", True, "drop", "redact of $.a")],
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), PAIRS.values(), ids=PAIRS)
def test_tells_what_changes_of_a_field(old: str, new: str, told: list[tuple[str, bool, str, str]]) -> None:
    found = changes(rule(old), rule(new))

    assert [(verdict, weaker, before, after) for verdict, weaker, _, before, after in found] == told


SCOPES = {
    "topic gone": (rule("$.a: redact", topics="[t, u]"), rule("$.a: redact"), True),
    "topic within a glob": (rule("$.a: redact", topics="[t.x]"), rule("$.a: redact", topics='["t.*"]'), False),
    "glob within a glob": (rule("$.a: redact", topics='["t.x.*"]'), rule("$.a: redact", topics='["t.*"]'), False),
    "glob cut": (rule("$.a: redact", topics='["t.*"]'), rule("$.a: redact", topics='["t.x*"]'), True),
    "expression as written": (
        rule("$.a: redact", topics='["/t[.](a|b)/"]'),
        rule("$.a: nullify", topics='["/t[.](a|b)/"]'),
        False,
    ),
    "another expression": (
        rule("$.a: redact", topics='["/t[.](a|b)/"]'),
        rule("$.a: redact", topics='["/t[.](b|a)/"]'),
        True,
    ),
    "internal topic is not in a glob": (
        rule("$.a: redact", topics="[__t]"),
        rule("$.a: redact", topics='["*"]'),
        True,
    ),
    "new exception": (
        rule("$.a: redact", topics='["t*"]'),
        rule("$.a: redact", topics='["t*"]', more="exceptTopics: [tx], "),
        True,
    ),
    "exception elsewhere": (
        rule("$.a: redact", topics='["t*"]'),
        rule("$.a: redact", topics='["t*", "u*"]', more="exceptTopics: [ux], "),
        False,
    ),
    "exception gone": (
        rule("$.a: redact", topics='["t*"]', more="exceptTopics: [tx], "),
        rule("$.a: redact", topics='["t*"]'),
        False,
    ),
    "direction gone": (rule("$.a: redact", at="[produce, fetch]"), rule("$.a: redact", at="[fetch]"), True),
    "direction exchanged": (rule("$.a: redact", at="[fetch]"), rule("$.a: redact", at="[produce]"), True),
    "condition added": (
        rule("$.a: redact"),
        rule("$.a: redact", more="when: {client: 'topic == \"t\"'}, "),
        True,
    ),
    "condition gone": (
        rule("$.a: redact", more="when: {client: 'principal == \"t\"'}, "),
        rule("$.a: redact"),
        False,
    ),
    "another condition": (
        rule("$.a: redact", more="when: {client: 'principal == \"t\"'}, "),
        rule("$.a: redact", more="when: {client: '\"t\" == principal'}, "),
        True,
    ),
    "rule split by topics": (
        rule("$.a: redact", topics="[t, u]"),
        rule("$.a: redact") + rule("$.a: nullify", name="s", topics="[u]"),
        False,
    ),
    "rule renamed": (rule("$.a: redact"), rule("$.a: redact", name="s"), False),
    "exemption for some": (
        rule("$.a: redact"),
        rule("$.a: keep", name="s", more="when: {client: 'principal == \"t\"'}, ") + rule("$.a: redact"),
        True,
    ),
    "exemption for some, narrower": (
        rule("$.a: keep", name="s", more="when: {client: 'principal == \"t\"'}, ") + rule("$.a: redact"),
        rule("$.a.b: keep", name="s", more="when: {client: 'principal == \"t\"'}, ") + rule("$.a: redact"),
        False,
    ),
    "exemption from another topic": (
        rule("$.a: redact"),
        rule("$.a: keep", name="s", topics="[u]") + rule("$.a: redact"),
        False,
    ),
    "exemption instead of a mask for some": (
        rule("$.a: nullify", name="s", more="when: {client: 'principal == \"t\"'}, ") + rule("$.a: redact"),
        rule("$.a: keep", name="s", more="when: {client: 'principal == \"t\"'}, ") + rule("$.a: redact"),
        True,
    ),
}


DE, WEB = "{path: $.c, equals: DE}", "{header: h, equals: web}"


def on(*conditions: str) -> str:
    return f"when: {{record: [{', '.join(conditions)}]}}, "


def by(client: str) -> str:
    return f"when: {{client: 'principal == \"{client}\"'}}, "


RECORDS = {
    "condition added": (rule("$.a: redact"), rule("$.a: redact", more=on(DE)), ["redact in some records"]),
    "condition gone": (rule("$.a: redact", more=on(DE)), rule("$.a: redact"), []),
    "one of two gone": (rule("$.a: redact", more=on(DE, WEB)), rule("$.a: redact", more=on(WEB)), []),
    "one more": (rule("$.a: redact", more=on(DE)), rule("$.a: redact", more=on(DE, WEB)), ["redact in other records"]),
    "another order": (rule("$.a: redact", more=on(DE, WEB)), rule("$.a: redact", more=on(WEB, DE)), []),
    "another condition": (
        rule("$.a: redact", more=on(DE)),
        rule("$.a: redact", more=on(WEB)),
        ["redact in other records"],
    ),
    "stronger mask": (rule("$.a: redact", more=on(DE)), rule("$.a: nullify", more=on(DE)), []),
    "exemption": (
        rule("$.a: redact"),
        rule("$.a: keep", name="s", more=on(DE)) + rule("$.a: redact"),
        ["keep in some records"],
    ),
    "exemption from fewer": (
        rule("$.a: keep", name="s", more=on(DE)) + rule("$.a: redact"),
        rule("$.a: keep", name="s", more=on(DE, WEB)) + rule("$.a: redact"),
        [],
    ),
    "exemption from more": (
        rule("$.a: keep", name="s", more=on(DE, WEB)) + rule("$.a: redact"),
        rule("$.a: keep", name="s", more=on(DE)) + rule("$.a: redact"),
        ["keep in some records"],
    ),
    "weaker mask before, for all records now": (
        rule("$.a: {truncate: 3}", name="s", more=on(DE)) + rule("$.a: redact"),
        rule("$.a: {truncate: 3}", name="s") + rule("$.a: redact"),
        ["truncate {length: 3}"],
    ),
    "exemption instead of a mask": (
        rule("$.a: redact", name="s", more=on(DE)) + rule("$.a: nullify"),
        rule("$.a: keep", name="s", more=on(DE)) + rule("$.a: nullify"),
        ["keep"],
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), RECORDS.values(), ids=RECORDS)
def test_masks_less_where_it_acts_on_fewer_records(old: str, new: str, told: list[str]) -> None:
    assert [one.after for one in compare(plan(old), plan(new)) if one.weaker] == told


TOLD = {
    "topics": (
        rule("$.a: redact", topics='["t*"]'),
        rule("$.a: redact", topics='["tx*", u]', more="exceptTopics: [txy], "),
        "redact on tx*, u except txy",
    ),
    "some clients": (rule("$.a: redact"), rule("$.a: redact", more=by("a")), "redact for some clients"),
    "other clients": (rule("$.a: redact", more=by("a")), rule("$.a: redact", more=by("b")), "redact for other clients"),
    "all of it": (
        rule("$.a: redact", more=by("a").replace("}, ", f", record: [{DE}]}}, ")),
        rule("$.a: {truncate: 3}"),
        "truncate {length: 3} for all clients in all records",
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), TOLD.values(), ids=TOLD)
def test_tells_in_what_the_new_mask_is_about_something_else(old: str, new: str, told: str) -> None:
    assert [one.after for one in compare(plan(old), plan(new)) if one.weaker] == [told]


@pytest.mark.parametrize(("old", "new", "weaker"), SCOPES.values(), ids=SCOPES)
def test_masks_less_where_it_reaches_less(old: str, new: str, weaker: bool) -> None:
    assert any(one.weaker for one in compare(plan(old), plan(new))) is weaker


PARTS = {
    "the same": ("key: {fields: [{path: $.a, mask: redact}]}", "key: {fields: [{path: $.a, mask: redact}]}", []),
    "key masked less": (
        "key: {fields: [{path: $.a, mask: redact}]}",
        "key: {fields: [{path: $.a, mask: keep}]}",
        [("less", "key $.a", "redact", "keep")],
    ),
    "key instead of value": (
        "value: {fields: [{path: $.a, mask: redact}]}",
        "key: {fields: [{path: $.a, mask: redact}]}",
        [("less", "$.a", "redact", "nothing"), ("more", "key $.a", "nothing", "redact")],
    ),
    "header gone": (
        "headers: [{name: a, mask: redact}, {name: b, mask: redact}]",
        "headers: [{name: a, mask: redact}]",
        [("less", "header b", "redact", "nothing")],
    ),
    "header in a glob for all": (
        "headers: [{name: a, mask: redact}]",
        'headers: [{name: "*", mask: redact}]',
        [("more", "header *", "nothing", "redact")],
    ),
    "header in another glob is not proven": (
        "headers: [{name: ab, mask: redact}]",
        'headers: [{name: "a*", mask: redact}]',
        [("less", "header ab", "redact", "nothing"), ("more", "header a*", "nothing", "redact")],
    ),
    "header in any case": (
        "headers: [{name: A, mask: redact}]",
        "headers: [{name: a, mask: redact, ignoreCase: true}]",
        [("more", "header a", "nothing", "redact")],
    ),
    "header exempted by a glob": (
        "headers: [{name: ab, mask: redact}]",
        'headers: [{name: "a*", mask: keep}, {name: ab, mask: redact}]',
        [("less", "header ab", "redact", "keep of header a*")],
    ),
    "observed only": (
        "value: {fields: [{path: $.a, mask: redact}]}",
        "mode: observe, value: {fields: [{path: $.a, mask: redact}]}",
        [("less", "$.a", "redact", "nothing")],
    ),
    "enforced": (
        "mode: observe, value: {fields: [{path: $.a, mask: redact}]}",
        "value: {fields: [{path: $.a, mask: redact}]}",
        [("more", "$.a", "nothing", "redact")],
    ),
    "another format": (
        "value: {format: json, fields: [{path: $, mask: redact}]}",
        "value: {format: text, fields: [{path: $, mask: redact}]}",
        [("otherwise", "$", "redact", "redact as text")],
    ),
    "an allow-list less": (
        "value: {fields: [{path: $.a, mask: keep}], unlisted: redact}",
        "value: {fields: [{path: $.a, mask: keep}, {path: $.b, mask: keep}], unlisted: redact}",
        [("less", "unlisted", "redact", "keep of $.b")],
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), PARTS.values(), ids=PARTS)
def test_compares_all_parts_of_a_record(old: str, new: str, told: list[tuple[str, str, str, str]]) -> None:
    olds, news = (plan(f"  - {{name: r, topics: [t], at: [fetch], {one}}}\n") for one in (old, new))

    found = compare(olds, news)

    assert [(one.verdict, one.name, one.before, one.after) for one in found] == told


SEARCHED = {
    "where all of it was masked": (
        "{name: a, mask: redact}",
        "{name: a, detect: [card], mask: redact}",
        ("header a", "redact", "redact of header a detect: card"),
    ),
    "for something else": (
        "{name: a, detect: [card], mask: redact}",
        "{name: a, detect: [iban], mask: redact}",
        ("header a detect: card", "redact", "redact of header a detect: iban"),
    ),
    "before all headers are masked": (
        '{name: "*", mask: redact}',
        '{name: a, detect: [card], mask: redact}, {name: "*", mask: redact}',
        ("header *", "redact", "redact of header a detect: card"),
    ),
    "behind what masks all headers": (
        '{name: "*", mask: redact}',
        '{name: "*", mask: redact}, {name: a, detect: [card], mask: redact}',
        None,
    ),
    "no more, which is not proven": (
        "{name: a, detect: [card], mask: redact}",
        "{name: a, mask: redact}",
        ("header a detect: card", "redact", "redact of header a"),
    ),
}


@pytest.mark.parametrize(("old", "new", "told"), SEARCHED.values(), ids=SEARCHED)
def test_a_header_that_is_searched_is_not_what_one_that_is_masked_is(
    old: str, new: str, told: tuple[str, str, str] | None
) -> None:
    olds, news = (plan(f"  - {{name: r, topics: [t], at: [fetch], headers: [{one}]}}\n") for one in (old, new))

    weaker = [(one.name, one.before, one.after) for one in compare(olds, news) if one.weaker]

    assert weaker == ([] if told is None else [told])


def test_what_the_comparison_does_not_know_must_be_the_same() -> None:
    (known,) = plan(rule("$.a: redact")).rules

    @dataclass(frozen=True, slots=True, kw_only=True)
    class NewRule(Rule):
        novelty: str = ""

    def with_novelty(text: str) -> Plan:
        values = {one.name: getattr(known, one.name) for one in fields(known)}
        return Plan(metadata=Metadata(name="t"), digest="", rules=[NewRule(**values, novelty=text)], json_depth=64)

    assert compare(with_novelty("a"), with_novelty("a")) == ()
    assert {one.part for one in compare(with_novelty("a"), with_novelty("b")) if one.weaker} == {"value", "novelty"}
    assert {one.part for one in compare(with_novelty("a"), with_novelty("")) if one.weaker} == {"value", "novelty"}


def test_a_key_that_is_elsewhere_is_the_same_key() -> None:
    old = HEAD + rule("$.a: {hash: {key: k}}; $.b: {encrypt: {key: l}}", more="reversible: true, ")
    new = old.replace("k: {env: K}", "k: {active: b, versions: {a: {env: K}, b: {file: /k}}}")

    assert compare(compile_ruleset({"r": old}, None), compile_ruleset({"r": new}, None)) == ()


def test_an_object_is_not_taken_whole_where_another_act_comes_before_who_would() -> None:
    old = rule("$: nullify", topics='["*"]')
    new = rule("$.a: keep; $: nullify") + rule("$: {nullify: {whole: true}}", name="s", topics='["*"]')

    assert [(one.verdict, one.after) for one in compare(plan(old), plan(new)) if one.weaker] == [
        ("less", "keep of $.a on t")
    ]


def test_says_of_which_records_a_change_is() -> None:
    (change,) = compare(plan(rule("$.a: redact", more=on(DE))), plan(rule("$.b: redact")))[:1]

    assert (str(change), change.when) == (
        "$.a of t at fetch, in some records: redact -> nothing (rule r)",
        "in some records",
    )


def test_says_in_one_line_what_changes() -> None:
    (change,) = compare(
        plan(rule("$.a: redact", more="when: {client: 'principal == \"t\"'}, ")),
        plan(rule("$.a: keep", more="when: {client: 'principal == \"t\"'}, ")),
    )

    assert str(change) == '$.a of t at fetch, when principal == "t": redact -> keep (rule r)'


MASKS = [
    "keep",
    "drop",
    "nullify",
    "redact",
    "pattern",
    "{nullify:{whole:true}}",
    "{fixed:{value:x,whole:true}}",
    "{fixed:x}",
    "{partial:{keepLast:2}}",
    "{partial:{keepLast:4}}",
    "{hash:{key:k}}",
    "{hash:{key:l}}",
    "{truncate:3}",
]
PATHS = ["$", "$.a", "$.a.b", "$.a.*", "$..b", "$.*", "$['a','b']", "$.a[0]", "$..*", "$.b.c"]
RECORD = b'{"a":{"b":"s","c":["t",{"b":1}]},"b":{"c":"u","b":"v"},"c":"w"}'


@st.composite
def rulesets(draw: st.DrawFn) -> str:
    rules = []
    for number in range(draw(st.integers(1, 3))):
        paths = draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True))
        masks = [draw(st.sampled_from([one for one in MASKS if path != "$" or one != "drop"])) for path in paths]
        fields = "; ".join(f'"{path}": {mask.replace(":", ": ")}' for path, mask in zip(paths, masks, strict=True))
        topics = draw(st.sampled_from(["[t]", '["*"]', '["t*"]', "[t, u]"]))
        condition = draw(st.sampled_from(["", "", "when: {client: 'principal == \"a\"'}, "]))
        rules.append(rule(fields, name=f"r{number}", topics=topics, more=condition))
    return "".join(rules)


def decisions(found: Plan, topic: str, at: Direction, client: Client) -> dict[str, Field]:
    program = found.match(topic, at, client)
    if program is None:
        return {}
    return {one.path: one.field for one in attribute(program.rules, RECORD, json_depth=64)}


def decided(found: dict[str, Field], path: str) -> Field | None:
    """What decides a leaf: itself, or the object or array that it stands in and that is taken whole."""
    return next(
        (field for place, field in found.items() if path == place or path.startswith((place + ".", place + "["))), None
    )


@settings(max_examples=200, deadline=None)
@given(old=rulesets(), new=rulesets())
def test_what_is_told_to_be_no_weaker_masks_each_leaf_at_least_as_strongly(old: str, new: str) -> None:
    before, after = plan(old), plan(new)
    weaker = {(one.topics, one.field) for one in compare(before, after) if one.weaker}

    for client in (Client(), Client(principal="a"), Client(principal="b")):
        for topic in ("t", "u", "tx"):
            was, now = (decisions(one, topic, "fetch", client) for one in (before, after))
            for path in ("$.a.b", "$.a.c[0]", "$.a.c[1].b", "$.b.c", "$.b.b", "$.c"):
                field, other = decided(was, path), decided(now, path)
                if field is None or at_least(Keep() if other is None else other.mask, field.mask):
                    continue
                assert any(told == field.text for _, told in weaker), (topic, path, client)


@settings(max_examples=100, deadline=None)
@given(rulesets())
def test_a_ruleset_changes_nothing_over_itself(text: str) -> None:
    assert compare(plan(text), plan(text)) == ()


@st.composite
def header_rulesets(draw: st.DrawFn) -> str:
    rules = []
    for number in range(draw(st.integers(1, 3))):
        names = draw(st.lists(st.sampled_from(['"a"', '"ab"', '"a*"', '"*"']), min_size=1, max_size=3, unique=True))
        entries = []
        for name in names:
            mask = draw(st.sampled_from(["keep", "redact", "pattern", "{truncate: 3}"]))
            found = "" if mask == "keep" else draw(st.sampled_from(["", "", "detect: [email], ", "detect: [iban], "]))
            case = draw(st.sampled_from(["", "", "ignoreCase: true, "]))
            entries.append(f"{{name: {name}, {found}{case}mask: {mask}}}")
        more = draw(st.sampled_from(["", "", on(WEB), on(WEB, DE)]))
        rules.append(f"  - {{name: r{number}, topics: [t], at: [fetch], {more}headers: [{', '.join(entries)}]}}\n")
    return "".join(rules)


def deciding(found: Plan, name: str, states: dict[object, bool | None]) -> HeaderField | None:
    """The first entry for a header, in a record in which conditions are true, false or unknown."""
    for one in found.rules:
        holds = [states[condition.header or condition.path] for condition in one.record]
        for entry in one.headers:
            wanted = {True} if isinstance(entry.mask, Keep) else {True, None}
            if entry.matches(name) and set(holds) <= wanted:
                return entry
    return None


@settings(max_examples=200, deadline=None)
@given(old=header_rulesets(), new=header_rulesets())
def test_what_is_told_to_be_no_weaker_masks_each_header_at_least_as_strongly(old: str, new: str) -> None:
    before, after = plan(old), plan(new)
    if any(one.weaker for one in compare(before, after)):
        return

    for header, country in product((True, False, None), repeat=2):
        states: dict[object, bool | None] = {"h": header, read_path("$.c"): country}
        for name in ("a", "ab", "A", "c"):
            was, now = deciding(before, name, states), deciding(after, name, states)
            if was is None or isinstance(was.mask, Keep):
                continue
            assert now is not None
            assert now.detect in ((), was.detect)
            assert at_least(now.mask, was.mask)
