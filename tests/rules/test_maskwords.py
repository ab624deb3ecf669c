"""Masks as written against masks as values. Faults are in test_language_errors.py."""

from __future__ import annotations

import pytest

from wiremask.rules import compile_ruleset
from wiremask.rules.keys import decode_key, derive_subkey
from wiremask.rules.masks import Drop, Fixed, Hash, Keep, Mask, Nullify, Partial, Redact

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: masks}
keys: {pii: {env: PII}}
rules:
  - {name: r, topics: [t], at: [produce], value: {fields: [{path: $.a, mask: MASK}]}}
"""


def subkey(domain: str) -> bytes:
    return derive_subkey(decode_key(KEY), "hash", domain)


MASKS: dict[str, Mask] = {
    "keep": Keep(),
    "{keep: {}}": Keep(),
    "[keep]": Keep(),
    "redact": Redact(),
    "{redact: {}}": Redact(),
    "{redact: {text: '-'}}": Redact(text="-"),
    "{fixed: n/a}": Fixed(literal=b'"n/a"'),
    "{fixed: NO}": Fixed(literal=b'"NO"'),
    '{fixed: "a\\"\\u00fc\\u0001"}': Fixed(literal='"a\\"ü\\u0001"'.encode()),
    "{fixed: -1.50}": Fixed(literal=b"-1.50"),
    "{fixed: true}": Fixed(literal=b"true"),
    "{fixed: 'true'}": Fixed(literal=b'"true"'),
    "{fixed: {value: 0}}": Fixed(literal=b"0"),
    "{fixed: {value: 0, whole: true}}": Fixed(literal=b"0", whole=True),
    "{fixed: {value: 0, whole: false}}": Fixed(literal=b"0"),
    "nullify": Nullify(),
    "{nullify: {whole: true}}": Nullify(whole=True),
    "drop": Drop(),
    "partial": Partial(),
    "{partial: {keepFirst: 6, keepLast: 4}}": Partial(keep_first=6, keep_last=4),
    "{partial: {char: •, separators: '', as: string}}": Partial(char="•", separators="", as_string=True),
    "{hash: {key: pii}}": Hash(subkey=subkey(""), encoding="hex", length=64),
    "{hash: {key: pii, domain: email, length: 16}}": Hash(subkey=subkey("email"), length=16),
    "{hash: {key: pii, encoding: base64url}}": Hash(subkey=subkey(""), encoding="base64url", length=43),
    "{hash: {key: pii, encoding: base64url, length: 11, as: string}}": Hash(
        subkey=subkey(""), encoding="base64url", length=11, as_string=True
    ),
}


@pytest.mark.parametrize(("written", "mask"), MASKS.items(), ids=MASKS)
def test_mask_reads_as_its_value(written: str, mask: Mask) -> None:
    plan = compile_ruleset({"f": FILE.replace("MASK", written)}, lambda _: KEY)

    assert plan.rules[0].fields[0].mask == mask
    assert KEY[4:] not in repr(plan.rules)
    assert repr(subkey("")) not in repr(plan.rules)
