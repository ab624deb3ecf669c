"""A records field that is masked in one call, next to the same field masked step by step."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

from support.scripted import rules_text
from support.ways import Owner
from wiremask.protocol.errors import ProtocolError
from wiremask.proxy.budget import Budget
from wiremask.proxy.masking import Allowance, Work, mask_fetched, mask_produced
from wiremask.rules import compile_ruleset

if TYPE_CHECKING:
    from wiremask.rules import Direction, TopicPlan

Policy = Literal["redact", "reject"]


@cache
def plan(at: Direction, *, in_steps: bool, policy: Policy = "redact") -> TopicPlan:
    """Rules that the kernel carries out alone; `in_steps` as if it could not."""
    text = rules_text(at, more=f"    onUnreadable: {policy}\n    onUnmaskable: {policy}\n")
    made = compile_ruleset({"rules.yaml": text}, lambda _: "").match("payments", at)
    assert made is not None
    assert made.kernel is not None
    if in_steps:
        made.kernel = None
    return made


def become(records: bytes, at: Direction, *, in_steps: bool, policy: Policy = "redact") -> object:
    """What comes of a field and what is counted of it, or why it is refused."""
    budget = Budget(1 << 30)
    allowance = Allowance(
        limit_bytes=1 << 20, is_final=True, charge=lambda count: budget.charge(count, Owner()), records=1_000
    )
    work, mask = Work(allowance), mask_produced if at == "produce" else mask_fetched
    try:
        pieces = mask(memoryview(records), plan(at, in_steps=in_steps, policy=policy), work)
    except ProtocolError as error:
        return type(error), str(error)
    parts = [part for _, counts in work._done for part in counts.parts]
    return (
        None if pieces is None else b"".join(pieces),
        sum(changed for changed, _, _ in parts),
        sum(unreadable for _, unreadable, _ in parts),
        sum(sum(masked) for _, _, masked in parts),
    )
