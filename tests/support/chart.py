"""The chart, rendered by Helm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "helm" / "wiremask"
KUBERNETES = "1.37.0"

Json = dict[str, Any]


class ChartRefused(Exception):
    """Helm did not render; the text is what it said."""


class Chart:
    """Renders the chart, or another that depends on it."""

    def __init__(self, helm: Path) -> None:
        self._helm = helm

    def lint(self, *values: Path) -> None:
        """Runs `helm lint`.

        Raises:
            ChartRefused: it found something.
        """
        self._run("lint", str(FOLDER), "--strict", "--kube-version", KUBERNETES, *_files(values))

    def render(
        self,
        *values: Path,
        settings: dict[str, str] | None = None,
        namespace: str = "wiremask",
        release: str = "wiremask",
        folder: Path = FOLDER,
    ) -> list[Json]:
        """The objects of a release, as Helm would send them.

        Raises:
            ChartRefused: the values do not fit the schema, or a template failed.
        """
        given = [part for name, value in (settings or {}).items() for part in ("--set-json", f"{name}={value}")]
        at = ["--namespace", namespace, "--kube-version", KUBERNETES]
        text = self._run("template", release, str(folder), *at, *_files(values), *given)
        return [document for document in YAML(typ="safe", pure=True).load_all(text) if document]

    def with_dependency(self, example: Path, target: Path) -> Path:
        """A copy of a chart that depends on this one, with this one in it."""
        shutil.copytree(example, target)
        shutil.copytree(FOLDER, target / "charts" / "wiremask")
        return target

    def _run(self, *arguments: str) -> str:
        done = subprocess.run([str(self._helm), *arguments], capture_output=True, text=True, check=False, timeout=120)
        if done.returncode != 0:
            raise ChartRefused(done.stdout + done.stderr)
        return done.stdout


def one(objects: list[Json], kind: str, name: str = "") -> Json:
    """The only object of a kind whose name ends so."""
    found = [each for each in objects if each["kind"] == kind and each["metadata"]["name"].endswith(name)]
    assert len(found) == 1, f"{len(found)} objects of kind {kind} with a name that ends with {name!r}"
    return found[0]


def _files(values: tuple[Path, ...]) -> list[str]:
    return [part for file in values for part in ("--values", str(file))]
