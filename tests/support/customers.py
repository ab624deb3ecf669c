"""The records that the end-to-end tests send, the rules that mask them, and what must come of them.

What a mask gives is computed here from its definition, not with the code under test.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from support.clients import Message
from support.rulefolder import rule, ruleset

KEY_ENV = {"WIREMASK_KEY_TEST": "hex:" + hashlib.sha256(b"a key for tests").hexdigest()}

FIELDS: dict[str, Any] = {
    "$.ssn": {"partial": {"keepLast": 4}},
    "$.card.pan": {"redact": {"text": "[hidden]"}},
    "$..email": {"hash": {"key": "test", "domain": "email"}},
}

MASKING_RULES = ruleset(
    rule("at-rest", "stored-*", FIELDS),
    rule("on-read", "viewed-*", FIELDS, at=["fetch"]),
    rule("marked", "marked-*", FIELDS, onUnreadable="redact"),
    keys={"test": {"env": "WIREMASK_KEY_TEST"}},
)
"""Masks topics `stored-*` at produce and `viewed-*` at fetch; `marked-*` takes what it cannot read and hides it."""

MARKER = b'{"wiremask":"unreadable"}'


def ssn(number: int) -> str:
    """A secret that is each customer's own."""
    return f"{number % 900 + 100:03d}-{number // 900 % 90 + 10:02d}-{number % 9000 + 1000:04d}"


def pan(number: int) -> str:
    """A second one, deeper in the document."""
    return f"4929{number:012d}"


def email(number: int) -> str:
    """A third one, masked by a key."""
    return f"customer{number:07d}@secret.example"


def customer(number: int) -> bytes:
    """A customer's record as a JSON text with spaces, numbers and escapes that have to survive as they are."""
    return (
        f'{{"id": {number}, "ssn": "{ssn(number)}", "balance": 12.340000000000000000001,\t"name": "M\\u00fcller \\/ Co",'
        f' "card": {{"pan": "{pan(number)}", "valid":true}}, "contact": [{{"email":"{email(number)}"}}] }}'
    ).encode()


def secrets(number: int) -> tuple[bytes, ...]:
    """What may not be seen of a customer."""
    return ssn(number).encode(), pan(number).encode(), email(number).encode()


def is_masked(value: bytes, number: int) -> bool:
    """Whether `value` is exactly the customer's text with the three secrets masked."""
    document = json.loads(value)
    hashed = document["contact"][0]["email"]
    expected = (
        customer(number)
        .replace(ssn(number).encode(), b"***-**-" + ssn(number)[-4:].encode())
        .replace(pan(number).encode(), b"[hidden]")
        .replace(email(number).encode(), hashed.encode())
    )
    is_hash = len(hashed) == 64 and set(hashed) <= set("0123456789abcdef")
    return is_hash and value == expected


def messages(count: int, *, first: int = 0, partition: int = 0) -> list[Message]:
    """Customers `first` to `first + count - 1` as messages with keys, headers and times."""
    return [
        Message(
            key=f"key-{number}".encode(),
            value=customer(number),
            headers=(("source", b"web"), ("empty", b""), ("source", b"again")),
            timestamp_ms=1_700_000_000_000 + number,
            partition=partition,
        )
        for number in range(first, first + count)
    ]
