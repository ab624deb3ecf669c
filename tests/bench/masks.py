"""What each mask costs a value, next to a rule that selects nothing: `python -m bench masks`.

The masks and the values that they take are the examples of rules/README.md, which tests run too, so that a new mask is measured
as soon as it is documented. Each is put on 1,000 records with the value of its first test; what such a record costs more is
divided by the texts, numbers and booleans that the mask selects in it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from bench import kernel
from bench.rows import Row
from bench.stats import spread
from wiremask.rules import compile_ruleset

if TYPE_CHECKING:
    from collections.abc import Callable

    from wiremask.rules import TopicPlan

VALUES = 1_000
README = Path(__file__).resolve().parents[2] / "rules" / "README.md"
_EXAMPLE = re.compile(r"^```yaml mask\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_KEY = re.compile(r"^    (hex:[0-9a-f]{64})$", re.MULTILINE)
_AROUND = """\
apiVersion: wiremask.dev/v1
kind: RuleSet
metadata: {name: bench}
keys: {example: {env: EXAMPLE}}
rules:
  - name: bench
    topics: [bench]
    at: [produce]
    reversible: true
    value:
      fields:
        - path: $.v
"""


def examples() -> dict[str, tuple[str, Any]]:
    """Each mask as it is written, with a value that it takes."""
    found = {}
    for text in _EXAMPLE.findall(README.read_text(encoding="utf-8")):
        mask, _, _ = text.partition("tests:\n")
        tests = YAML(typ="safe").load(text)["tests"]
        found[" ".join(mask.removeprefix("mask:").split())] = (mask, tests[0]["in"])
    return found


def measure(*, rounds: int, at_least_s: float = 0.02, progress: Callable[[str], None] = lambda _: None) -> list[Row]:
    """One row for each mask; the ratio is the batch with the mask by the batch without."""
    nothing = compile_mask("mask: redact\n", path="$.absent")
    table = []
    for name, (mask, document) in examples().items():
        progress(name)
        plan = compile_mask(mask)
        batch = kernel.build_batch([json.dumps(document, default=str).encode()] * VALUES)
        bare, masked = [], []
        for _ in range(rounds):
            bare.append(
                kernel.time_ns(lambda batch=batch: kernel.mask_by_kernel(nothing, batch), at_least_s=at_least_s)
            )  # type: ignore[misc]
            masked.append(
                kernel.time_ns(lambda plan=plan, batch=batch: kernel.mask_by_kernel(plan, batch), at_least_s=at_least_s)
            )  # type: ignore[misc]
        pairs = list(zip(masked, bare, strict=True))
        table.append(
            Row(
                part="masks",
                name=name,
                unit="ns/value",
                figure=spread(
                    [(with_it - without) / VALUES / count_leaves(document["v"]) for with_it, without in pairs]
                ),
                ratio=spread([with_it / without for with_it, without in pairs]),
                to="no mask",
            )
        )
    return table


def count_leaves(value: Any) -> int:
    """How many values a mask meets; an object or array counts those in it."""
    if isinstance(value, dict | list):
        return sum(map(count_leaves, value.values() if isinstance(value, dict) else value))
    return int(value is not None)


def compile_mask(mask: str, *, path: str = "$.v") -> TopicPlan:
    """The plan of a rule with one mask, `mask: ...`, on what the path selects."""
    (key,) = _KEY.findall(README.read_text(encoding="utf-8"))[:1]
    text = _AROUND.replace("$.v", path) + indent(mask, " " * 10)
    plan = compile_ruleset({"bench.yaml": text}, lambda _: key).match("bench", "produce")
    assert plan is not None
    return plan
