"""Answers for a ConfigMap of rules: what `wiremask check` refuses, `kubectl apply` refuses, with file, line and column.

So is a change that masks less, as a reload would refuse it, unless the rules allow that step (`stepdown.py`). What
`wiremask check` only warns of, `kubectl apply` shows as warnings too.

The keys that the rules name lie in Secrets that this process may not read. Stand-ins take their place, so all is
checked but tests whose result hangs on a key.
"""

from __future__ import annotations

import base64
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from wiremask.proxy.stepdown import Ruleset, Step, take_step
from wiremask.proxy.webhook.review import Allowed, Answer, Json, Question, Refused
from wiremask.rules import RuleSetInvalid, compile_ruleset
from wiremask.rules.language.ruleset import digest_of
from wiremask.rules.review.findings import find

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules import KeyReference, Plan, RuleError

LABEL = "wiremask.dev/rules"
SHOWN_FAULTS = 20
"""How many faults a refusal shows, the rest being counted; and how many warnings a yes has."""

_SUFFIXES = (".yaml", ".yml")


class _StandIns:
    """A random key for each that is asked for."""

    def __init__(self) -> None:
        self.asked = False

    def resolve(self, _reference: KeyReference) -> str:
        self.asked = True
        return "base64:" + base64.b64encode(secrets.token_bytes(32)).decode("ascii")


def validate(question: Question, *, json_depth: int) -> Answer:
    """Answers for a ConfigMap that holds rules, or is about to."""
    if not _holds_rules(question.object):
        if question.operation != "DELETE" and _holds_rules(question.old):
            return Refused(message=f'the label {LABEL}: "true" is what has these rules checked; keep it')
        return Allowed()
    binary = sorted(name for name in question.object.get("binaryData") or () if name.endswith(_SUFFIXES))
    if binary:
        return Refused(message=f"{binary[0]} is not UTF-8 (it stands under binaryData); save the file as UTF-8")
    texts = rule_texts(question.object)
    if not texts:
        return Refused(message="the ConfigMap holds no *.yaml or *.yml file; put a rule file there")
    try:
        plan, untested = compile_without_keys(texts, json_depth=json_depth)
    except RuleSetInvalid as invalid:
        return Refused(message=f"the rules are invalid:\n{_listed(invalid.errors)}")
    step = _step(rule_texts(question.old), texts)
    if step.is_refused:
        weaker = step.refusal(Path(question.object["metadata"]["name"])).errors
        return Refused(message=f"the rules mask less than those that they replace:\n{_listed(weaker)}")
    warnings = [f"{fault} (not decided: this test needs the key)" for fault in untested]
    warnings += [f"{change} (allowed by allowWeaker)" for change in step.weaker]
    warnings += [f"{one.file}:{one.line}:{one.column}: {one.message}" for one in find(plan) if one.kind == "warning"]
    return Allowed(warnings=tuple(warnings[:SHOWN_FAULTS]))


def _step(before: dict[str, str], after: dict[str, str]) -> Step:
    """How rules compare to those that they replace, if there were any."""
    if not before:
        return Step()
    old, new = (Ruleset(digest=digest_of(texts), texts=texts) for texts in (before, after))
    return take_step(old, new)


def compile_without_keys(texts: dict[str, str], *, json_depth: int) -> tuple[Plan, tuple[RuleError, ...]]:
    """Compiles rules with stand-ins for their keys; gives also the tests that failed, which may be for that reason.

    Raises:
        RuleSetInvalid: with every fault.
    """
    keys = _StandIns()
    try:
        return compile_ruleset(texts, keys.resolve, json_depth=json_depth, run_tests=True), ()
    except RuleSetInvalid as invalid:
        if not keys.asked:
            raise
        plan = compile_ruleset(texts, _StandIns().resolve, json_depth=json_depth, run_tests=False)
        return plan, invalid.errors


def rule_texts(config_map: Json) -> dict[str, str]:
    """The rule files of a ConfigMap, by name, as the kubelet would lay them."""
    data = config_map.get("data") or {}
    return {name: text for name, text in data.items() if name.endswith(_SUFFIXES) and not name.startswith(".")}


def _holds_rules(config_map: Json) -> bool:
    labels = (config_map.get("metadata") or {}).get("labels") or {}
    return bool(labels.get(LABEL) == "true")


def _listed(faults: Sequence[RuleError]) -> str:
    shown = "\n".join(str(fault) for fault in faults[:SHOWN_FAULTS])
    more = len(faults) - SHOWN_FAULTS
    return shown + (f"\nand {more} more" if more > 0 else "")
