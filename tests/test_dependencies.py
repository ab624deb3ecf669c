"""What the package needs, by lower bounds; what it is developed and tested with, exactly."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)\s+# \S")


def required() -> list[Requirement]:
    """All that pyproject.toml asks for: to build, to run, for extras, and to develop."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    lists = [
        document["build-system"]["requires"],
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *document["dependency-groups"].values(),
    ]
    return [Requirement(text) for texts in lists for text in texts]


def locked() -> dict[str, str]:
    """The version of every package in requirements.lock."""
    lines = [line for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    found = [PINNED.match(line) for line in lines]
    assert None not in found, "a line of the lock does not pin one version with its licence"
    return {canonicalize_name(one["name"]): one["version"] for one in found if one}


def test_every_requirement_has_a_lower_bound_and_none_is_exact() -> None:
    operators = {one.name: {each.operator for each in one.specifier} for one in required()}

    assert [name for name, used in operators.items() if ">=" not in used or used & {"==", "===", "~="}] == []


def test_the_lock_has_what_development_needs_and_keeps_to_the_bounds() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = locked()
    needed = {canonicalize_name(Requirement(text).name) for text in document["dependency-groups"]["dev"]}
    needed |= {canonicalize_name(Requirement(text).name) for text in document["project"]["dependencies"]}

    outside = [
        one.name
        for one in required()
        if (pin := pins.get(canonicalize_name(one.name))) is not None and pin not in one.specifier
    ]

    assert needed - pins.keys() == set()
    assert outside == []


def test_the_tests_run_with_what_is_locked() -> None:
    pins = locked()

    installed = {name: version(name) for name in pins}

    assert installed == pins
