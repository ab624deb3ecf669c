"""Whether one ruleset may take the place of another.

A ruleset that masks less than the one before it (`wiremask.rules.review.compare`) may do so only if its metadata names
that one: `allowWeaker: {from: DIGEST, reason: ...}`. The permission is for that one step: it names no other ruleset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wiremask.rules import RuleError, RuleSetInvalid, compile_ruleset
from wiremask.rules.review.compare import compare

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wiremask.rules.model.metadata import AllowWeaker

__all__ = ["Ruleset", "Step", "take_step"]

CHANGES_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """A ruleset by its files.

    Attributes:
        texts: text by file name.
    """

    digest: str
    texts: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What became of the question.

    Attributes:
        digest: of the ruleset before; "" if there was none.
        weaker: what is masked less, a line each, at most CHANGES_TOLD and one that says how many more there are.
        allowed: the permission, if it is for this step.
    """

    digest: str = ""
    weaker: tuple[str, ...] = ()
    allowed: AllowWeaker | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the ruleset before must stay."""
        return bool(self.weaker) and self.allowed is None

    def refusal(self, path: Path) -> RuleSetInvalid:
        """The refusal as faults of the rules at `path`."""
        permission = f'allowWeaker: {{from: "{self.digest}", reason: ...}}'
        advice = f"to allow it, write {permission} in the metadata of the new rules"
        return RuleSetInvalid(
            [RuleError(file=str(path), line=1, column=1, message=message) for message in (*self.weaker, advice)]
        )


def take_step(old: Ruleset, new: Ruleset) -> Step:
    """Compares two rulesets; the new one is valid."""
    if old.digest == new.digest:
        return Step()
    after = compile_ruleset(new.texts, None, run_tests=False)
    allowed = after.metadata.allow_weaker
    if allowed is not None and allowed.digest != old.digest:
        allowed = None
    try:
        before = compile_ruleset(old.texts, None, run_tests=False)
    except RuleSetInvalid:  # it comes from a baseline that another release has written
        unread = "this release cannot read the ruleset before, so nothing is proven"
        return Step(digest=old.digest, weaker=(unread,), allowed=allowed)
    weaker = [f"masks less: {change}" for change in compare(before, after) if change.weaker]
    if len(weaker) > CHANGES_TOLD:
        weaker[CHANGES_TOLD:] = [f"masks less: {len(weaker) - CHANGES_TOLD} fields more; wiremask diff tells them all"]
    return Step(digest=old.digest, weaker=tuple(weaker), allowed=allowed)
