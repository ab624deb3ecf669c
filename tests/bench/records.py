"""What is measured with: invented customer records as JSON of 1,039 bytes, and the four masks that are put on them.

Two levels down, three values are masked in part and one is redacted. Card numbers are the test numbers of card schemes and
social security numbers begin with 9, which are never issued, so that no record could be anyone's.
"""

from __future__ import annotations

import json
from typing import Any

VALUE_BYTES = 1_039
DISTINCT = 1_000

FIELDS: list[dict[str, Any]] = [
    {"path": "$.customer.ssn", "mask": {"partial": {"keepLast": 4, "separators": ""}}},
    {"path": "$.customer.phone", "mask": {"partial": {"keepLast": 3, "separators": ""}}},
    {"path": "$.card.number", "mask": {"partial": {"keepFirst": 6, "keepLast": 4, "separators": ""}}},
    {"path": "$.customer.email", "mask": "redact"},
]
"""The members `fields` of the rules. The masks of `kernel.mask_document` are the same."""

_CARDS = ("4111 1111 1111 1111", "5555 5555 5555 4444", "3782 822463 10005", "6011 1111 1111 1117")


def rules(*, produce: str, fetch: str) -> str:
    """The text of a rule file that masks `FIELDS` at produce and at fetch, on topics of these names and globs."""
    ruleset = {
        "apiVersion": "wiremask.dev/v1",
        "kind": "RuleSet",
        "metadata": {"name": "bench"},
        "rules": [
            {"name": f"at-{at}", "topics": [topics], "at": [at], "value": {"format": "json", "fields": FIELDS}}
            for at, topics in (("produce", produce), ("fetch", fetch))
        ],
    }
    return json.dumps(ruleset, indent=2) + "\n"  # JSON is YAML


def values(count: int = DISTINCT) -> list[bytes]:
    """Record values, each another customer's and each of `VALUE_BYTES`."""
    return [_value(number) for number in range(count)]


def _value(number: int) -> bytes:
    document = {
        "id": f"ord-{number:012d}",
        "at": f"2026-03-{1 + number % 28:02d}T{number % 24:02d}:{number % 60:02d}:07.125Z",
        "customer": {
            "id": 7_000_000 + number,
            "name": f"Example Person {number}",
            "email": f"person.{number}@example.com",
            "phone": f"+1 555-01{number % 100:02d}-{number % 1000:03d}",
            "ssn": f"9{number % 100:02d}-{10 + number % 90}-{1000 + number % 9000}",
            "address": {"street": f"{1 + number} Sample Street", "city": "Exampleton", "zip": "00000", "country": "XX"},
            "segments": ["newsletter", "returning", f"cohort-{number % 12}"],
        },
        "card": {
            "number": _CARDS[number % 4],
            "holder": f"EXAMPLE PERSON {number}",
            "expires": "12/29",
            "network": "test",
        },
        "items": [
            {
                "sku": f"SKU-{number * 7 + line:08d}",
                "name": "Sample article",
                "quantity": 1 + line,
                "price": 19.95 + line,
            }
            for line in range(3)
        ],
        "total": {"net": 62.85, "tax": 11.94, "gross": 74.79, "currency": "EUR"},
        "shipped": number % 2 == 0,
        "coupon": None,
        "note": "",
    }
    bare = len(_encode(document))
    document["note"] = ("lorem ipsum dolor sit amet " * 20)[: VALUE_BYTES - bare]
    return _encode(document)


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
