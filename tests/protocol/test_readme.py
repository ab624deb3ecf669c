"""The table in protocol/README.md is the one in protocol/api.py."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from wiremask.protocol.api import APIS
from wiremask.protocol.features import BETWEEN_SERVERS, LEVELS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "protocol" / "README.md"
TOOL = runpy.run_path(str(ROOT / "deploy" / "api_table.py"))


def test_the_table_is_fresh() -> None:
    assert TOOL["main"](["--check"]) == 0, "run python deploy/api_table.py"


def test_the_check_sees_a_stale_table() -> None:
    text = README.read_text(encoding="utf-8")
    stale = text.replace("| 0 | Produce | rewrite | 3-13 |", "| 0 | Produce | rewrite | 3-12 |")

    assert stale != text
    assert TOOL["renewed"](stale) == text


def test_a_readme_without_a_place_for_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="lacks"):
        TOOL["renewed"]("# The wire")


def test_every_feature_and_what_it_needs_is_told() -> None:
    text = README.read_text(encoding="utf-8")

    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| `")}
    for feature, levels in LEVELS.items():
        assert f"| {len(levels)} |" in rows[f"`{feature}`"]
        for key, version in levels[-1]:
            assert f"{APIS[key].name} {version}" in rows[f"`{feature}`"]
    assert all(f"`{feature}`" in text for feature in BETWEEN_SERVERS)
