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
from support.kubernetes import ApiServer
from wiremask.proxy.config import load
from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.loading import load_rules

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kubernetes_validate

DEPLOY = ROOT / "deploy"

Json = dict[str, Any]


def said(command: list[Any], cwd: Path = ROOT) -> str:
    """What a program prints that has to succeed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(file: Path) -> Any:
    return YAML(typ="safe", pure=True).load(file.read_text("utf-8"))


@pytest.mark.parametrize("file", sorted((DEPLOY / "rules").glob("*.yaml")), ids=lambda file: file.stem)
def test_example_rules_load_and_pass_their_tests(file: Path) -> None:
    plan = load_rules(file, env={"WIREMASK_KEY_PII": "hex:" + sha256(b"test").hexdigest()}, json_depth=JSON_DEPTH)

    assert plan.rules


@pytest.fixture(scope="module")
def built() -> list[Json]:
    """What `kubectl apply -k deploy/kubernetes` would apply."""
    text = said([kubetools.program("kustomize"), "build", DEPLOY / "kubernetes"])
    return list(YAML(typ="safe", pure=True).load_all(text))


def test_kustomize_makes_valid_objects(built: list[Json]) -> None:
    for each in built:
        kubernetes_validate.validate(each, KUBERNETES.rpartition(".")[0], strict=True)

    rules = next(each for each in built if each["kind"] == "ConfigMap")
    assert rules["metadata"]["name"] == "wiremask-rules"
    assert rules["metadata"]["labels"]["wiremask.dev/rules"] == "true"
    assert rules["data"] == {"customers.yaml": (DEPLOY / "rules" / "customers.yaml").read_text("utf-8")}


def test_api_server_takes_what_kustomize_makes_and_its_pods(built: list[Json], api_server: ApiServer) -> None:
    for each in sorted(built, key=lambda one: one["kind"] != "Namespace"):
        api_server.create(each)
    template = next(each for each in built if each["kind"] == "Deployment")["spec"]["template"]
    metadata = {**template["metadata"], "name": "wiremask-1", "namespace": "wiremask"}

    # The namespace enforces Pod Security `restricted`, which says no to pods alone.
    pod = api_server.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})

    assert pod["spec"]["containers"][0]["name"] == "wiremask"


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
    said([kubetools.program("dockerfile"), DEPLOY / "Dockerfile"])


def test_compose_file_is_one_that_docker_reads() -> None:
    text = said([kubetools.program("compose"), DEPLOY / "compose" / "compose.yaml"], cwd=DEPLOY / "compose")

    assert set(YAML(typ="safe", pure=True).load(text)["services"]) == {"kafka", "wiremask", "producer", "consumer"}


def test_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = (DEPLOY / "systemd" / "wiremask.service").read_text("utf-8")
    program = shutil.which("true")
    (tmp_path / "wiremask.service").write_text(unit.replace("/opt/wiremask/bin/wiremask", str(program)), "utf-8")
    command = [kubetools.needed(kubetools.systemd_analyze), "verify", tmp_path / "wiremask.service"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert "wiremask.service" not in done.stderr, done.stderr


def test_unit_exposes_next_to_nothing() -> None:
    unit = DEPLOY / "systemd" / "wiremask.service"

    # Of 100 tenths; 92 is a service without any hardening. It ends with an error above the threshold.
    said([kubetools.needed(kubetools.systemd_analyze), "security", "--offline=yes", "--threshold=15", unit])
