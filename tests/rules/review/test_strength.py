"""The order of strength: what README publishes, and that it holds on values."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules import compile_ruleset
from wiremask.rules.language.maskwords import MASKS
from wiremask.rules.model.masks import IpScramble, Mask
from wiremask.rules.review.strength import (
    ARGUMENTS,
    OTHERS,
    STRONGER,
    TOGETHER,
    argument_name,
    at_least,
    describe,
    word_of,
)

README = (Path(__file__).parents[3] / "rules" / "README.md").read_text(encoding="utf-8")
HEAD = "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: t}\nkeys: {k: {env: K}, l: {env: L}}\nrules:\n"


def mask(text: str) -> Mask:
    field = f"{{path: $.v, mask: {text}}}"
    rule = f"  - {{name: r, topics: [t], at: [fetch], reversible: true, value: {{fields: [{field}]}}}}\n"
    return compile_ruleset({"r.yaml": HEAD + rule}, None).rules[0].fields[0].mask


def published_row(kind: type) -> str:
    """How README tells the arguments of one mask."""
    says: defaultdict[str, list[str]] = defaultdict(list)
    for attribute, holds in ARGUMENTS.get(kind, {}).items():
        if attribute not in {"path", "literal"}:
            says[holds.says].append(argument_name(attribute))
    cells = [f"{', '.join(f'`{name}`' for name in names)} {how}" for how, names in says.items()]
    if kind in TOGETHER:
        names, holds = TOGETHER[kind]
        cells.insert(0, f"{', '.join(f'`{argument_name(name)}`' for name in names)}: {holds.says}")
    word = "`ip` with a key" if kind is IpScramble else f"`{kind.__name__.lower()}`"
    return f"| {word} | {'; '.join(cells) or 'all the same'} |"


@pytest.mark.parametrize(
    "kind", [*ARGUMENTS, *(kind for kind in TOGETHER if kind not in ARGUMENTS)], ids=lambda kind: kind.__name__
)
def test_readme_publishes_the_table_of_arguments(kind: type) -> None:
    assert published_row(kind) in README


def test_readme_publishes_the_order_of_the_masks_that_keep_nothing() -> None:
    table = README.split("| mask | what shows |\n")[1].split("\n\n")[0]
    rows = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[1:]]
    kinds = [row.replace("`", "").replace(" with whole: true", " whole").replace("all others", OTHERS) for row in rows]

    assert set(kinds) == {*STRONGER, *(below for ones in STRONGER.values() for below in ones)}
    assert all(kinds.index(below) > kinds.index(one) for one, ones in STRONGER.items() for below in ones)


def test_every_mask_is_in_the_tables_or_has_no_arguments() -> None:
    without = {kind.__name__ for kind in get_args(Mask)} - {kind.__name__ for kind in (*ARGUMENTS, *TOGETHER)}

    assert without == {"Keep", "Drop", "Chain"}


PAIRS = [
    ("drop", "{nullify: {whole: true}}"),
    ("drop", "keep"),
    ("{nullify: {whole: true}}", "nullify"),
    ("{nullify: {whole: true}}", "{fixed: {value: x, whole: true}}"),
    ("nullify", "{fixed: x}"),
    ("{fixed: x}", "redact"),
    ("redact", "{hash: {key: k}}"),
    ("redact", "[{truncate: 4}, pattern]"),
    ("pattern", "keep"),
    ("{partial: {keepLast: 3}}", "{partial: {keepLast: 4}}"),
    ("{partial: {keepLast: 4, fixedLength: 3}}", "{partial: {keepLast: 4}}"),
    ("{partial: {keepLast: 4}}", "{partial: {keepLast: 4, as: string}}"),
    ("{partial: {hideLast: 4}}", "{partial: {hideLast: 3}}"),
    ("partial", "{partial: {hideLast: 3}}"),
    ("{partial: {hideFirst: 1, hideLast: 4}}", "{partial: {hideLast: 4}}"),
    ("{truncate: 3}", "{truncate: 4}"),
    ("{email: {local: redact}}", "{email: {local: pattern}}"),
    ("{hash: {key: k, length: 16}}", "{hash: {key: k}}"),
    ("{hash: {key: k, length: 16}}", "{hash: {key: k, encoding: base64url, length: 11}}"),
    ("{token: {key: k}}", "{token: {key: k, keepLast: 4}}"),
    ("{fpe: {key: k}}", "{fpe: {key: k, keepFirst: 6}}"),
    ("{encrypt: {key: k}}", "{encrypt: {key: k, deterministic: true}}"),
    ("{bucket: {size: 20}}", "{bucket: {size: 10}}"),
    ("{bucket: {size: 10, highest: 50}}", "{bucket: {size: 10, highest: 90}}"),
    ("{bucket: {size: 10, lowest: 20}}", "{bucket: {size: 10}}"),
    ("{round: 30}", "{round: 10}"),
    ("{round: {to: 20, direction: down}}", "{round: {to: 10, direction: down}}"),
    ("{range: {bounds: [0, 30]}}", "{range: {bounds: [0, 18, 30]}}"),
    ("{range: {bounds: [18, 30]}}", "{range: {bounds: [18, 30], labels: [a, b, c]}}"),
    ("{noise: {key: k, within: 10, step: 1}}", "{noise: {key: k, within: 5, step: 1}}"),
    ("{date: year}", "{date: month}"),
    ("{date: month}", "{date: {to: month, numbers: seconds}}"),
    ("{age: {top: 80}}", "age"),
    ('{zip3: {restricted: ["021", "036"]}}', '{zip3: {restricted: ["021"]}}'),
    ("{ip: {v4: 16}}", "ip"),
    ("[{truncate: 4}, pattern]", "{truncate: 4}"),
    ("[{truncate: 3}, pattern]", "{truncate: 4}"),
    ("[{truncate: 4}, pattern, {hash: {key: k}}]", "[{truncate: 4}, pattern]"),
]


@pytest.mark.parametrize(("strong", "weak"), PAIRS, ids=[f"{strong} over {weak}" for strong, weak in PAIRS])
def test_one_mask_is_stronger_and_the_other_is_not(strong: str, weak: str) -> None:
    assert at_least(mask(strong), mask(weak))
    if (strong, weak) != ("{hash: {key: k, length: 16}}", "{hash: {key: k, encoding: base64url, length: 11}}"):
        assert not at_least(mask(weak), mask(strong))


INCOMPARABLE = [
    ("{hash: {key: k}}", "{hash: {key: l}}"),
    ("{hash: {key: k, domain: a}}", "{hash: {key: k, domain: b}}"),
    ("{hash: {key: k}}", "{token: {key: k}}"),
    ("{partial: {keepLast: 4}}", "{partial: {keepFirst: 4}}"),
    ("{partial: {hideLast: 4}}", "{partial: {hideFirst: 4}}"),
    ("{partial: {hideLast: 4}}", "{partial: {keepFirst: 4}}"),
    ("{partial: {separators: a}}".replace("a}", '"-"}'), "partial"),
    ("{round: 20}", "{round: 10}"),
    ("{bucket: {size: 15}}", "{bucket: {size: 10}}"),
    ("{bucket: {size: 20, start: 5}}", "{bucket: {size: 10}}"),
    ("ip", "{ip: {key: k}}"),
    ("{range: {bounds: [0, 20]}}", "{range: {bounds: [0, 18, 30]}}"),
    ("{fixed: {value: x, whole: true}}", "nullify"),
    ("[pattern, {truncate: 4}]", "[{truncate: 4}, pattern]"),
]


@pytest.mark.parametrize(("one", "other"), INCOMPARABLE, ids=[" and ".join(pair) for pair in INCOMPARABLE])
def test_of_two_masks_none_is_known_to_be_stronger(one: str, other: str) -> None:
    assert not at_least(mask(one), mask(other))
    assert not at_least(mask(other), mask(one)) or "round" in one


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{partial: {hideFirst: 4}}", "partial {hideFirst: 4}"),
        ("{partial: {keepLast: 4, as: string, char: X}}", "partial {keepLast: 4, as: string}"),
        ("{hash: {key: k, domain: secret, encoding: crockford, length: 20}}", "hash {encoding: crockford, length: 20}"),
        ("{fixed: secret}", "fixed"),
        ("[{truncate: 4}, pattern]", "[truncate {length: 4}, pattern]"),
        ("{ip: {key: k}}", "ip"),
        ("{bucket: {size: 2.50}}", "bucket {size: 2.50}"),
        ("{date: {to: month, numbers: seconds}}", "date {to: month, numbers: seconds}"),
    ],
)
def test_describes_a_mask_without_texts_of_the_author(text: str, told: str) -> None:
    assert describe(mask(text)) == told


def test_every_mask_is_called_by_its_word() -> None:
    assert {word_of(mask(text)) for pair in PAIRS for text in pair} - {"list"} <= set(MASKS)


NUMBERS = [text for text in {text for pair in PAIRS for text in pair} if text[1:6] in {"bucke", "round", "range"}]


@settings(max_examples=150, deadline=None)
@given(
    strong=st.sampled_from(NUMBERS),
    weak=st.sampled_from(NUMBERS),
    values=st.lists(st.decimals(-200, 200, places=1), min_size=20, max_size=60),
)
def test_values_that_the_weaker_mask_does_not_tell_apart_the_stronger_one_does_not_either(
    strong: str, weak: str, values: list[object]
) -> None:
    if not at_least(mask(strong), mask(weak)):
        return

    outputs = [masked(text, values) for text in (weak, strong)]

    told = defaultdict(set)
    for by_weak, by_strong in zip(*outputs, strict=True):
        told[by_weak].add(by_strong)
    assert all(len(ones) == 1 for ones in told.values())


def masked(text: str, values: list[object]) -> list[object]:
    rule = f"  - {{name: r, topics: [t], at: [fetch], value: {{fields: [{{path: '$[*]', mask: {text}}}]}}}}\n"
    program = compile_ruleset({"r.yaml": HEAD + rule}, None).match("t", "fetch")
    record = f"[{','.join(str(value) for value in values)}]".encode()
    assert program is not None
    outcome = program.mask(record, array("i", (0, len(record))))
    start, length = outcome.spans
    return list(json.loads(record if start < 0 else outcome.values[start : start + length]))
