"""`wiremask reveal`: undoes `encrypt` and `fpe` in a value, key or header from standard input, with the rules' keys."""

from __future__ import annotations

import os
import sys
from array import array
from typing import TYPE_CHECKING

from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.loading import load_rules
from wiremask.rules.errors import RuleSetInvalid
from wiremask.rules.reveal import reveal_plan

if TYPE_CHECKING:
    from pathlib import Path

    from wiremask.rules.model.onepart import OnePart
    from wiremask.rules.model.rule import Direction

INVALID_RULES = 1
REFUSED = 3


def reveal(rules: Path, topic: str, at: Direction, part: OnePart) -> int:
    """Prints the value as it was before it was masked, as far as that can be; 3 if a field is not what was masked."""
    try:
        plan = load_rules(rules, env=os.environ, json_depth=JSON_DEPTH)
    except RuleSetInvalid as invalid:
        sys.stderr.write(f"{invalid}\n")
        return INVALID_RULES
    undoing = reveal_plan(plan, topic, at, part=part, json_depth=JSON_DEPTH)
    if undoing is None:
        sys.stderr.write("no rule has a mask for this topic and direction that can be undone\n")
        return REFUSED
    value = sys.stdin.buffer.read()
    outcome = undoing.mask(value, array("i", (0, len(value))))
    if outcome.failures:
        (failure,) = outcome.failures
        rule = f" (rule {undoing.rules[failure.rule].name})" if failure.rule >= 0 else ""
        sys.stderr.write(f"refused: {failure.detail}{rule}\n")
        return REFUSED
    start, length = outcome.spans
    sys.stdout.buffer.write(value if start < 0 else outcome.values[start : start + length])
    sys.stdout.buffer.flush()
    return 0
