"""Rule files and keys -> a plan: the one way from a path to what masks, for proxy, commands and in-process API."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wiremask.proxy.keyfiles import KeyFiles
from wiremask.proxy.rulefiles import read_rule_files, watched_directories
from wiremask.proxy.stepdown import Ruleset, Step
from wiremask.rules import OUTPUT_LIMIT_BYTES, RuleSetInvalid, compile_ruleset
from wiremask.rules.language.ruleset import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wiremask.proxy.rulefiles import RuleFiles
    from wiremask.rules import Plan

__all__ = ["Attempt", "compile_files", "load_rules", "read_rules"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attempt:
    """What came of reading the rules once.

    Attributes:
        plan: the compiled ruleset; None if it is invalid.
        invalid: why there is no plan, each error under the path of its file.
        ruleset: the rule files; None if they could not be read.
        keys: the key files that were read on the way; None if it did not come so far.
        watched: the directories in which a change may lead to another result.
        step: how the plan compares to the one before it.
    """

    plan: Plan | None
    invalid: RuleSetInvalid | None
    ruleset: Ruleset | None
    keys: KeyFiles | None
    watched: frozenset[Path]
    step: Step = field(default_factory=Step)

    @classmethod
    def unreadable(cls, invalid: RuleSetInvalid) -> Attempt:
        """An attempt that found no rule files to compile."""
        return cls(plan=None, invalid=invalid, ruleset=None, keys=None, watched=frozenset())

    def is_of(self, files: RuleFiles) -> bool:
        """Whether reading these files again would come to the same: same texts, same key files."""
        if self.keys is None or self.ruleset is None or self.ruleset.digest != digest_of(files.texts):
            return False
        return not self.keys.have_changed()


def load_rules(path: Path, *, env: Mapping[str, str], json_depth: int) -> Plan:
    """Reads, checks and compiles the rules at `path`, a file or a directory, and runs their tests.

    Raises:
        RuleSetInvalid: with every fault, under the path of its file.
    """
    attempt = compile_files(read_rule_files(path), env=env, json_depth=json_depth)
    if attempt.plan is None:
        raise attempt.invalid or AssertionError("no plan and no reason")
    return attempt.plan


def read_rules(path: Path, *, json_depth: int) -> Plan:
    """Reads and checks the rules at `path` without their keys and tests: a plan to be compared, never to mask.

    Raises:
        RuleSetInvalid: with every fault, under the path of its file.
    """
    files = read_rule_files(path)
    try:
        return compile_ruleset(files.texts, None, json_depth=json_depth, run_tests=False)
    except RuleSetInvalid as error:
        raise _placed(error, files.directory) from None


def compile_files(
    files: RuleFiles, *, env: Mapping[str, str], json_depth: int, output_limit_bytes: int = OUTPUT_LIMIT_BYTES
) -> Attempt:
    """Compiles rule files that are read; a fault is part of what it returns."""
    keys = KeyFiles(env)
    plan, invalid = None, None
    try:
        plan = compile_ruleset(
            files.texts, keys.resolve, json_depth=json_depth, output_limit_bytes=output_limit_bytes, run_tests=True
        )
    except RuleSetInvalid as error:
        invalid = _placed(error, files.directory)
    return Attempt(
        plan=plan,
        invalid=invalid,
        ruleset=Ruleset(digest=digest_of(files.texts), texts=files.texts),
        keys=keys,
        watched=files.watched | watched_directories(keys.files),
    )


def _placed(invalid: RuleSetInvalid, directory: Path) -> RuleSetInvalid:
    return RuleSetInvalid([replace(fault, file=str(directory / fault.file)) for fault in invalid.errors])
