"""Without a program that tests need: left out loudly on a laptop, a failure where it is required."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.required import BROKER, needed
from support.toolchains import ToolchainMissing

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_test_whose_program_is_missing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BROKER, raising=False)

    with pytest.raises(pytest.skip.Exception, match="no real broker: there is no java"), needed("real broker"):
        raise ToolchainMissing("there is no java")


def test_it_fails_where_the_program_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BROKER, "1")

    with pytest.raises(pytest.fail.Exception, match=f"{BROKER}=1 and no real broker"), needed("real broker"):
        raise ToolchainMissing("there is no java")


@pytest.mark.parametrize(("required", "code"), [("", 0), ("1", 1)], ids=["on a laptop", "required"])
def test_a_run_without_java_says_so_loudly(required: str, code: int, tmp_path: Path) -> None:
    # Nothing on the path, and nothing of Kafka in the cache.
    environment = {
        **os.environ,
        "PATH": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "JAVA_HOME": "",
        BROKER: required,
    }

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/broker/test_roundtrip.py",
            "-k",
            "idempotent",
        ],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == code, done.stdout[-2000:]
    assert ("NOT TESTED: THIS MACHINE LACKS WHAT IT NEEDS" in done.stdout) == (not required)
    assert "no real broker" in done.stdout


def test_the_ci_requires_all_that_tests_can_do_without() -> None:
    known = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        if "bench" not in path.parts
        for name in re.findall(r"\bWIREMASK_REQUIRE_[A-Z]+", path.read_text(encoding="utf-8"))
    }

    required = set(re.findall(r"\b(WIREMASK_REQUIRE_[A-Z]+)=1", (ROOT / ".ci" / "run").read_text(encoding="utf-8")))

    assert required == known
    assert BROKER in known
