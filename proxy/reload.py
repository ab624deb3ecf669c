"""The current ruleset, and its hot reload.

What masks is one immutable `RuleSnapshot`. A reload reads, checks, tests and compiles the new rules on another thread
and swaps the snapshot in one assignment; who is at work finishes with the snapshot that it read. Invalid rules are an
error at the start. Later they change nothing: the rules before them stay, and log, metric and `/readyz` say why. So do
rules that mask less than those before them without a permission for that step (`stepdown`); with `rules.baseline` that
holds across restarts too.

A reload is tried when the operating system tells of a change near the rule and key files, when SIGHUP asks for it, and
every `rules.rescanSeconds`, for file systems that tell nothing. Files that read as before change nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wiremask.proxy import metrics
from wiremask.proxy.baseline import read_baseline, write_baseline
from wiremask.proxy.health import Health, RulesHealth
from wiremask.proxy.loading import Attempt, compile_files
from wiremask.proxy.log import logger
from wiremask.proxy.model import Seconds, Section
from wiremask.proxy.rulefiles import read_rule_files
from wiremask.proxy.stepdown import take_step
from wiremask.proxy.watch import DirectoryWatch
from wiremask.rules import OUTPUT_LIMIT_BYTES, RuleSetInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wiremask.proxy.stepdown import Ruleset
    from wiremask.rules import Plan

__all__ = ["RuleSnapshot", "RuleSource", "RulesConfig"]

Outcome = Literal["applied", "unchanged", "refused"]

_SETTLE_S = 1.0
"""A watch that has just begun may have missed what happened while it began: look again after this time."""

_log = logger()


class RulesConfig(Section):
    """Section `rules`."""

    path: Path = Path("/etc/wiremask/rules")
    """A rule file, or a directory of `*.yaml` and `*.yml` files."""

    rescan_seconds: Seconds = 10
    """The files are looked at this often, also where the file system tells of no change."""

    baseline: Path | None = None
    """A file that remembers the last ruleset, so that a restart cannot mask less either; made if it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RuleSnapshot:
    """A ruleset at work.

    Attributes:
        generation: counts the rulesets of this process, from 1.
        digest: SHA-256 of the rule files, by which a ruleset is named.
    """

    plan: Plan
    generation: int
    digest: str
    loaded_at: datetime


