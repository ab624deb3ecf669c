"""A pod gets the sidecar once, whole and first; what could get round it is refused."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from typing import Any

import pytest

from wiremask.proxy.webhook.injection import INJECTED, inject
from wiremask.proxy.webhook.review import Allowed, Json, Question, Refused, read_question, write_answer
from wiremask.proxy.webhook.sidecar import Sidecar

SIDECAR = Sidecar(
    container={
        "name": "wiremask",
        "image": "wiremask:1",
        "restartPolicy": "Always",
        "env": [{"name": "UPSTREAM_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "broker-login", "key": "p"}}}],
        "volumeMounts": [{"name": "wiremask-rules", "mountPath": "/etc/wiremask/rules"}],
    },
    volumes=(
        {"name": "wiremask-rules", "configMap": {"name": "wiremask-rules"}},
        {"name": "wiremask-keys", "secret": {"secretName": "wiremask-keys"}},
    ),
    bootstrap="127.0.0.1:9092",
    variables=("KAFKA_BOOTSTRAP_SERVERS",),
    digest="d1",
)
NONE: frozenset[str] = frozenset()


def pod(*containers: Json, annotations: Json | None = None, **spec: Any) -> Json:
    made: Json = {"metadata": {"name": "app"}, "spec": {"containers": list(containers or [{"name": "app"}]), **spec}}
    if annotations:
        made["metadata"]["annotations"] = annotations
    return made


def question(wanted: Json) -> Question:
    return Question(uid="u", kind="Pod", operation="CREATE", namespace="shop", object=wanted)


def injected(wanted: Json, **options: Any) -> Json:
    answer = inject(question(wanted), SIDECAR, may_opt_out=options.get("may_opt_out", NONE))
    assert isinstance(answer, Allowed)
    assert answer.changed is not None
    return answer.changed


def refusal(wanted: Json) -> str:
    answer = inject(question(wanted), SIDECAR, may_opt_out=NONE)
    assert isinstance(answer, Refused)
    return answer.message


def test_adds_the_sidecar_before_other_init_containers_and_its_volumes() -> None:
    wanted = pod(initContainers=[{"name": "migrate"}], volumes=[{"name": "data", "emptyDir": {}}])

    changed = injected(wanted)

    assert [container["name"] for container in changed["spec"]["initContainers"]] == ["wiremask", "migrate"]
    assert [volume["name"] for volume in changed["spec"]["volumes"]] == ["data", "wiremask-rules", "wiremask-keys"]
    assert changed["metadata"]["annotations"] == {INJECTED: "d1"}
    assert wanted == pod(initContainers=[{"name": "migrate"}], volumes=[{"name": "data", "emptyDir": {}}])


def test_sets_or_replaces_the_variable_in_every_container() -> None:
    value_from = {"configMapKeyRef": {"name": "kafka", "key": "servers"}}
    wanted = pod(
        {"name": "a", "env": [{"name": "X", "value": "$(KAFKA_BOOTSTRAP_SERVERS)"}]},
        {"name": "b", "env": [{"name": "Y"}, {"name": "KAFKA_BOOTSTRAP_SERVERS", "valueFrom": value_from}]},
        initContainers=[{"name": "migrate"}],
    )

    spec = injected(wanted)["spec"]

    ours = {"name": "KAFKA_BOOTSTRAP_SERVERS", "value": "127.0.0.1:9092"}
    assert spec["containers"][0]["env"] == [ours, {"name": "X", "value": "$(KAFKA_BOOTSTRAP_SERVERS)"}]
    assert spec["containers"][1]["env"] == [{"name": "Y"}, ours]
    assert spec["initContainers"][1]["env"] == [ours]
    assert spec["initContainers"][0]["env"] == SIDECAR.container["env"]


def test_secrets_for_the_registry_are_added_to_those_of_the_pod() -> None:
    sidecar = dataclasses.replace(SIDECAR, pull_secrets=("own", "login"))
    wanted = question(pod(imagePullSecrets=[{"name": "own"}]))

    first = inject(wanted, sidecar, may_opt_out=NONE)
    assert isinstance(first, Allowed)
    assert first.changed is not None
    second = inject(question(first.changed), sidecar, may_opt_out=NONE)

    assert first.changed["spec"]["imagePullSecrets"] == [{"name": "own"}, {"name": "login"}]
    assert second == first


def test_second_pass_changes_nothing() -> None:
    once = injected(pod({"name": "app", "env": [{"name": "A", "value": "b"}]}))

    twice = injected(once)
    written = json.loads(write_answer(question(once), Allowed(changed=twice)))

    assert twice == once
    assert "patch" not in written["response"]


def test_sidecar_that_the_pod_brings_is_replaced() -> None:
    forged = {"name": "wiremask", "image": "evil:1", "command": ["cat"]}
    wanted = pod(initContainers=[forged], volumes=[{"name": "wiremask-rules", "emptyDir": {}}])

    spec = injected(wanted)["spec"]

    assert spec["initContainers"] == [SIDECAR.container]
    assert spec["volumes"] == list(SIDECAR.volumes)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("log-level", "debug", {"env": {"name": "WIREMASK_LOG__LEVEL", "value": "debug"}}),
        ("cpu", "250m", {"requests": {"cpu": "250m"}}),
        ("memory", "192Mi", {"requests": {"memory": "192Mi"}}),
        ("memory-limit", "1Gi", {"limits": {"memory": "1Gi"}}),
    ],
    ids=["log level", "cpu", "memory", "memory limit"],
)
def test_override_that_an_application_may_set(name: str, value: str, expected: Json) -> None:
    wanted = pod(annotations={f"wiremask.dev/{name}": value})

    ours = injected(wanted)["spec"]["initContainers"][0]

    if "env" in expected:
        assert expected["env"] in ours["env"]
    else:
        assert ours["resources"] == expected


def test_more_variables_may_be_named() -> None:
    wanted = pod(annotations={"wiremask.dev/bootstrap-variables": "A, B"})

    env = injected(wanted)["spec"]["containers"][0]["env"]

    assert [entry["name"] for entry in env] == ["KAFKA_BOOTSTRAP_SERVERS", "A", "B"]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (pod(annotations={"wiremask.dev/inject": "false"}), "ServiceAccount shop/default may not opt out"),
        (pod(annotations={"wiremask.dev/inject": "no"}), 'is "true" or "false"'),
        (pod(annotations={"wiremask.dev/upstream": "evil:9092"}), "cannot set wiremask.dev/upstream"),
        (pod(annotations={"wiremask.dev/cpu": "lots"}), "wiremask.dev/cpu is a quantity"),
        (pod(annotations={"wiremask.dev/log-level": "trace"}), "debug, info, warning or error"),
        (pod(annotations={"wiremask.dev/bootstrap-variables": "A,,B"}), "names of environment variables"),
        (pod({"name": "wiremask"}), "the container name wiremask is the sidecar's"),
        (pod({"name": "app", "volumeMounts": [{"name": "wiremask-keys"}]}), "container app mounts a volume"),
        (pod(volumes=[{"name": "k", "secret": {"secretName": "wiremask-keys"}}]), "Secret wiremask-keys"),
        (
            pod(volumes=[{"name": "k", "projected": {"sources": [{"secret": {"name": "wiremask-keys"}}]}}]),
            "Secret wiremask-keys",
        ),
        (pod({"name": "app", "envFrom": [{"secretRef": {"name": "broker-login"}}]}), "Secret broker-login"),
        (
            pod({"name": "a", "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "broker-login"}}}]}),
            "Secret broker-login",
        ),
        (pod(shareProcessNamespace=True), "shareProcessNamespace is not allowed"),
        (pod(hostPID=True), "hostPID is not allowed"),
        (pod(hostNetwork=True), "hostNetwork is not allowed"),
        (pod({"name": "app", "securityContext": {"privileged": True}}), "container app is privileged"),
        (pod(initContainers=[{"name": "i", "securityContext": {"privileged": True}}]), "container i is privileged"),
        (pod({"name": "app", "volumeDevices": [{"name": "wiremask-keys"}]}), "container app mounts a volume"),
        (pod(volumes=[{"name": "h", "hostPath": {"path": "/"}}]), "volume h shows / of the node"),
        (pod(volumes=[{"name": "h", "hostPath": {"path": "/var/lib"}}]), "volume h shows /var/lib of the node"),
        (pod(volumes=[{"name": "h", "hostPath": {"path": "/var/lib/kubelet/pods"}}]), "of the node"),
        (pod(volumes=[{"name": "h", "hostPath": {"path": "/srv/../proc/1"}}]), "of the node"),
        (pod(volumes=[{"name": "h", "hostPath": {"path": "//run//containerd"}}]), "of the node"),
        (pod(os={"name": "windows"}), "does not run on Windows"),
        (pod(nodeSelector={"kubernetes.io/os": "windows"}), "does not run on Windows"),
    ],
)
def test_pod_that_could_get_round_the_sidecar_is_refused(wanted: Json, says: str) -> None:
    assert says in refusal(wanted)


@pytest.mark.parametrize(
    "wanted",
    [
        pod(volumes=[{"name": "zone", "hostPath": {"path": "/etc/localtime"}}]),
        pod(volumes=[{"name": "logs", "hostPath": {"path": "/var/log/app"}}]),
        pod({"name": "app", "securityContext": {"privileged": False}}),
        pod({"name": "app", "envFrom": [{"secretRef": {"name": "of-the-application"}}]}),
        pod(os={"name": "linux"}),
        pod(restartPolicy="Never", activeDeadlineSeconds=60),
    ],
    ids=["time zone", "logs", "not privileged", "other secret", "linux", "job"],
)
def test_pod_that_leaves_the_sidecar_alone_gets_it(wanted: Json) -> None:
    made = injected(wanted)["spec"]

    assert made["initContainers"][0]["name"] == "wiremask"
    assert {name: made[name] for name in wanted["spec"] if name not in {"containers", "volumes"}} == {
        name: value for name, value in wanted["spec"].items() if name not in {"containers", "volumes"}
    }


def test_listed_service_account_may_opt_out() -> None:
    wanted = pod(annotations={"wiremask.dev/inject": "false"}, serviceAccountName="migration")

    answer = inject(question(wanted), SIDECAR, may_opt_out=frozenset({"shop/migration"}))

    assert answer == Allowed()


def test_patch_makes_the_pod_that_was_answered() -> None:
    wanted = pod(annotations={"team/owner": "a~b"})
    body = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "shop",
            "object": wanted,
            "oldObject": None,
        },
    }

    asked = read_question(json.dumps(body).encode())
    response = json.loads(write_answer(asked, inject(asked, SIDECAR, may_opt_out=NONE)))["response"]

    assert (response["uid"], response["allowed"], response["patchType"]) == ("7", True, "JSONPatch")
    assert apply_patch(wanted, json.loads(base64.b64decode(response["patch"]))) == injected(wanted)


def apply_patch(document: Json, patch: list[Json]) -> Json:
    """The operations that the API server would carry out; add and replace of members only."""
    changed: Any = copy.deepcopy(document)
    for step in patch:
        *way, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:])
        target = changed
        for part in way:
            target = target[part]
        assert (last in target) == (step["op"] == "replace")
        target[last] = step["value"]
    made: Json = changed
    return made
