"""A disk that is full while rules are reloaded: what is short or could not be written leaves the rules at work as they are.

The proxy writes one file at a reload, `rules.baseline`, and only where that is set; and its log.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from support.rulefolder import RuleFolder
from wiremask.proxy import log
from wiremask.proxy.health import Health
from wiremask.proxy.reload import RulesConfig, RuleSource
from wiremask.rules import RuleSetInvalid

FULL = Path("/dev/full")

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")


def ruleset(*names: str) -> str:
    """Rules for `$.ssn` and `$.pan` of a topic each."""
    rules = "".join(
        f"  - name: {name}\n    topics: [{name}]\n    at: [produce]\n    value:\n      fields:\n"
        "        - {path: $.ssn, mask: redact}\n        - {path: $.pan, mask: redact}\n"
        for name in names
    )
    return f"apiVersion: wiremask.dev/v1\nkind: RuleSet\nmetadata: {{name: test}}\nrules:\n{rules}"


def source_of(rules: RuleFolder, baseline: Path | None = None) -> RuleSource:
    return RuleSource(RulesConfig(path=rules.path, baseline=baseline), json_depth=64, health=Health(), env={})


@pytest.fixture
def rules(tmp_path: Path) -> RuleFolder:
    folder = RuleFolder(tmp_path / "rules")
    folder.write(ruleset("one", "two"))
    return folder


async def test_a_baseline_that_finds_no_room_keeps_the_rules_and_itself(rules: RuleFolder, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    source = source_of(rules, baseline)
    before = source.current, baseline.read_bytes()
    rules.write(ruleset("one", "two", "three"))
    (tmp_path / f".baseline.json.{os.getpid()}").symlink_to(FULL)

    refused = await source.reload()
    kept = source.current, baseline.read_bytes()
    again = await source.reload()  # there is room again

    assert refused == "refused"
    assert kept == before
    assert again == "applied"
    assert sorted(os.listdir(tmp_path)) == ["baseline.json", "rules"]  # noqa: PTH208 - not in an async function


async def test_a_start_whose_baseline_finds_no_room_is_refused_with_the_reason(
    rules: RuleFolder, tmp_path: Path
) -> None:
    (tmp_path / f".baseline.json.{os.getpid()}").symlink_to(FULL)

    with pytest.raises(RuleSetInvalid, match=os.strerror(errno.ENOSPC)):
        source_of(rules, tmp_path / "baseline.json")


async def test_rules_that_were_written_in_part_never_mask_less(rules: RuleFolder) -> None:
    before, after = ruleset("one", "two"), ruleset("one", "two", "three")
    source = source_of(rules)
    applied = []

    for length in range(len(after) + 1):
        rules.write(after[:length])
        if await source.reload() == "applied":
            applied.append(after[:length])

    assert applied[-1].rstrip() == after.rstrip()
    assert all(text.startswith(before.rstrip()) for text in applied)
    assert source.current.generation == 1 + len(applied)


def test_a_log_that_finds_no_room_stops_nothing() -> None:
    stream = FULL.open("w")
    log.configure(log.LogConfig(), stream)

    try:
        log.logger().error("rules refused", error="invented")
    finally:
        log.configure(log.LogConfig())

    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        stream.close()  # with what the log could not say
