"""How the kernel's cost grows: with the size of records and the number of fields it should be linear, with rules that do not match flat.

Each step is timed next to the reference step in the same round; the ratio is the cost of a byte (of a batch, for rules) by that of the
reference step. Of records of 100 bytes, which are mostly frame and field, the cost of a record is compared.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from bench import kernel, records
from bench.rows import Bar, Row
from bench.stats import spread
from wiremask.rules import compile_ruleset

if TYPE_CHECKING:
    from collections.abc import Callable

    from wiremask.rules import KeyReference, Plan

RECORD_BYTES = (100, 1_000, 10_000, 1_000_000, 10_000_000)
REFERENCE_BYTES = 1_000
FIELDS = (1, 10, 50, 200)
RULES = (0, 10, 100, 1_000)
BATCH_BYTES = 1_000_000
LINEAR = Bar(kind="at most", limit=1.5)
HASHES = 1_000
HASH_BAR = Bar(kind="at most", limit=0.5)
KEY = hashlib.sha256(b"a key of the bench").digest()

_TOPIC = "bench"


def measure(*, rounds: int, at_least_s: float = 0.05, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """All of it."""
    kernel.settle_allocator()
    return [
        *_records(rounds, at_least_s, progress),
        *_fields(rounds, at_least_s, progress),
        *_rules(rounds, at_least_s, progress),
        _hash(rounds, at_least_s, progress),
    ]


def compile_fields(fields: list[dict[str, Any]], *, others: int = 0) -> Plan:
    """A ruleset with one rule for the topic of the bench, and others for other topics."""

    def key(_: KeyReference) -> str:
        return "hex:" + KEY.hex()

    rules = [
        {"name": f"rule-{number}", "topics": [topic], "at": ["produce"], "value": {"format": "json", "fields": fields}}
        for number, topic in enumerate([_TOPIC, *(f"other-{number}" for number in range(others))])
    ]
    ruleset = {
        "apiVersion": "wiremask.dev/v1",
        "kind": "RuleSet",
        "metadata": {"name": "bench"},
        "keys": {"bench": {"env": "BENCH_KEY"}},
        "rules": rules,
    }
    if not any("hash" in json.dumps(field) for field in fields):
        del ruleset["keys"]
    return compile_ruleset({"bench.yaml": json.dumps(ruleset)}, key)


def _time(plan: Plan, batch: bytes, at_least_s: float) -> float:
    topic_plan = plan.match(_TOPIC, "produce")
    assert topic_plan is not None
    return kernel.time_ns(lambda: kernel.mask_by_kernel(topic_plan, batch), at_least_s=at_least_s)


def _rows(what: str, unit: str, costs: dict[int, list[float]], reference: int, bar: Bar) -> list[Row]:
    return [
        Row(
            part="growth",
            name=f"{step:,} {what}",
            unit=unit,
            figure=spread(of_step),
            ratio=spread([cost / base for cost, base in zip(of_step, costs[reference], strict=True)]),
            to=f"{reference:,}",
            bar=bar,
        )
        for step, of_step in costs.items()
    ]


def _records(rounds: int, at_least_s: float, progress: Callable[[str], None]) -> list[Row]:
    """Values of other sizes, with the four masks in each; what is longer is text in a field that stays."""
    plan = compile_fields(records.FIELDS)
    document = json.loads(records.values(1)[0])
    batches = {}
    for size in RECORD_BYTES:
        small = (
            {"customer": {"ssn": document["customer"]["ssn"]}, "note": ""} if size < records.VALUE_BYTES else document
        )
        bare = len(json.dumps({**small, "note": ""}, separators=(",", ":")))
        text = ("lorem ipsum dolor sit amet " * (size // 27 + 1))[: size - bare]
        value = json.dumps({**small, "note": text}, separators=(",", ":")).encode()
        batches[size] = kernel.build_batch([value] * max(BATCH_BYTES // size, 1))
    costs: dict[int, list[float]] = {size: [] for size in RECORD_BYTES}
    for number in range(rounds):
        progress(f"record sizes, round {number + 1}")
        for size, batch in batches.items():
            costs[size].append(_time(plan, batch, at_least_s) / len(batch))
    shortest, reference = (batch_cost(costs[size], size) for size in (RECORD_BYTES[0], REFERENCE_BYTES))
    return [
        Row(
            part="growth",
            name=f"{RECORD_BYTES[0]} bytes a record",
            unit="ns/record",
            figure=spread(shortest),
            ratio=spread([cost / base for cost, base in zip(shortest, reference, strict=True)]),
            to=f"{REFERENCE_BYTES:,}",
            bar=Bar(kind="at most", limit=1),
        ),
        *_rows("bytes a record", "ns/byte", {size: costs[size] for size in RECORD_BYTES[1:]}, REFERENCE_BYTES, LINEAR),
    ]


def batch_cost(ns_per_byte: list[float], record_bytes: int) -> list[float]:
    """The same figures as nanoseconds a record."""
    return [cost * record_bytes for cost in ns_per_byte]


def _fields(rounds: int, at_least_s: float, progress: Callable[[str], None]) -> list[Row]:
    """Objects of 200 fields, some of them masked: the cost of one more field."""
    value = json.dumps({f"field{number:03d}": "1234567890" for number in range(max(FIELDS))}).encode()
    batch = kernel.build_batch([value] * 100)
    plans = {
        count: compile_fields(
            [{"path": f"$.field{number:03d}", "mask": {"partial": {"keepLast": 4}}} for number in range(count)]
        )
        for count in FIELDS
    }
    costs: dict[int, list[float]] = {count: [] for count in FIELDS}
    for number in range(rounds):
        progress(f"fields, round {number + 1}")
        for count, plan in plans.items():
            costs[count].append(_time(plan, batch, at_least_s) / len(batch))
    return _rows("masked fields of 200", "ns/byte", costs, 1, Bar(kind="at most", limit=3))


def _rules(rounds: int, at_least_s: float, progress: Callable[[str], None]) -> list[Row]:
    """Rules for other topics: what is decided is remembered."""
    batch = kernel.build_batch(records.values(15))
    plans = {count: compile_fields(records.FIELDS, others=count) for count in RULES}
    costs: dict[int, list[float]] = {count: [] for count in RULES}

    def run(plan: Plan) -> None:
        topic_plan = plan.match(_TOPIC, "produce")
        assert topic_plan is not None
        kernel.mask_by_kernel(topic_plan, batch)

    for number in range(rounds):
        progress(f"rules, round {number + 1}")
        for count, plan in plans.items():
            costs[count].append(kernel.time_ns(lambda plan=plan: run(plan), at_least_s=at_least_s) / 1e3)  # type: ignore[misc]
    return _rows("rules that do not match", "us/batch", costs, 0, Bar(kind="at most", limit=1.1))


def _hash(rounds: int, at_least_s: float, progress: Callable[[str], None]) -> Row:
    """A keyed hash of a value next to a bare call of `hmac.digest`."""
    topic_plan = compile_fields([{"path": "$.v", "mask": {"hash": {"key": "bench"}}}]).match(_TOPIC, "produce")
    nothing = compile_fields([{"path": "$.absent", "mask": "redact"}]).match(_TOPIC, "produce")
    assert topic_plan is not None
    assert nothing is not None
    texts = [f"person.{number}@example.com" for number in range(HASHES)]
    batch = kernel.build_batch([json.dumps({"v": text}).encode() for text in texts])
    encoded = [text.encode() for text in texts]
    costs, ratios = [], []
    for number in range(rounds):
        progress(f"keyed hash, round {number + 1}")
        hashed = kernel.time_ns(lambda: kernel.mask_by_kernel(topic_plan, batch), at_least_s=at_least_s)
        read = kernel.time_ns(lambda: kernel.mask_by_kernel(nothing, batch), at_least_s=at_least_s)
        bare = kernel.time_ns(
            lambda: [hmac.digest(KEY, text, hashlib.sha256) for text in encoded], at_least_s=at_least_s
        )
        costs.append((hashed - read) / HASHES)
        ratios.append((hashed - read) / bare)
    return Row(
        part="growth",
        name="keyed hash of a value",
        unit="ns",
        figure=spread(costs),
        ratio=spread(ratios),
        to="hmac.digest",
        bar=HASH_BAR,
    )
