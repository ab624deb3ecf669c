"""A short run of every fuzz target, the same each time; `make fuzz` runs them long, with sanitizers and coverage."""

from __future__ import annotations

import pytest

from fuzz.run import run, seeds
from fuzz.targets import TARGETS

INPUTS = {"rules": 400}


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_of_a_short_run_is_a_finding(target: str) -> None:
    report = run(target, inputs=INPUTS.get(target, 6000), seed=1)

    assert [(finding.error, finding.data) for finding in report.findings] == []
    assert report.inputs == INPUTS.get(target, 6000)


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_and_all_of_them_are_small(target: str) -> None:
    sizes = [len(seed) for seed in seeds(target)]

    assert len(sizes) >= 3
    assert max(sizes) <= 4096


def test_a_fault_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        if b"\xff" in data:
            raise ValueError

    monkeypatch.setitem(TARGETS, "frame", broken)  # type: ignore[arg-type]

    report = run("frame", inputs=2000, seed=1)

    assert 0 < len(report.findings) <= 20
    assert all(b"\xff" in finding.data for finding in report.findings)
