"""Runs every example of rules/README.md: `yaml ruleset` blocks are files, `yaml mask` blocks are the mask of `$.v`."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from wiremask.rules import compile_ruleset
from wiremask.rules.keys import decode_key, derive_subkey
from wiremask.rules.maskwords import LATER, MASKS

README = (Path(__file__).parents[2] / "rules" / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```yaml (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
KEY = re.findall(r"^    (hex:[0-9a-f]{64})$", README, re.MULTILINE)[0]
RULESETS = [text for kind, text in BLOCK.findall(README) if kind == "ruleset"]
EXAMPLES = [text for kind, text in BLOCK.findall(README) if kind == "mask"]

AROUND = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: example}
keys: {example: {env: EXAMPLE}}
rules:
  - name: example
    topics: [t]
    at: [produce]
    value:
      fields:
        - path: $.v
"""


def around(example: str) -> str:
    mask, tests = example.split("tests:\n")
    return f"{AROUND}{indent(mask, ' ' * 10)}    tests:\n{indent(tests, '    ')}"


@pytest.mark.parametrize("text", RULESETS, ids=range(len(RULESETS)))
def test_ruleset_example_loads_and_passes_its_tests(text: str) -> None:
    plan = compile_ruleset({"README.md": text}, lambda _: KEY)

    assert len(plan.rules) == text.count("\n  - name: ")


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


def test_every_mask_to_come_is_listed() -> None:
    listed = README.split("## Not supported yet")[1]

    assert [mask for mask in LATER if f"`{mask}`" not in listed] == []


def test_info_bytes_of_the_key_contract_are_those_of_the_code() -> None:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    written = re.findall(r"22 bytes `([0-9a-f ]+)`", README)[0]

    subkey = derive_subkey(decode_key(KEY), "hash", "email")

    assert subkey == HKDF(algorithm=SHA256(), length=32, salt=None, info=bytes.fromhex(written)).derive(decode_key(KEY))
