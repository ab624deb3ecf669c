"""The published schema takes every ruleset that loads here, and tells faults that an editor should show."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import wiremask.rules
from wiremask.rules.errors import Faults
from wiremask.rules.language.maskwords import MASKS
from wiremask.rules.language.schema import SECTIONS, rule_schema
from wiremask.rules.nodes.shape import Words
from wiremask.rules.nodes.source import Mapping, Node, Scalar, Sequence, read_source

ROOT = Path(__file__).parents[3]
README = (ROOT / "rules" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"^```yaml (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL).findall(README)
RULESETS = [text for kind, text in BLOCKS if kind == "ruleset"] + [
    path.read_text(encoding="utf-8")
    for path in ROOT.rglob("*.yaml")
    if ".venv" not in path.parts and re.match(r"(?:#.*\n|\n)*apiVersion: wiremask", path.read_text(errors="replace"))
]
EXAMPLES = [text.split("tests:\n")[0] for kind, text in BLOCKS if kind == "mask"]
VALIDATOR = Draft202012Validator(rule_schema())

RULE = "{name: r, topics: [t], at: [produce], value: {fields: [{path: $.v, mask: MASK}]}}"
FILE = f"apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {{name: t}}\nrules: [{RULE}]\n"


def plain(node: Node | None) -> Any:
    match node:
        case Mapping(entries=entries):
            return {entry.key: plain(entry.value) for entry in entries}
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Scalar(kind="text", text=text):
            return text
        case Scalar(kind="number", text=text):
            number = Decimal(text)
            return int(number) if number == number.to_integral_value() else float(number)
        case Scalar(text=text):
            return json.loads(text)
        case _:
            raise AssertionError("a node that is not read")


def read(text: str) -> Any:
    return plain(read_source(text, Faults(file="r.yaml")))


def places(text: str) -> set[str]:
    """Where the schema finds faults, at any depth of its choices."""
    found, errors = set(), list(VALIDATOR.iter_errors(read(text)))
    while errors:
        error = errors.pop()
        found.add(error.json_path)
        errors += error.context or []
    return found


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(rule_schema())


@pytest.mark.parametrize("text", RULESETS, ids=range(len(RULESETS)))
def test_takes_every_ruleset_of_the_documents(text: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read(text))] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_takes_every_example_of_a_mask(example: str) -> None:
    document = read(FILE.replace("MASK", "keep"))
    document["rules"][0]["value"]["fields"][0]["mask"] = read(example)["mask"]

    assert [error.message for error in VALIDATOR.iter_errors(document)] == []


def test_every_word_of_the_language_has_its_place_in_the_schema() -> None:
    known = [id(words) for words, _ in SECTIONS.values()] + [id(words) for words, _ in MASKS.values()]

    words = [
        (module.name, value)
        for module in pkgutil.walk_packages(wiremask.rules.__path__, "wiremask.rules.")
        for value in vars(importlib.import_module(module.name)).values()
        if isinstance(value, Words)
    ]

    assert len(words) > len(SECTIONS)
    assert [(name, value.of) for name, value in words if id(value) not in known] == []


@pytest.mark.parametrize("section", SECTIONS)
def test_the_schema_names_no_word_that_the_language_has_not(section: str) -> None:
    words, entries = SECTIONS[section]

    assert set(entries) == set(words.known)


FAULTS = {
    "mistyped key": (FILE.replace("topics", "topcis"), "$.rules[0]"),
    "no masks": (FILE.replace("MASK", "redakt"), "$.rules[0].value.fields[0].mask"),
    "mask without its arguments": (FILE.replace("MASK", "hash"), "$.rules[0].value.fields[0].mask"),
    "two masks in one": (FILE.replace("MASK", "{keep: {}, drop: {}}"), "$.rules[0].value.fields[0].mask"),
    "argument mistyped": (FILE.replace("MASK", "{partial: {keeplast: 4}}"), "$.rules[0].value.fields[0].mask.partial"),
    "argument too large": (
        FILE.replace("MASK", "{partial: {keepLast: 65536}}"),
        "$.rules[0].value.fields[0].mask.partial.keepLast",
    ),
    "no path": (FILE.replace("$.v", "v").replace("MASK", "keep"), "$.rules[0].value.fields[0].path"),
    "direction": (FILE.replace("produce", "consume").replace("MASK", "keep"), "$.rules[0].at[0]"),
    "neither rules nor keys": (FILE.split("rules:", maxsplit=1)[0], "$"),
    "no digest": (
        FILE.replace("{name: t}", "{name: t, allowWeaker: {from: abc, reason: x}}").replace("MASK", "keep"),
        "$.metadata.allowWeaker.from",
    ),
    "a key as text": (FILE.replace("rules:", "keys: {k: secret}\nrules:").replace("MASK", "keep"), "$.keys.k"),
    "rejected false": (
        FILE.replace("topics", "tests: [{in: 1, rejected: false}], topics").replace("MASK", "keep"),
        "$.rules[0].tests[0].rejected",
    ),
}


@pytest.mark.parametrize(("text", "place"), FAULTS.values(), ids=FAULTS)
def test_shows_a_fault_at_its_place(text: str, place: str) -> None:
    assert place in places(text)
