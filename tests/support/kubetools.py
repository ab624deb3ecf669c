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


def needed(build: Callable[[], Path]) -> Path:
    """The program; without Go the test is left out, or fails where it is required."""
    try:
        return build()
    except ToolchainMissing as error:
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{REQUIRED}=1 and no Kubernetes tools: {error}", pytrace=False)
        pytest.skip(f"no Kubernetes tools: {error}")


def helm() -> Path:
    """Helm 3.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("helm", "helm.sh/helm/v3/cmd/helm")


def helm_unittest() -> Path:
    """The unit tests of charts, a plugin of Helm's that also runs alone.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("helm-unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest")


def kube_apiserver() -> Path:
    """Kubernetes' API server.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    version = _required("kube-apiserver", "k8s.io/kubernetes")
    major, minor = version.removeprefix("v").split(".")[:2]
    told = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    # Without these it takes itself for version 0.0.0 and refuses to start.
    flags = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in told.items())
    return _built("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver", flags)


def etcd() -> Path:
    """The store of the API server.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("etcd", "go.etcd.io/etcd/server/v3")


def monitoring() -> Path:
    """A program of ours that reads objects of the Prometheus operator strictly, by the operator's own types.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("monitoring", ".")


def dockerfile() -> Path:
    """A program of ours that reads a Dockerfile with BuildKit's own parser and linter.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("dockerfile", ".")


def promql() -> Path:
    """A program of ours that reads rules, and evaluates expressions, with Prometheus' own parser and engine.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("promql", ".")


def kustomize() -> Path:
    """What `kubectl apply -k` does before it applies.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("kustomize", "sigs.k8s.io/kustomize/kustomize/v5")


def compose() -> Path:
    """The reader of Compose files that Docker uses.

    Raises:
        ToolchainMissing: there is no go, or it failed.
    """
    return _built("compose", "github.com/compose-spec/compose-go/v2/cmd")


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


def _required(name: str, module: str) -> str:
    found = re.search(rf"{re.escape(module)} (v\S+)", (TOOLS / name / "go.mod").read_text("utf-8"))
    assert found is not None, f"{name}/go.mod does not require {module}"
    return found[1]


def _built(name: str, package: str, flags: str = "") -> Path:
    source = TOOLS / name

    def build(folder: Path) -> None:
        go = [tool("go", "Go"), "build", "-trimpath", "-buildvcs=false", f"-ldflags=-s -w {flags}".rstrip()]
        run([*go, "-o", str(folder / name), package], cwd=source, env={"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly"})

    sources = [source / "go.mod", source / "go.sum", *sorted(source.glob("*.go"))]
    return cached("kube", name, sources, build) / name
