"""The compiled code under AddressSanitizer: over the corpus of the fuzzer and over that of its own tests, the same each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import sanitized
from fuzz.targets import PYTHON, TARGETS
from support.required import needed

pytestmark = [pytest.mark.xdist_group("sanitized"), pytest.mark.timeout(900)]

REQUIRED = "WIREMASK_REQUIRE_SANITIZER"
"""Set to 1 where a compiler without AddressSanitizer is a failure, as in .ci/run."""

FUZZED = " or ".join(f"short_run and {target}" for target in TARGETS if target not in PYTHON)
RUNS = {
    "the fuzzer": ["tests/fuzz/test_fuzz.py", "-k", FUZZED],
    "the tests of the JSON kernel": ["tests/rules/kernel/test_jsonmask.py", "-k", "not threads and not cost"],
    "the tests of finder and maskers": [
        *("tests/rules/detect/test_finder.py", "tests/rules/kernel/test_detection.py", "tests/rules/maskers"),
        *("--ignore=tests/rules/maskers/test_catalog.py", "-k", "not hostile"),
    ],
}


@pytest.fixture(scope="module")
def directory() -> Path:
    """The sanitized build of this work tree."""
    directory = sanitized.ROOT / "out" / "sanitized"
    with needed("AddressSanitizer", required_by=REQUIRED):
        sanitized.build(directory)
    return directory


def _run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = sanitized.environment(directory, tells_edges=False)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=sanitized.ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", RUNS.values(), ids=RUNS)
def test_no_byte_is_read_or_written_outside_of_its_buffer(arguments: list[str], directory: Path) -> None:
    # Not captured inside: what a sanitizer says of an overflow that it goes on after would be lost.
    done = _run(
        directory, "-m", "pytest", "-q", "--capture=no", "--hypothesis-seed=1", "-p", "no:cacheprovider", *arguments
    )

    said = done.stdout[-4000:]
    assert done.returncode == 0, said
    assert "runtime error" not in done.stdout, said


def test_the_build_is_the_sanitized_one_and_a_read_outside_of_a_buffer_ends_it(directory: Path) -> None:
    code = "import ctypes; from wiremask.protocol import batch; print(batch.__file__, flush=True); "
    beyond = "memory = ctypes.create_string_buffer(1000); ctypes.string_at(memory, 2000)"

    done = _run(directory, "-c", code + beyond)

    assert str(directory) in done.stdout.splitlines()[0]
    assert done.returncode != 0
    assert "AddressSanitizer: heap-buffer-overflow" in done.stdout
