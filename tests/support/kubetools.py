"""Programs of Kubernetes for the tests of the chart, built from the Go module proxy once per machine.

Each is a module under tests/kube/tools with its go.mod and go.sum, so that the same sources are built everywhere.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.built import ToolchainMissing, cached, run, tool

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIRED = "WIREMASK_REQUIRE_KUBE"
"""Set to 1 where a missing program is a failure, as in .ci/run."""


TOOLS = Path(__file__).parent.parent / "kube" / "tools"

PROGRAMS = {
    "helm": "helm.sh/helm/v3/cmd/helm",
    "helm-unittest": "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kustomize": "sigs.k8s.io/kustomize/kustomize/v5",  # what `kubectl apply -k` does before it applies
    "compose": "github.com/compose-spec/compose-go/v2/cmd",  # the reader of Compose files that Docker uses
    # Of our own:
    "monitoring": ".",  # objects of the Prometheus operator, strictly, by the operator's own types
    "dockerfile": ".",  # a Dockerfile, with BuildKit's own parser and linter
    "promql": ".",  # rules and expressions, with Prometheus' own parser and engine
}
"""What each module under `TOOLS` is for: the package that is its program."""


def needed(build: Callable[[], Path]) -> Path:
    """The program; without Go the test is left out, or fails where it is required."""
    try:
        return build()
    except ToolchainMissing as error:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1 and no Kubernetes tools: {error}", pytrace=False)
        pytest.skip(f"no Kubernetes tools: {error}")


def program(name: str) -> Path:
    """One of `PROGRAMS`; without Go the test is left out, or fails where it is required."""
    return needed(lambda: _built(name))


def systemd_analyze() -> Path:
    """Systemd's own judge of units.

    Raises:
        ToolchainMissing: this machine has none.
    """
    return Path(tool("systemd-analyze", "systemd"))


def module_folder(name: str, module: str) -> Path:
    """Where the sources of a module lie that the go.mod of `name` requires.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    told = run([tool("go", "Go"), "mod", "download", "-json", module], cwd=TOOLS / name)
    return Path(json.loads(told)["Dir"])


def _version_flags() -> str:
    """What tells the API server its version: without, it takes itself for 0.0.0 and refuses to start."""
    found = re.search(r"k8s.io/kubernetes (v\S+)", (TOOLS / "kube-apiserver" / "go.mod").read_text("utf-8"))
    assert found is not None, "kube-apiserver/go.mod does not require k8s.io/kubernetes"
    major, minor = found[1].removeprefix("v").split(".")[:2]
    told = {"gitVersion": found[1], "gitMajor": major, "gitMinor": minor}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items())


def _built(name: str) -> Path:
    """A program of the table, built once on this machine.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    source = TOOLS / name
    flags = f"-s -w {_version_flags()}" if name == "kube-apiserver" else "-s -w"

    def build(folder: Path) -> None:
        go = [tool("go", "Go"), "build", "-trimpath", "-buildvcs=false", f"-ldflags={flags}"]
        target = ["-o", str(folder / name), PROGRAMS[name]]
        run([*go, *target], cwd=source, env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})

    sources = [source / "go.mod", source / "go.sum", *sorted(source.glob("*.go"))]
    return cached("kube", name, sources, build) / name
