"""What the chart renders is what Kubernetes takes, for every example and many values; what cannot work is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from support import kubetools
from support.chart import FOLDER, KUBERNETES, ROOT, Chart, ChartRefused, Json, one
from wiremask.proxy.config import load
from wiremask.proxy.inprocess import JSON_DEPTH
from wiremask.proxy.limits import LimitsConfig
from wiremask.proxy.webhook.rulemaps import compile_without_keys

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import kubernetes_validate

EXAMPLES = sorted((FOLDER / "examples").glob("*.yaml"))
BROKERS = {"config.upstream.bootstrapServers": '["kafka:9092"]'}
PATTERN = {**BROKERS, "config.upstream.nodePattern": '"kafka-{node}:9092"'}
INJECTOR = {**BROKERS, "injector.enabled": "true"}
GATEWAY = {**PATTERN, "gateway.enabled": "true"}

MATRIX: dict[str, dict[str, str]] = {
    "nothing": {},
    "injector": INJECTOR,
    "injector alone": {**INJECTOR, "injector.replicas": "1"},
    "injector by cert-manager": {**INJECTOR, "injector.certificates.certManager": "true"},
    "injector with a CA": {
        **INJECTOR,
        "injector.certificates.caSecret": '"ca"',
        "injector.certificates.caBundle": '"pem"',
    },
    "injector somewhere": {
        **INJECTOR,
        "injector.scheduling": '{"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]}',
    },
    "injector with secrets": {**INJECTOR, "keys.secret": '"k"', "credentials.secret": '"c"'},
    "gateway": GATEWAY,
    "gateway of one": {**BROKERS, "gateway.enabled": "true", "gateway.replicas": "1"},
    "gateway of some nodes": {**GATEWAY, "gateway.nodes": '{"first": 5, "last": 12}'},
    "gateway that scales": {**GATEWAY, "gateway.autoscaling.enabled": "true"},
    "gateway for all": {**GATEWAY, "gateway.service.type": '"LoadBalancer"', "gateway.advertisedHost": '"k.example"'},
    "both": {**INJECTOR, **GATEWAY},
    "all monitoring": {
        **INJECTOR,
        **GATEWAY,
        "monitoring.serviceMonitor.enabled": "true",
        "monitoring.prometheusRule.enabled": "true",
        "monitoring.dashboard.enabled": "true",
    },
    "private registry": {
        **INJECTOR,
        **GATEWAY,
        "imagePullSecrets": '["login"]',
        "image.digest": f'"sha256:{"0" * 64}"',
        "commonLabels": '{"team": "platform"}',
    },
}

MEASURED_MIB = 80
"""What a proxy may take before it has a frame, with connections (`bench process` measures 54 to 62)."""

OPERATOR = "monitoring.coreos.com/v1"
CERT_MANAGER = "cert-manager.io/v1"


@pytest.fixture(scope="session")
def operator_types() -> Path:
    return kubetools.program("monitoring")


@pytest.fixture(scope="session")
def cert_manager() -> dict[str, Json]:
    """The schemas of cert-manager's kinds, from its own definitions."""
    folder = kubetools.needed(lambda: kubetools.module_folder("cert-manager", "github.com/cert-manager/cert-manager"))
    schemas: dict[str, Json] = {}
    for file in sorted((folder / "deploy" / "crds").glob("cert-manager.io_*.yaml")):
        definition = read(file)
        schemas[definition["spec"]["names"]["kind"]] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schemas


def read(file: Path) -> Json:
    """A YAML file."""
    made: Json = YAML(typ="safe", pure=True).load(file.read_text("utf-8"))
    return made


def check(objects: list[Json], operator_types: Path, cert_manager: dict[str, Json]) -> None:
    """Validates each object by the schema of those who read it."""
    for each in objects:
        if each["apiVersion"] == OPERATOR:
            text = json.dumps(each)
            done = subprocess.run(
                [operator_types, each["kind"]], input=text, capture_output=True, text=True, check=False, timeout=30
            )
            assert done.returncode == 0, done.stderr
        elif each["apiVersion"] == CERT_MANAGER:
            from jsonschema import Draft7Validator

            Draft7Validator(closed(cert_manager[each["kind"]])).validate(each)
        else:
            kubernetes_validate.validate(each, KUBERNETES.rpartition(".")[0], strict=True)


def closed(schema: Json) -> Json:
    """The schema, with members that it does not name refused, as the API server drops them."""
    if "properties" not in schema:
        return {name: closed(inner) if name == "items" else inner for name, inner in schema.items()}
    properties = {name: closed(inner) for name, inner in schema["properties"].items()}
    is_top = "apiVersion" in properties
    if is_top:
        properties["metadata"] = {"type": "object"}
    return {**schema, "properties": properties, "additionalProperties": False}


def test_lint_finds_nothing(chart: Chart) -> None:
    chart.lint()
    for example in EXAMPLES:
        chart.lint(example)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_example_renders_to_valid_objects(
    example: Path, chart: Chart, operator_types: Path, cert_manager: dict[str, Json]
) -> None:
    objects = chart.render(example)

    assert len(objects) > 4
    check(objects, operator_types, cert_manager)


