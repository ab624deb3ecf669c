"""Runs every example of rules/README.md: `yaml ruleset` blocks are files, `yaml mask` blocks are the mask of `$.v`."""

from __future__ import annotations

import json
import re
import secrets
from array import array
from pathlib import Path
from textwrap import indent

import pytest

from wiremask.rules import Client, compile_ruleset
from wiremask.rules.detect.detectors import DETECTORS
from wiremask.rules.keys import decode_key, derive_subkey
from wiremask.rules.language import (
    detectwords,
    fieldlist,
    fields,
    headerfields,
    keyring,
    recordwords,
    ruleset,
    ruletests,
)
from wiremask.rules.language.detectwords import PATTERN
from wiremask.rules.language.maskwords import MASKS
from wiremask.rules.model import markers, metadata
from wiremask.rules.nodes.shape import Words

README = (Path(__file__).parents[2] / "rules" / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```yaml (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = re.findall(r"^    (hex:[0-9a-f]{64})$", README, re.MULTILINE)[0]
RULESETS = [text for kind, text in BLOCK.findall(README) if kind == "ruleset"]
EXAMPLES = [text for kind, text in BLOCK.findall(README) if kind == "mask"]
DETECTOR_EXAMPLES = [text for kind, text in BLOCK.findall(README) if kind == "detector"]

AROUND = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: example}
keys: {example: {env: EXAMPLE}}
rules:
  - name: example
    topics: [t]
    at: [produce]
    reversible: true
    value:
      fields:
        - path: $.v
"""


def around_detector(example: str) -> str:
    """A rule with one detector, which puts its name in brackets in place of what it finds."""
    detector, tests = example.removeprefix("detect: ").split("\ntests:\n")
    field = f"- {{detect: [{detector}], mask: {{redact: {{text: <{detector}>}}}}}}\n"
    return f"{AROUND.removesuffix('- path: $.v' + chr(10))}{field}    tests:\n{indent(tests, '    ')}"


def around(example: str) -> str:
    mask, tests = example.split("tests:\n")
    return f"{AROUND}{indent(mask, ' ' * 10)}    tests:\n{indent(tests, '    ')}"


@pytest.mark.parametrize("text", RULESETS, ids=range(len(RULESETS)))
def test_ruleset_example_loads_and_passes_its_tests(text: str) -> None:
    keys = iter([KEY, *(f"hex:{secrets.token_hex(32)}" for _ in range(4))])

    plan = compile_ruleset({"README.md": text}, lambda _: next(keys))

    assert len(plan.rules) == text.count("\n  - name: ")


@pytest.mark.parametrize(
    ("principal", "card", "iban"),
    [
        ("User:fraud-team", "4111111111111111", "[redacted]"),
        ("User:backend", "************1111", "DE89"),
        ("User:anybody", "************1111", "[redacted]"),
        (None, "************1111", "[redacted]"),
    ],
    ids=["exempted", "spared", "anybody", "unknown"],
)
def test_example_of_who_asks_does_what_the_text_says(principal: str | None, card: str, iban: str) -> None:
    (text,) = [text for text in RULESETS if "fraud-team-sees-cards" in text]
    program = (
        compile_ruleset({"README.md": text}, lambda _: KEY)
        .for_client(Client(principal=principal))
        .match("payments.x", "fetch")
    )
    value = b'{"card":"4111111111111111","iban":"DE89"}'

    assert program is not None
    assert json.loads(program.mask(value, array("i", (0, len(value)))).values or value) == {"card": card, "iban": iban}


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_mask_example_gives_what_it_says(example: str) -> None:
    plan = compile_ruleset({"README.md": around(example)}, lambda _: KEY)

    assert [rule.name for rule in plan.rules] == ["example"]


@pytest.mark.parametrize("mask", MASKS)
def test_every_mask_has_a_section_and_an_example(mask: str) -> None:
    section = README.split(f"\n### {mask}\n")[1].split("\n### ")[0]

    assert re.search(rf"^```yaml mask\nmask: \{{?{mask}\b", section, re.MULTILINE) is not None


def test_every_argument_of_a_mask_is_described() -> None:
    undescribed = [
        (mask, argument)
        for mask, (words, _) in MASKS.items()
        for argument in words.known
        if f"`{argument}" not in README.split(f"\n### {mask}\n")[1].split("\n## ")[0]
    ]

    assert undescribed == []


def test_info_bytes_of_the_key_contract_are_those_of_the_code() -> None:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    written = re.findall(r"22 bytes `([0-9a-f ]+)`", README)[0]

    subkey = derive_subkey(decode_key(KEY), "hash", "email")

    assert subkey == HKDF(algorithm=SHA256(), length=32, salt=None, info=bytes.fromhex(written)).derive(decode_key(KEY))


@pytest.mark.parametrize("example", DETECTOR_EXAMPLES, ids=range(len(DETECTOR_EXAMPLES)))
def test_detector_example_gives_what_it_says(example: str) -> None:
    plan = compile_ruleset({"README.md": around_detector(example)}, lambda _: KEY)

    assert [rule.name for rule in plan.rules] == ["example"]


def test_every_detector_is_described_with_an_example() -> None:
    section = README.split("\n### Detectors\n")[1].split("\n### ")[0]

    described = re.findall(r"^\*\*([a-z0-9-]+)\*\*:", section, re.MULTILINE)

    assert described == re.findall(r"^detect: ([a-z0-9-]+)$", section, re.MULTILINE) == list(DETECTORS)


GRAMMAR = {
    words.of: words.known + words.later
    for module in (
        recordwords,
        detectwords,
        fieldlist,
        fields,
        headerfields,
        keyring,
        metadata,
        markers,
        ruleset,
        ruletests,
    )
    for words in vars(module).values()
    if isinstance(words, Words)
}


@pytest.mark.parametrize("of", GRAMMAR)
def test_every_key_of_the_language_is_described(of: str) -> None:
    text = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    described = {word for code in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", code)}

    assert [key for key in GRAMMAR[of] if key not in described] == []


def test_every_key_of_a_pattern_is_described() -> None:
    section = README.split("\n### Patterns of your own\n")[1].split("\n## ")[0]

    assert [word for word in PATTERN.known if f"| `{word}` |" not in section] == []
