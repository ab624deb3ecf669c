"""The webhook behind a real API server: pods get the sidecar, broken rules are refused, and nothing else notices."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.chart import one
from support.installation import PLATFORM, Installation, namespace
from support.kubernetes import ApiServer, Refusal
from support.otherwebhook import adding_a_container
from support.rulefolder import rule, ruleset

pytestmark = [pytest.mark.kube, pytest.mark.timeout(300)]

Json = dict[str, Any]

RULES = ruleset(rule("pii", "customers", {"$.ssn": "redact"}))


INJECT = {"wiremask.dev/inject": "true"}


@pytest.fixture(scope="module", autouse=True)
def namespaces(installed: Installation) -> None:
    """One namespace with the sidecar and its rules, one with the label alone, one that has nothing to do with it."""
    strict = {**INJECT, "pod-security.kubernetes.io/enforce": "restricted"}
    for name, labels in {"shop": INJECT, "strict": strict, "bare": INJECT, "outside": {}, "later": {}}.items():
        namespace(installed.api, name, **labels)
    installed.api.create(rules_map("shop"))
    installed.api.create(rules_map("strict"))


@pytest.fixture
def api(installed: Installation) -> ApiServer:
    return installed.api


@pytest.fixture
def webhook_down(installed: Installation) -> Iterator[None]:
    installed.webhook.stop()
    yield
    installed.start()


def rules_map(place: str, name: str = "wiremask-rules", text: str = RULES) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": place, "labels": {"wiremask.dev/rules": "true"}},
        "data": {"rules.yaml": text},
    }


def pod(name: str, place: str = "shop", **spec: Any) -> Json:
    container = {"name": "app", "image": "app:1", "env": [{"name": "KAFKA_BOOTSTRAP_SERVERS", "value": "kafka:9092"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": place, "labels": {"app": name}},
        "spec": {"containers": [container], **spec},
    }


def test_pod_gets_a_native_sidecar_and_its_containers_the_address(api: ApiServer, installed: Installation) -> None:
    made = api.create(pod("first", initContainers=[{"name": "migrate", "image": "app:1"}]))["spec"]

    sidecar, migrate = made["initContainers"]
    assert (sidecar["name"], sidecar["restartPolicy"], sidecar["args"]) == ("wiremask", "Always", ["run"])
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/startupz"
    context = sidecar["securityContext"]
    assert (context["runAsNonRoot"], context["readOnlyRootFilesystem"]) == (True, True)
    assert context["capabilities"] == {"drop": ["ALL"]}
    for container in (migrate, *made["containers"]):
        assert {"name": "KAFKA_BOOTSTRAP_SERVERS", "value": installed.bootstrap} in container["env"]
    assert [volume["name"] for volume in made["volumes"]][-3:] == [
        "wiremask-rules",
        "wiremask-keys",
        "wiremask-credentials",
    ]


def test_pod_that_is_made_of_an_admitted_one_stays_as_it_is(api: ApiServer) -> None:
    made = api.create(pod("second"))
    again = copy.deepcopy(made)
    again["metadata"] = {"name": "third", "namespace": "shop", "annotations": made["metadata"]["annotations"]}

    third = api.create(again)

    assert third["spec"] == made["spec"]


def test_dry_run_shows_the_sidecar_and_makes_nothing(api: ApiServer) -> None:
    shown = api.create(pod("tried"), dry_run=True)

    assert shown["spec"]["initContainers"][0]["name"] == "wiremask"
    with pytest.raises(Refusal, match="404"):
        api.ask("GET", "/api/v1/namespaces/shop/pods/tried")


def test_pod_of_an_unlabelled_namespace_is_untouched(api: ApiServer) -> None:
    made = api.create(pod("free", "outside"))["spec"]

    assert "initContainers" not in made
    assert made["containers"][0]["env"] == [{"name": "KAFKA_BOOTSTRAP_SERVERS", "value": "kafka:9092"}]


def test_pod_of_a_namespace_without_rules_is_refused(api: ApiServer) -> None:
    with pytest.raises(Refusal, match="namespace bare has no ConfigMap wiremask-rules"):
        api.create(pod("early", "bare"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"metadata": {"annotations": {"wiremask.dev/inject": "false"}}}, "may not opt out"),
        ({"metadata": {"annotations": {"wiremask.dev/upstream": "evil:9092"}}}, "cannot set wiremask.dev/upstream"),
        ({"spec": {"shareProcessNamespace": True}}, "shareProcessNamespace"),
        ({"spec": {"hostNetwork": True}}, "hostNetwork"),
        ({"spec": {"volumes": [{"name": "k", "secret": {"secretName": "wiremask-broker"}}]}}, "wiremask-broker"),
        ({"spec": {"volumes": [{"name": "h", "hostPath": {"path": "/var/lib/kubelet"}}]}}, "of the node"),
        ({"spec": {"containers": [{"name": "wiremask", "image": "evil:1"}]}}, "choose another"),
        ({"spec": {"os": {"name": "windows"}}}, "Windows"),
    ],
    ids=[
        "opt out",
        "other upstream",
        "shared processes",
        "the host's network",
        "secret of the sidecar",
        "the kubelet's files",
        "container of its name",
        "windows",
    ],
)
def test_pod_that_would_get_round_is_refused(change: Json, says: str, api: ApiServer) -> None:
    wanted = pod("sly")
    for part, members in change.items():
        wanted[part] = {**wanted[part], **members}

    with pytest.raises(Refusal, match=says):
        api.create(wanted)


def test_listed_service_account_may_opt_out(api: ApiServer) -> None:
    wanted = pod("migration", serviceAccountName="migration")
    wanted["metadata"]["annotations"] = {"wiremask.dev/inject": "false"}

    assert "initContainers" not in api.create(wanted)["spec"]


def test_running_pod_can_be_changed_but_not_its_sidecar(api: ApiServer) -> None:
    made = api.create(pod("changing"))

    api.patch(made, {"metadata": {"labels": {"colour": "blue"}}})
    api.patch(made, {"spec": {"containers": [{"name": "app", "image": "app:2"}]}})

    with pytest.raises(Refusal, match="image is the platform's"):
        api.patch(made, {"spec": {"initContainers": [{"name": "wiremask", "image": "evil:1"}]}})
    with pytest.raises(Refusal, match="nobody enters the sidecar"):
        api.ask("POST", "/api/v1/namespaces/shop/pods/changing/exec?container=wiremask&command=sh")


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"targetContainerName": "wiremask"}, "debug container"),
        ({"volumeMounts": [{"name": "wiremask-credentials", "mountPath": "/c"}]}, "mounts a volume of the sidecar"),
        ({"envFrom": [{"secretRef": {"name": "wiremask-broker"}}]}, "wiremask-broker is for the sidecar alone"),
    ],
    ids=["its processes", "its volume", "its secret"],
)
def test_debug_container_comes_near_the_application_and_not_the_sidecar(wish: Json, says: str, api: ApiServer) -> None:
    made = api.create(pod(f"debugged-{'-'.join(wish).lower()}"))
    good = {"name": "good", "image": "busybox", "targetContainerName": "app"}
    bad = {"name": "bad", "image": "busybox", **wish}

    api.patch(made, {"spec": {"ephemeralContainers": [good]}}, "/ephemeralcontainers")

    with pytest.raises(Refusal, match=says):
        api.patch(made, {"spec": {"ephemeralContainers": [bad]}}, "/ephemeralcontainers")


def test_pod_from_before_the_label_stays_and_can_be_changed(api: ApiServer) -> None:
    made = api.create(pod("old", "later"))
    api.patch(api.ask("GET", "/api/v1/namespaces/later"), {"metadata": {"labels": INJECT}})

    changed = api.patch(made, {"metadata": {"labels": {"colour": "blue"}}, "spec": {"activeDeadlineSeconds": 60}})

    assert "initContainers" not in changed["spec"]
    api.delete(made)


def test_pod_under_the_strictest_pod_security_gets_the_sidecar(api: ApiServer) -> None:
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    wanted = pod("careful", "strict")
    wanted["spec"]["containers"][0]["securityContext"] = context

    made = api.create(wanted)

    assert made["spec"]["initContainers"][0]["name"] == "wiremask"


def test_pod_of_a_job_gets_a_sidecar_that_ends_with_it(api: ApiServer) -> None:
    made = api.create(pod("job-x7", restartPolicy="Never", activeDeadlineSeconds=600))["spec"]

    # Kubernetes ends sidecars, which are init containers that restart, when the last container has ended.
    assert made["restartPolicy"] == "Never"
    assert made["initContainers"][0]["restartPolicy"] == "Always"
    assert [container["name"] for container in made["containers"]] == ["app"]


def test_container_that_another_webhook_adds_later_gets_the_address_too(
    api: ApiServer, installed: Installation, tmp_path: Path
) -> None:
    with adding_a_container(api, tmp_path, {"name": "late", "image": "late:1"}, pod("probe", "outside")):
        made = api.create(pod("reinvoked"))["spec"]

    assert [container["name"] for container in made["containers"]] == ["app", "late"]
    assert [container["name"] for container in made["initContainers"]] == ["wiremask"]
    assert {"name": "KAFKA_BOOTSTRAP_SERVERS", "value": installed.bootstrap} in made["containers"][1]["env"]


def test_deployment_is_left_alone_and_its_pods_are_not(api: ApiServer) -> None:
    template = {"metadata": {"labels": {"app": "d"}}, "spec": pod("d")["spec"]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "d"}}, "template": template},
    }

    made = api.create(deployment)["spec"]["template"]
    # No controller runs here: what it would create is created as it would.
    of_it = api.create({**pod("d-1"), "metadata": {"generateName": "d-", "namespace": "shop", **made["metadata"]}})

    assert "initContainers" not in made["spec"]
    assert of_it["spec"]["initContainers"][0]["name"] == "wiremask"


def test_broken_rules_are_refused_with_their_line(api: ApiServer) -> None:
    good = api.create(rules_map("shop", "more-rules"))
    broken = RULES.replace('"topics"', '"topic"')
    line = next(number for number, text in enumerate(broken.split("\n"), 1) if '"topic"' in text)

    for attempt in (
        lambda: api.create(rules_map("shop", "bad", broken)),
        lambda: api.replace(with_rules(good, broken)),
    ):
        with pytest.raises(Refusal, match=rf"rules\.yaml:{line}:\d+: "):
            attempt()


def test_rules_that_mask_less_are_refused(api: ApiServer) -> None:
    made = api.create(rules_map("shop", "strong"))
    weaker = ruleset(rule("pii", "customers", {"$.ssn": {"partial": {"keepLast": 4}}}))

    with pytest.raises(Refusal, match="mask less"):
        api.replace(with_rules(made, weaker))


def test_label_of_checked_rules_cannot_be_taken_off(api: ApiServer) -> None:
    made = api.create(rules_map("shop", "labelled"))

    with pytest.raises(Refusal, match="keep it"):
        api.patch(made, {"metadata": {"labels": {"wiremask.dev/rules": None}}})


def test_other_config_maps_are_not_looked_at(api: ApiServer) -> None:
    other = rules_map("shop", "other", "[")
    other["metadata"]["labels"] = {}

    assert api.create(other)["data"] == {"rules.yaml": "["}


def test_helm_s_test_succeeds_where_the_webhook_answers_and_only_there(installed: Installation) -> None:
    tester = one(installed.objects, "Pod", "test")["spec"]["containers"][0]
    target = f'("{one(installed.objects, "Service", "injector")["metadata"]["name"]}", 443)'
    option, code = tester["args"]

    codes = [
        subprocess.run(
            [sys.executable, option, code.replace(target, f'("127.0.0.1", {port})')],
            capture_output=True,
            check=False,
            timeout=60,
        ).returncode
        for port in (installed.port, installed.admin_port)
    ]

    assert target in code
    assert codes == [0, 1]


@pytest.mark.usefixtures("webhook_down")
def test_webhook_that_is_down_means_refused_in_its_scope_and_nothing_outside(api: ApiServer) -> None:
    with pytest.raises(Refusal, match=r"inject\.wiremask\.dev"):
        api.create(pod("late"))
    with pytest.raises(Refusal, match=r"rules\.wiremask\.dev"):
        api.create(rules_map("shop", "late"))

    assert "initContainers" not in api.create(pod("late", "outside"))["spec"]


@pytest.mark.usefixtures("webhook_down")
def test_webhook_that_is_down_cannot_keep_itself_from_starting(api: ApiServer) -> None:
    api.patch(api.ask("GET", f"/api/v1/namespaces/{PLATFORM}"), {"metadata": {"labels": INJECT}})

    assert "initContainers" not in api.create(pod("webhook-1", PLATFORM))["spec"]


def with_rules(config_map: Json, text: str) -> Json:
    return {**config_map, "data": {"rules.yaml": text}}
