"""What the masks built of AES and HMAC cost a value, next to the bar of 3 us and to libffx: `python -m bench masks`.

1,000 records of one member each, with the mask and without, one right after the other; the difference by 1,000 is what a value
costs. libffx (FF1 in Python on `cryptography`, one value at a time) encrypts the same 1,000 card numbers in the same round. It is
what FF1 costs where values come one by one; for `token`, which it has not, it is the nearest thing that makes a card number
of a card number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ffx import FF1

from bench import kernel, masks
from bench.rows import Bar, Row
from bench.stats import spread

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_NS = 3_000
TIMES_LIBFFX = 5
CARD = "4111111111111111"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A mask on the member `v` of a document; `bar` is whether the 3 us are meant for it."""

    mask: str
    document: dict[str, Any]
    bar: bool = True


CASES = {
    "fpe, a card number": Case(mask="{fpe: {key: example}}", document={"v": CARD}),
    "fpe, a card number, last four kept": Case(mask="{fpe: {key: example, keepLast: 4}}", document={"v": CARD}),
    "token, a text": Case(mask="{token: {key: example}}", document={"v": "customer-1042"}),
    "token, a card number": Case(mask="{token: {key: example, format: pan}}", document={"v": CARD}),
    "token, an IBAN": Case(mask="{token: {key: example, format: iban}}", document={"v": "DE89 3704 0044 0532 0130 00"}),
    "pseudonym": Case(mask="{pseudonym: {key: example, words: given-names}}", document={"v": "Ada"}),
    "ip, 32 bits": Case(mask="{ip: {key: example}}", document={"v": "192.0.2.77"}),
    "ip, 128 bits": Case(mask="{ip: {key: example}}", document={"v": "2001:db8:1:2::5"}),
    "noise, within": Case(mask="{noise: {key: example, within: 5}}", document={"v": 100}),
    "noise, percent": Case(mask="{noise: {key: example, percent: 10}}", document={"v": 1234.56}),
    "date, shifted": Case(
        mask="{date: {shift: 180, key: example, subject: $.id}}", document={"id": "p-1", "v": "2024-05-17"}
    ),
    "date and time, shifted": Case(
        mask="{date: {shift: 180, key: example, subject: $.id}}", document={"id": "p-1", "v": "2024-05-17T10:30:00Z"}
    ),
    "encrypt": Case(mask="{encrypt: {key: example}}", document={"v": "Ada Lovelace"}, bar=False),
    "encrypt, deterministic": Case(
        mask="{encrypt: {key: example, deterministic: true}}", document={"v": "Ada Lovelace"}, bar=False
    ),
}
BESIDE_LIBFFX = ("fpe, a card number", "token, a card number")


def measure(*, rounds: int, at_least_s: float = 0.02, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """One row for each case, and libffx next to those that it compares with."""
    nothing = masks.compile_mask("mask: redact\n", path="$.absent")
    table, costs = [], {}
    for name, case in CASES.items():
        progress(name)
        plan = masks.compile_mask(f"mask: {case.mask}\n")
        batch = kernel.build_batch([json.dumps(case.document).encode()] * masks.VALUES)
        costs[name] = []
        for _ in range(rounds):
            without, with_it = (
                kernel.time_ns(lambda plan=one, batch=batch: kernel.mask_by_kernel(plan, batch), at_least_s=at_least_s)  # type: ignore[misc]
                for one in (nothing, plan)
            )
            costs[name].append((with_it - without) / masks.VALUES)
        table.append(
            Row(
                part="masks",
                name=name,
                unit="ns/value",
                figure=spread(costs[name]),
                ratio=spread([cost / LIMIT_NS for cost in costs[name]]),
                to="3 us a value",
                bar=Bar(kind="at most", limit=1) if case.bar else None,
            )
        )
    return table + _beside_libffx(costs, rounds=rounds, at_least_s=at_least_s)


def _beside_libffx(costs: dict[str, list[float]], *, rounds: int, at_least_s: float) -> list[Row]:
    encrypt = FF1(bytes(32), radix=10).encrypt
    theirs = [
        kernel.time_ns(lambda: [encrypt(CARD) for _ in range(masks.VALUES)], at_least_s=at_least_s) / masks.VALUES
        for _ in range(rounds)
    ]
    return [
        Row(
            part="masks",
            name=f"libffx, a card number, next to {name}",
            unit="ns/value",
            figure=spread(theirs),
            ratio=spread([their / our for their, our in zip(theirs, costs[name], strict=True)]),
            to=name,
            bar=Bar(kind="at least", limit=TIMES_LIBFFX),
        )
        for name in BESIDE_LIBFFX
    ]
