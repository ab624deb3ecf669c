"""Masks as written against masks as values. Faults are in test_language_errors.py."""

from __future__ import annotations

from decimal import Decimal

import pytest

from wiremask.rules import compile_ruleset
from wiremask.rules.keys import decode_key, derive_subkey
from wiremask.rules.maskers.places import RESTRICTED_ZIP3
from wiremask.rules.maskers.words import CITIES
from wiremask.rules.model.masks import (
    Age,
    Bucket,
    Chain,
    Date,
    Drop,
    Email,
    Encrypt,
    Fixed,
    Fpe,
    Hash,
    Ip,
    IpScramble,
    Keep,
    Mask,
    Noise,
    Nullify,
    Partial,
    Pattern,
    Pseudonym,
    Range,
    Redact,
    Round,
    SealingKey,
    Token,
    Truncate,
    Zip3,
)

KEY = "hex:9f0c5d2ab1e64733885cd41fe027b96a0b7de35812fc469e6d21c8b45a97033f"
FILE = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: masks}
keys: {pii: {env: PII}}
rules:
  - {name: r, topics: [t], at: [produce], reversible: true, value: {fields: [{path: $.a, mask: MASK}]}}
"""


def subkey(domain: str, mask: str = "hash") -> bytes:
    return derive_subkey(decode_key(KEY), mask, domain)


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
    "{hash: {key: pii, encoding: crockford}}": Hash(subkey=subkey(""), encoding="crockford", length=52),
    "{redact: {number: -1.50, boolean: true}}": Redact(number=b"-1.50", boolean=b"true"),
    "{partial: {fixedLength: 8}}": Partial(fixed_length=8),
    "{partial: {hideFirst: 4, hideLast: 2, char: X}}": Partial(hide_first=4, hide_last=2, char="X"),
    "{truncate: 4}": Truncate(length=4),
    "{truncate: {length: 0, as: string}}": Truncate(length=0, as_string=True),
    "pattern": Pattern(),
    "{pattern: {as: string}}": Pattern(as_string=True),
    "[{truncate: 4}, pattern]": Chain(masks=(Truncate(length=4), Pattern())),
    "email": Email(local=Partial(fixed_length=5), domain=Keep()),
    "{email: {local: redact, domain: [pattern, redact]}}": Email(
        local=Redact(), domain=Chain(masks=(Pattern(), Redact()))
    ),
    "{bucket: {size: 10}}": Bucket(size=Decimal(10)),
    "{bucket: {size: 0.50, start: 1, lowest: -3, highest: 1e3}}": Bucket(
        size=Decimal("0.50"), start=Decimal(1), lowest=Decimal(-3), highest=Decimal(1000)
    ),
    "{round: 100}": Round(to=Decimal(100)),
    "{round: {to: 0.05, direction: down}}": Round(to=Decimal("0.05"), direction="down"),
    "{range: {bounds: [18, 65]}}": Range(bounds=(Decimal(18), Decimal(65))),
    "{range: {bounds: [18], labels: [minor, adult]}}": Range(bounds=(Decimal(18),), labels=("minor", "adult")),
    "age": Age(),
    "{age: {top: 85}}": Age(top=85),
    "{date: quarter}": Date(to="quarter"),
    "{date: {to: day, numbers: milliseconds}}": Date(to="day", unit="milliseconds"),
    "zip3": Zip3(restricted=RESTRICTED_ZIP3),
    "{zip3: {restricted: ['021'], as: string}}": Zip3(restricted=frozenset({"021"}), as_string=True),
    "ip": Ip(v4=24, v6=48),
    "{ip: {v4: 0, v6: 64}}": Ip(v4=0, v6=64),
    "{ip: {key: pii, domain: d}}": IpScramble(subkey=subkey("d", "ip")),
    "{token: {key: pii}}": Token(subkey=subkey("", "token")),
    "{token: {key: pii, format: pan, keepFirst: 6, keepLast: 4, as: string}}": Token(
        subkey=subkey("", "token"), form="pan", keep_first=6, keep_last=4, as_string=True
    ),
    "{fpe: {key: pii, domain: d, alphabet: hex, keepLast: 4}}": Fpe(
        subkey=subkey("d", "fpe"), alphabet="0123456789abcdef", keep_last=4
    ),
    "{encrypt: {key: pii, deterministic: true}}": Encrypt(
        key="pii",
        version="1",
        versions=(
            (
                "1",
                SealingKey(
                    random=subkey("", "encrypt"), deterministic=subkey("", "encrypt-siv1") + subkey("", "encrypt-siv2")
                ),
            ),
        ),
        deterministic=True,
        path='$["a"]',
    ),
    "{pseudonym: {key: pii, words: cities}}": Pseudonym(words=CITIES, subkey=subkey("", "pseudonym")),
    "{pseudonym: {key: pii, words: [a, b]}}": Pseudonym(words=("a", "b"), subkey=subkey("", "pseudonym")),
    "{noise: {key: pii, within: 5}}": Noise(subkey=subkey("", "noise"), within=Decimal(5)),
    "{noise: {key: pii, percent: 2.5, step: 10}}": Noise(
        subkey=subkey("", "noise"), within=Decimal("2.5"), percent=True, step=Decimal(10)
    ),
}


@pytest.mark.parametrize(("written", "mask"), MASKS.items(), ids=MASKS)
def test_mask_reads_as_its_value(written: str, mask: Mask) -> None:
    plan = compile_ruleset({"f": FILE.replace("MASK", written)}, lambda _: KEY)

    assert plan.rules[0].fields[0].mask == mask
    assert KEY[4:] not in repr(plan.rules)
    assert repr(subkey("")) not in repr(plan.rules)