@pytest.mark.parametrize("settings", MATRIX.values(), ids=MATRIX.keys())
def test_values_render_to_valid_objects(
    settings: dict[str, str], chart: Chart, operator_types: Path, cert_manager: dict[str, Json]
) -> None:
    objects = chart.render(settings=settings)

    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)
    assert bool(objects) == bool(settings)
    check(objects, operator_types, cert_manager)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"injector.enabled": "true"}, "upstream"),
        ({**BROKERS, "gateway.enabled": "true"}, "nodePattern"),
        (
            {**BROKERS, "gateway.enabled": "true", "gateway.replicas": "1", "gateway.autoscaling.enabled": "true"},
            "nodes",
        ),
        ({**GATEWAY, "gateway.networkPolicy.enabled": "true"}, "namespace"),
        ({**INJECTOR, "injector.certificates.caSecret": '"x"'}, "caBundle"),
        ({"rules.create": "true"}, "files"),
        ({"sidecar": "{}"}, "sidecar"),
        ({"gateway.replica": "1"}, "replica"),
        ({"config.upstream.bootstrapServer": '["kafka:9092"]'}, "bootstrapServer"),
        ({"config.limits.frameBytes": '"many"'}, "frameBytes"),
        ({"image.digest": '"latest"'}, "digest"),
        ({"injector.certificates.certManager": '"maybe"'}, "certManager"),
        ({"gateway.scheduling": '{"nodeName": "n"}'}, "nodeName"),
        ({"rules.files": '{"notes.txt": ""}'}, "notes.txt"),
    ],
)
def test_values_that_cannot_work_are_refused(settings: dict[str, str], says: str, chart: Chart) -> None:
    with pytest.raises(ChartRefused, match=re.escape(says)):
        chart.render(settings=settings)


def test_sidecar_can_be_included_in_a_chart_of_ones_own(chart: Chart, tmp_path: Path) -> None:
    folder = chart.with_dependency(FOLDER / "examples" / "sidecar", tmp_path / "orders")

    objects = chart.render(folder=folder)

    kubernetes_validate.validate(one(objects, "Deployment"), KUBERNETES.rpartition(".")[0], strict=True)
    spec = one(objects, "Deployment")["spec"]["template"]["spec"]
    assert [(c["name"], c.get("restartPolicy")) for c in spec["initContainers"]] == [("wiremask", "Always")]
    assert spec["volumes"] == [{"name": "wiremask-rules", "configMap": {"name": "orders-rules"}}]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_configuration_of_an_example_is_one_that_the_proxy_takes(example: Path, chart: Chart) -> None:
    objects = chart.render(example)
    if "injector" in example.stem:
        container = json.loads(one(objects, "ConfigMap", "injector")["data"]["sidecar.json"])["container"]
    else:
        container = one(objects, "Deployment", "gateway")["spec"]["template"]["spec"]["containers"][0]

    config = load(None, {entry["name"]: entry["value"] for entry in container["env"]})

    assert config.upstream.bootstrap_servers[0].host == "kafka-bootstrap.kafka.svc"
    assert config.admin.address.port == container["ports"][0]["containerPort"]
    gateway_ports = one(objects, "Service", "gateway")["spec"]["ports"] if "gateway" in example.stem else []
    assert not gateway_ports or [port["port"] for port in gateway_ports] == list(config.listeners[0].ports)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.stem)
def test_rules_of_an_example_are_valid(example: Path, chart: Chart) -> None:
    objects = chart.render(example)
    texts = [each["data"] for each in objects if "wiremask.dev/rules" in each["metadata"].get("labels", {})]

    untested = [compile_without_keys(dict(text), json_depth=JSON_DEPTH)[1] for text in texts]

    assert untested
    assert not any(untested)


def test_secrets_for_the_registry_reach_whatever_runs_the_image(chart: Chart) -> None:
    objects = chart.render(settings={**INJECTOR, **GATEWAY, "imagePullSecrets": '["login"]'})

    pods = [each["spec"]["template"]["spec"] for each in objects if each["kind"] == "Deployment"]
    pods.append(one(objects, "Pod", "test")["spec"])
    assert [pod["imagePullSecrets"] for pod in pods] == [[{"name": "login"}]] * 3
    assert json.loads(one(objects, "ConfigMap", "injector")["data"]["sidecar.json"])["imagePullSecrets"] == ["login"]


def test_memory_of_the_proxy_holds_what_its_limits_let_it_take() -> None:
    resources = read(FOLDER / "values.yaml")["proxy"]["resources"]

    most = MEASURED_MIB + LimitsConfig().most_bytes / (1 << 20)

    assert int(resources["requests"]["memory"].removesuffix("Mi")) >= MEASURED_MIB
    assert most <= int(resources["limits"]["memory"].removesuffix("Mi"))


def test_webhooks_fail_closed_and_only_in_their_scope(chart: Chart) -> None:
    objects = chart.render(settings=INJECTOR, namespace="platform")

    mutating = one(objects, "MutatingWebhookConfiguration")["webhooks"]
    validating = one(objects, "ValidatingWebhookConfiguration")["webhooks"]
    for hook in (*mutating, *validating):
        assert (hook["failurePolicy"], hook["sideEffects"]) == ("Fail", "None")
    for hook in (mutating[0], validating[0]):
        selector = hook["namespaceSelector"]
        assert selector["matchLabels"] == {"wiremask.dev/inject": "true"}
        assert selector["matchExpressions"][0]["operator"] == "NotIn"
        assert {"platform", "kube-system"} <= set(selector["matchExpressions"][0]["values"])
        assert "objectSelector" not in hook  # labels of pods are the application's
    assert validating[1]["objectSelector"] == {"matchLabels": {"wiremask.dev/rules": "true"}}


def test_unit_tests_of_the_chart_pass() -> None:
    program = kubetools.program("helm-unittest")

    done = subprocess.run([program, "--strict", str(FOLDER)], capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stdout


def test_schema_and_table_of_values_are_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "deploy" / "chart.py"), "--check"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
