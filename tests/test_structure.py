"""What linters do not see: imports of compiled files, and the front page's promises."""

from __future__ import annotations

import importlib
import operator
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wiremask.proxy import metrics
from wiremask.proxy.limits import LimitsConfig
from wiremask.proxy.measures import Metric

ROOT = Path(__file__).resolve().parent.parent
COMPILED = sorted(path for folder in ("protocol", "rules") for path in (ROOT / folder).rglob("*.p[yx][xd]"))


@pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
def test_compiled_files_of_protocol_and_rules_know_neither_the_other_nor_the_proxy(path: Path) -> None:
    others = {"protocol", "rules", "proxy"} - {path.relative_to(ROOT).parts[0]}

    imported = set(re.findall(r"wiremask[./](\w+)", path.read_text(encoding="utf-8")))

    assert not imported & others


def test_there_are_compiled_files() -> None:
    assert {path.suffix for path in COMPILED} == {".pyx", ".pxd"}


def test_every_compiled_module_has_a_stub() -> None:
    modules = [path for folder in ("protocol", "proxy", "rules") for path in (ROOT / folder).rglob("*.pyx")]

    assert ROOT / "proxy" / "plainmask.pyx" in modules
    assert [path.name for path in modules if not path.with_suffix(".pyi").exists()] == []


def test_the_first_screen_of_the_readme_names_the_two_commands() -> None:
    first_screen = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:12]

    commands = [line.split("#")[0].strip() for line in first_screen if line.startswith("    ")]

    assert commands == ["make demo", "make test"]


NAMED_TESTS = re.findall(r"(tests/[\w/]+\.py)::(\w+)", (ROOT / "SECURITY.md").read_text(encoding="utf-8"))


def test_every_test_that_the_security_document_names_is_there() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED_TESTS
        if f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]

    assert missing == []
    assert len(NAMED_TESTS) >= 25


def test_every_failure_that_the_security_document_lists_is_open_or_closed_and_has_a_test() -> None:
    table = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Failures, and what the client sees")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if line.startswith("| ")
    ]

    wrong = [row[0] for row in rows[1:] if len(row) != 5 or row[1] not in {"open", "closed"} or "::" not in row[4]]

    assert wrong == []
    assert len(rows) > 40


def test_the_table_of_limits_is_that_of_the_configuration() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## Limits")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| `")]
    said = {row[0].strip("`"): (float(row[1]), row[3], row[4:]) for row in rows}
    defaults = LimitsConfig().model_dump(by_alias=True)
    told = {metric.name for metric in vars(metrics).values() if isinstance(metric, Metric)}

    named = set(re.findall(r"`(wiremask_\w+)", text))

    assert {name: default for name, (default, _, _) in said.items()} == defaults
    assert named <= told
    assert all(metric == "the same" or "wiremask_" in metric for _, metric, _ in said.values())
    assert all(test == "the same" or "::" in test for _, _, tests in said.values() for test in tests)


def test_every_name_of_the_path_of_one_record_is_there() -> None:
    named = re.findall(
        r"`((?:protocol|rules|proxy)/[\w/]+\.pyx?): ([\w.]+)`", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    )

    for path, symbol in named:
        module = importlib.import_module("wiremask." + path.rpartition(".")[0].replace("/", "."))
        assert operator.attrgetter(symbol)(module) is not None
    assert len(named) > 12


HEAVY = (
    "aiokafka",
    "anyio",
    "asyncio.windows_events",
    "click",
    "confluent_kafka",
    "hyperscan",
    "kafka",
    "rich",
    "typer",
)


def test_the_server_imports_nothing_that_it_does_not_need() -> None:
    code = "import sys, wiremask.proxy.commands.run, wiremask.proxy.server; print(*sys.modules)"

    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "wiremask.proxy.pipeline" in modules
    assert [module for module in modules if module in HEAVY] == []
