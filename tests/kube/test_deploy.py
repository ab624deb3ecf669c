"""The files of deploy/: rules that load, objects that Kubernetes takes, a unit that systemd takes."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from support import kubetools
from support.chart import KUBERNETES, ROOT
from wiremask.proxy.config import load
from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.loading import load_rules

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kubernetes_validate

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted(file for file in (DEPLOY / "kubernetes").glob("*.yaml") if not file.is_symlink())


def read(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text("utf-8"))


@pytest.mark.parametrize("file", sorted((DEPLOY / "rules").glob("*.yaml")), ids=lambda file: file.stem)
def test_example_rules_load_and_pass_their_tests(file: Path) -> None:
    plan = load_rules(file, env={"WIREMASK_KEY_PII": "hex:" + sha256(b"test").hexdigest()}, json_depth=JSON_DEPTH)

    assert plan.rules


@pytest.mark.parametrize(
    "file", [file for file in MANIFESTS if file.stem != "kustomization"], ids=lambda file: file.stem
)
def test_manifest_is_valid(file: Path) -> None:
    kubernetes_validate.validate(read(file), KUBERNETES.rpartition(".")[0], strict=True)


def test_kustomization_names_every_file() -> None:
    kustomization = read(DEPLOY / "kubernetes" / "kustomization.yaml")

    named = {*kustomization["resources"], *kustomization["configMapGenerator"][0]["files"], "kustomization.yaml"}

    assert named == {file.name for file in (DEPLOY / "kubernetes").iterdir()}


def test_configuration_of_the_manifest_is_one_that_the_proxy_takes() -> None:
    deployment = read(DEPLOY / "kubernetes" / "deployment.yaml")
    service = read(DEPLOY / "kubernetes" / "service.yaml")
    container = deployment["spec"]["template"]["spec"]["containers"][0]

    config = load(None, {entry["name"]: entry["value"] for entry in container["env"]})

    assert [port["port"] for port in service["spec"]["ports"]] == list(config.listeners[0].ports)


def test_compose_keeps_clients_from_the_broker() -> None:
    services = read(DEPLOY / "compose" / "compose.yaml")["services"]

    assert services["kafka"]["networks"] == ["brokers"]
    assert services["producer"]["networks"] == services["consumer"]["networks"] == ["clients"]
    for volume in services["wiremask"]["volumes"]:
        assert (DEPLOY / "compose" / volume.split(":")[0]).exists()


def test_dockerfile_is_one_that_buildkit_reads_without_a_warning() -> None:
    program = kubetools.needed(kubetools.dockerfile)

    done = subprocess.run([program, DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine")
def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "wiremask.service").read_text("utf-8")
    program = shutil.which("true")
    (tmp_path / "wiremask.service").write_text(unit.replace("/opt/wiremask/bin/wiremask", str(program)), "utf-8")

    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "wiremask.service"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "wiremask.service" not in done.stderr, done.stderr