class RuleSource:
    """Loads the rules when it is made, and keeps `current` up to date while `watch` runs.

    Raises:
        RuleSetInvalid: there are no valid rules to start with.
    """

    current: RuleSnapshot

    def __init__(
        self,
        config: RulesConfig,
        *,
        json_depth: int,
        output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
        health: Health,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self._config = config
        self._compile = partial(compile_files, env=env, json_depth=json_depth, output_limit_bytes=output_limit_bytes)
        self._health = health
        self._wake = asyncio.Event()
        self._is_asked = False
        self._refused: Attempt | None = None
        before = None if config.baseline is None else read_baseline(config.baseline)
        self._applied = self._judge(self._compile(read_rule_files(config.path)), before)
        if self._applied.plan is None:
            raise self._applied.invalid or AssertionError("no plan and no reason")
        if config.baseline is not None and before is None:
            _log.warning("baseline made", path=str(config.baseline), digest=self._applied.plan.digest)
        self._tell_step(self._applied)
        self._swap(self._applied.plan, generation=1)
        _log.info("rules loaded", path=str(config.path), digest=self.current.digest, rules=len(self.current.plan.rules))

    def request_reload(self) -> None:
        """Asks the watch to look at the files now, and to say what came of it; SIGHUP does this."""
        self._is_asked = True
        self._wake.set()

    async def watch(self) -> None:
        """Reloads until it is cancelled."""
        changes = DirectoryWatch(self._wake.set)
        try:
            while True:
                watched = self._applied.watched | (self._refused.watched if self._refused else frozenset())
                is_new = await changes.follow(watched)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SETTLE_S if is_new else self._config.rescan_seconds):
                        await self._wake.wait()
                self._wake.clear()
                try:
                    await self.reload()
                except Exception as error:  # a fault here must not end hot reload for good
                    self._health.refused = (f"reload failed: {type(error).__name__}; the log says where",)
                    metrics.ruleset_reloads.labels("refused").inc()
                    _log.exception("reload failed", digest=self.current.digest)
        finally:
            await changes.close()

    async def reload(self) -> Outcome:
        """Reads the files, and swaps the snapshot if they hold other rules that are valid."""
        is_asked, self._is_asked = self._is_asked, False
        attempt = await asyncio.to_thread(self._attempt)
        outcome: Outcome
        if attempt is self._applied:
            outcome = "unchanged"
            if self._refused is not None:
                self._refused, self._health.refused = None, ()
                _log.info("rule files are back to the rules at work", digest=self.current.digest)
        elif attempt is self._refused:
            outcome = "unchanged"
        elif attempt.plan is None:
            outcome = "refused"
            self._refuse(attempt)
        else:
            outcome = "applied"
            self._apply(attempt, attempt.plan)
        # A rescan that finds nothing is not counted: it says nothing, ten thousand times a day.
        if is_asked or outcome != "unchanged":
            metrics.ruleset_reloads.labels(outcome).inc()
        if is_asked and outcome == "unchanged":
            _log.info("rules unchanged", digest=self.current.digest, count=len(self._health.refused))
        return outcome

    def _attempt(self) -> Attempt:
        """Reads and compiles, on a worker thread; gives an earlier attempt again if it would come to the same."""
        refused = self._refused
        try:
            files = read_rule_files(self._config.path)
        except RuleSetInvalid as invalid:
            if refused is not None and str(refused.invalid) == str(invalid):
                return refused
            return Attempt.unreadable(invalid)
        for known in (self._applied, refused):
            if known is not None and known.is_of(files):
                return known
        return self._judge(self._compile(files), self._applied.ruleset)

    def _judge(self, attempt: Attempt, before: Ruleset | None) -> Attempt:
        """Takes the plan from an attempt that may not follow the ruleset before it; else keeps that it follows."""
        if attempt.plan is None or attempt.ruleset is None:
            return attempt
        step = attempt.step if before is None else take_step(before, attempt.ruleset)
        if step.is_refused:
            return replace(attempt, plan=None, invalid=step.refusal(self._config.path), step=step)
        if self._config.baseline is not None and attempt.ruleset != before:
            try:
                # Before the swap: rules that are at work and not remembered could be weakened by a restart.
                write_baseline(self._config.baseline, attempt.ruleset)
            except RuleSetInvalid as invalid:
                # Without keys this is no attempt that would come to the same again: the next rescan tries anew.
                return replace(attempt, plan=None, invalid=invalid, keys=None)
        return replace(attempt, step=step)

    def _tell_step(self, attempt: Attempt) -> None:
        """Counts and logs a step down that was allowed."""
        step = attempt.step
        if attempt.plan is None or not step.weaker or step.allowed is None:
            return
        metrics.ruleset_weaker.labels("allowed").inc()
        for weaker in step.weaker:
            _log.warning("weaker rules allowed", error=weaker)
        _log.warning(
            "weaker rules allowed",
            previous_digest=step.digest,
            digest=attempt.plan.digest,
            reason=step.allowed.reason,
            count=len(step.weaker),
        )

    def _apply(self, attempt: Attempt, plan: Plan) -> None:
        previous, self._applied, self._refused = self.current, attempt, None
        self._tell_step(attempt)
        self._swap(plan, generation=previous.generation + 1)
        _log.info(
            "rules applied",
            generation=self.current.generation,
            previous_digest=previous.digest,
            digest=plan.digest,
            rules=len(plan.rules),
            reason="key files changed" if plan.digest == previous.digest else "rule files changed",
        )

    def _refuse(self, attempt: Attempt) -> None:
        self._refused = attempt
        if attempt.step.is_refused:
            metrics.ruleset_weaker.labels("refused").inc()
        self._health.refused = tuple(str(error) for error in attempt.invalid.errors) if attempt.invalid else ()
        for error in self._health.refused:
            _log.error("rules refused", error=error)
        kept = self.current
        _log.warning("rules kept", digest=kept.digest, generation=kept.generation, count=len(self._health.refused))

    def _swap(self, plan: Plan, *, generation: int) -> None:
        loaded_at = datetime.now(UTC)
        self.current = RuleSnapshot(plan=plan, generation=generation, digest=plan.digest, loaded_at=loaded_at)
        self._health.refused = ()
        self._health.rules = RulesHealth(
            generation=generation, digest=plan.digest, rules=len(plan.rules), loaded_at=loaded_at
        )
        metrics.ruleset_generation.set(generation)
        metrics.ruleset_rules.set(len(plan.rules))
        for rule in plan.rules:
            if rule.observes:
                _log.info("rule observes only", rule=rule.name, generation=generation)
