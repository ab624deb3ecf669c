"""What it costs to look for values everywhere: `python -m bench detectors`.

- **No hit.** 1,000 customer records of 1 KB in which nothing is to be found, all of their strings searched, next to the same
  records under a rule whose path is in none of them: the walk alone, which is the fastest that the kernel ever is.
- **A hit.** 1,000 records of one string that holds a value, searched for it and redacted, next to records with plain words of the
  same length; the difference by 1,000 is what a hit costs.
"""

from __future__ import annotations

import json
from array import array
from typing import TYPE_CHECKING

from bench import kernel, records
from bench.rows import Bar, Row
from bench.stats import spread
from wiremask.rules import compile_ruleset
from wiremask.rules.detect.detectors import DETECTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wiremask.rules import TopicPlan

RECORDS = 1_000
TIMES_THE_KERNEL = 3
HIT_NS = 2_000

HITS = {
    "card": "paid with 4111 1111 1111 1111 today",
    "iban": "to DE89 3704 0044 0532 0130 00 please",
    "us-ssn": "the number 536-22-1234 is hers",
    "email": "write to ada@example.com soon",
    "phone": "call +49 30 1234567 at noon",
    "ipv4": "from 192.0.2.77 at night",
    "ipv6": "from 2001:db8:1:2::5 at night",
    "mac": "device 00:1b:63:84:45:e6 is off",
    "jwt": "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLWl0 was sent",
    "private-key": "-----BEGIN PRIVATE KEY----- MIIBVAIBADANBgkq -----END PRIVATE KEY-----",
    "credential": "with AKIAIOSFODNN7EXAMPLE of ours",
    "us-zip": "zip code 02139 of Cambridge",
    "birth-date": "born on 1984-07-23 in Turin",
}
"""For each detector a text that holds one value."""
WORDS = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor"


def measure(*, rounds: int, at_least_s: float = 0.02, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """All detectors and each of them over records without a hit, and a hit of each."""
    barren = [without_finds(value) for value in records.values(RECORDS)]
    bare = _compile("{path: $.absent, mask: redact}")
    table = []
    for name, wanted in {"all detectors": DETECTORS, **{name: (name,) for name in DETECTORS}}.items():
        progress(f"{name}, no hit")
        pairs = _pairs((detecting(wanted), barren), (bare, barren), rounds=rounds, at_least_s=at_least_s)
        table.append(
            Row(
                part="detectors",
                name=f"{name}, no hit",
                unit="ns/record",
                figure=spread([searched for searched, _ in pairs]),
                ratio=spread([searched / walked for searched, walked in pairs]),
                to="the walk alone",
                bar=Bar(kind="at most", limit=TIMES_THE_KERNEL),
            )
        )
    for name, text in HITS.items():
        progress(f"{name}, a hit")
        plan = detecting((name,))
        hit, miss = ([json.dumps({"note": note}).encode()] * RECORDS for note in (text, WORDS[: len(text)]))
        pairs = _pairs((plan, hit), (plan, miss), rounds=rounds, at_least_s=at_least_s)
        table.append(
            Row(
                part="detectors",
                name=f"{name}, a hit",
                unit="ns/hit",
                figure=spread([found - missed for found, missed in pairs]),
                ratio=spread([(found - missed) / HIT_NS for found, missed in pairs]),
                to="2 us a hit",
                bar=Bar(kind="at most", limit=1),
            )
        )
    return table


def without_finds(value: bytes) -> bytes:
    """A record of records.py with other words where something was to be found, as long as before."""
    document = json.loads(value)
    document["customer"] |= {"email": "not given", "phone": "unlisted", "ssn": "not given"}
    document["card"]["number"] = "on file"
    document["customer"]["address"]["zip"] = "unknown"
    bare = len(json.dumps(document, separators=(",", ":")))
    document["note"] += " dolore magna aliqua"[: max(len(value) - bare, 0)].ljust(len(value) - bare)
    return json.dumps(document, separators=(",", ":")).encode()


def detecting(detectors: Sequence[str]) -> TopicPlan:
    """The plan of a rule that redacts what these detectors find."""
    return _compile(f"{{detect: [{', '.join(detectors)}], mask: redact}}")


def _pairs(
    one: tuple[TopicPlan, list[bytes]], other: tuple[TopicPlan, list[bytes]], *, rounds: int, at_least_s: float
) -> list[tuple[float, float]]:
    """Nanoseconds a value of both, one right after the other in each round."""
    runs = [(plan, *lay_out(values)) for plan, values in (one, other)]
    times = [
        [
            kernel.time_ns(lambda run=run: run[0].mask(run[1], run[2]), at_least_s=at_least_s) / RECORDS  # type: ignore[misc]
            for run in runs
        ]
        for _ in range(rounds)
    ]
    return [(first, second) for first, second in times]


def lay_out(values: Sequence[bytes]) -> tuple[bytes, array[int]]:
    """The values one after another, and their spans."""
    spans, at = array("i"), 0
    for value in values:
        spans.extend((at, len(value)))
        at += len(value)
    return b"".join(values), spans


def _compile(field: str) -> TopicPlan:
    text = (
        "apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {name: bench}\nrules:\n"
        f"  - {{name: bench, topics: [bench], at: [produce], value: {{fields: [{field}]}}}}\n"
    )
    plan = compile_ruleset({"bench.yaml": text}, lambda _: "").match("bench", "produce")
    assert plan is not None
    return plan
