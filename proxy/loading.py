"""Rule files and keys -> a plan: the one way from a path to what masks, for proxy, commands and in-process API."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.proxy.keyfiles import KeyFiles
from wiremask.proxy.rulefiles import read_rule_files, watched_directories
from wiremask.rules import RuleSetInvalid, compile_ruleset

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
        texts_digest: tells the state of the rule files; "" if they could not be read.
        keys: the key files that were read on the way; None if it did not come so far.
        watched: the directories in which a change may lead to another result.
    """

    plan: Plan | None
    invalid: RuleSetInvalid | None
    texts_digest: str
    keys: KeyFiles | None
    watched: frozenset[Path]

    @classmethod
    def unreadable(cls, invalid: RuleSetInvalid) -> Attempt:
        """An attempt that found no rule files to compile."""
        return cls(plan=None, invalid=invalid, texts_digest="", keys=None, watched=frozenset())

    def is_of(self, files: RuleFiles) -> bool:
        """Whether reading these files again would come to the same: same texts, same key files."""
        if self.keys is None or self.texts_digest != _digest(files.texts):
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


def compile_files(files: RuleFiles, *, env: Mapping[str, str], json_depth: int) -> Attempt:
    """Compiles rule files that are read; a fault is part of what it returns."""
    keys = KeyFiles(env)
    plan, invalid = None, None
    try:
        plan = compile_ruleset(files.texts, keys.resolve, json_depth=json_depth, run_tests=True)
    except RuleSetInvalid as error:
        invalid = _placed(error, files.directory)
    return Attempt(
        plan=plan,
        invalid=invalid,
        texts_digest=_digest(files.texts),
        keys=keys,
        watched=files.watched | watched_directories(keys.files),
    )


def _placed(invalid: RuleSetInvalid, directory: Path) -> RuleSetInvalid:
    return RuleSetInvalid([replace(fault, file=str(directory / fault.file)) for fault in invalid.errors])


def _digest(texts: Mapping[str, str]) -> str:
    state = hashlib.sha256()
    for name, text in sorted(texts.items()):
        for part in (name.encode(errors="surrogateescape"), text.encode()):
            state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()
