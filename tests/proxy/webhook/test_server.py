"""What the API server gets over HTTP: reviews answered, anything else refused, nothing left undecided."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from wiremask.proxy import cli
from wiremask.proxy.webhook.cluster import Cluster, ClusterConfig, ClusterSilent
from wiremask.proxy.webhook.config import InjectorConfig, SidecarUnusable, WebhookConfig, read_sidecar
from wiremask.proxy.webhook.server import Webhook

Client = TestClient[web.Request, web.Application]

SIDECAR = {"container": {"name": "wiremask", "image": "wiremask:1"}, "volumes": [{"name": "wiremask-rules"}]}


class Namespaces(Cluster):
    """An API server that knows one namespace with rules, and may be silent."""

    def __init__(self) -> None:
        super().__init__(ClusterConfig())
        self.silent = False

    async def has_config_map(self, namespace: str, name: str) -> bool:
        if self.silent:
            raise ClusterSilent("the API server answered 500")
        return (namespace, name) == ("shop", "wiremask-rules")


@pytest.fixture
def cluster() -> Namespaces:
    return Namespaces()


@pytest.fixture
async def client(cluster: Namespaces, tmp_path: Path) -> AsyncIterator[Client]:
    sidecar = tmp_path / "sidecar.json"
    sidecar.write_text(json.dumps(SIDECAR), "utf-8")
    webhook = Webhook(WebhookConfig(injector=InjectorConfig(sidecar=sidecar)), cluster)
    async with TestClient(TestServer(webhook.application())) as opened:
        yield opened


def review(kind: str = "Pod", namespace: str = "shop", operation: str = "CREATE", **request: Any) -> dict[str, Any]:
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"kind": kind},
            "operation": operation,
            "namespace": namespace,
            "object": {"metadata": {}, "spec": {"containers": [{"name": "app"}]}},
            **request,
        },
    }


async def ask(client: Client, path: str, body: object) -> dict[str, Any]:
    async with client.post(path, json=body) as response:
        assert response.status == 200
        answer: dict[str, Any] = (await response.json())["response"]
        return answer


async def test_pod_of_a_namespace_with_rules_gets_the_sidecar(client: Client) -> None:
    answer = await ask(client, "/mutate", review())

    assert answer["allowed"]
    assert answer["patchType"] == "JSONPatch"


async def test_pod_of_a_namespace_without_rules_is_refused(client: Client) -> None:
    answer = await ask(client, "/mutate", review(namespace="empty"))

    assert not answer["allowed"]
    assert "namespace empty has no ConfigMap wiremask-rules" in answer["status"]["message"]


async def test_silent_api_server_means_refused(client: Client, cluster: Namespaces) -> None:
    cluster.silent = True

    answer = await ask(client, "/mutate", review())

    assert not answer["allowed"]
    assert "could not be found out" in answer["status"]["message"]


async def test_each_path_answers_for_its_own(client: Client) -> None:
    rules = review(
        "ConfigMap", object={"metadata": {"labels": {"wiremask.dev/rules": "true"}}, "data": {"r.yaml": "["}}
    )
    entered = review("PodExecOptions", operation="CONNECT", subResource="exec", object={"container": "wiremask"})

    answers = [await ask(client, "/validate", rules), await ask(client, "/guard", entered)]

    assert [answer["allowed"] for answer in answers] == [False, False]
    assert "r.yaml:1:" in answers[0]["status"]["message"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", json.dumps({**review(), "apiVersion": "admission.k8s.io/v1beta1"}).encode(), b"[" * 100_000],
    ids=["empty", "list", "cut", "version", "deep"],
)
async def test_body_that_is_no_review_is_refused(client: Client, body: bytes) -> None:
    async with client.post("/mutate", data=body) as response:
        assert response.status == 400


async def test_object_of_a_wrong_shape_is_an_error_and_no_yes(client: Client) -> None:
    async with client.post("/mutate", json=review(object={"spec": {"containers": "text"}})) as response:
        assert response.status == 500


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_probes_are_answered(client: Client, path: str) -> None:
    async with client.get(path) as response:
        assert response.status == 200


async def test_answers_are_counted(client: Client) -> None:
    await ask(client, "/mutate", review(namespace="empty"))

    async with client.get("/metrics") as response:
        assert 'wiremask_admissions_total{allowed="false",path="mutate"}' in await response.text()


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"container": {"name": "x"}, "volumes": []}', '{"container": {"name": "x", "image": "y"}}'],
    ids=["empty", "list", "no image", "no volumes"],
)
def test_file_that_is_no_sidecar_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "sidecar.json"
    file.write_text(text, "utf-8")

    with pytest.raises(SidecarUnusable, match=r"sidecar\.json is no sidecar"):
        read_sidecar(InjectorConfig(sidecar=file))


def test_command_says_what_to_install_where_it_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "webhook.yaml").write_text("", "utf-8")
    for name in [
        name for name in sys.modules if name.startswith(("wiremask.proxy.webhook", "wiremask.proxy.commands.webhook"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)

    code = cli.main(["webhook", "--config", str(tmp_path / "webhook.yaml")])

    assert code == 1
    assert 'pip install "wiremask[webhook]"' in capsys.readouterr().err
