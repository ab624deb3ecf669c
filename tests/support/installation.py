"""The chart installed on an API server as Helm would, and its webhook as a local process with the chart's own files."""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.chart import one
from support.kubelet import Container
from support.kubernetes import ApiServer, Refusal
from support.ports import reserve
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.chart import Chart
    from support.process import Child

Json = dict[str, Any]

PLATFORM = "platform"
SETTINGS = {
    "injector.enabled": "true",
    "injector.mayOptOut": '["shop/migration"]',
    "keys.secret": '"wiremask-keys"',
    "credentials.secret": '"wiremask-broker"',
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What is installed.

    Attributes:
        objects: as Helm rendered them.
        webhook: the process, on `port`.
        bootstrap: where the sidecar listens in its pod, and here.
        admin_port: where it answers probes.
    """

    api: ApiServer
    objects: list[Json]
    webhook: Child
    port: int
    bootstrap: str
    admin_port: int

    def start(self) -> None:
        """Starts the webhook and waits until it answers."""
        self.webhook.start()
        eventually(self._answers, timeout_s=60, what=f"the webhook\n{self.webhook.tail()}")

    def _answers(self) -> bool:
        trust = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=trust, timeout=5)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


@contextlib.contextmanager
def installed_chart(api: ApiServer, chart: Chart, folder: Path, *, brokers: str, node: int) -> Iterator[Installation]:
    """Creates the chart's objects, runs its webhook, and ends it.

    Args:
        brokers: HOST:PORT of a Kafka for the sidecars.
        node: its node id.
    """
    block = reserve()
    port, admin_port, bootstrap = block.take(), block.take(), f"127.0.0.1:{block.take(2)}"
    namespace(api, PLATFORM)
    listener = {"address": bootstrap, "nodes": {"first": node, "last": node}}
    settings = {
        **SETTINGS,
        "config.upstream.bootstrapServers": json.dumps([brokers]),
        "config.listeners": json.dumps([listener]),
        "proxy.adminPort": str(admin_port),
    }
    objects = chart.render(settings=settings, namespace=PLATFORM)
    for thing in objects:
        if thing["metadata"].get("annotations", {}).get("helm.sh/hook"):
            continue
        # No cluster network leads to a Service here. The name is the one that is in the certificate.
        api.create(_by_url(thing, port), PLATFORM)
    account = one(objects, "ServiceAccount")["metadata"]["name"]
    path = f"/api/v1/namespaces/{PLATFORM}/serviceaccounts/{account}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = folder / "token"
    token.write_text(api.ask("POST", path, request)["status"]["token"], "ascii")
    pod = one(objects, "Deployment", "injector")["spec"]["template"]["spec"]
    container = Container(
        pod["containers"][0],
        pod["volumes"],
        {(thing["kind"], thing["metadata"]["name"]): thing for thing in objects},
        folder,
        {
            "WIREMASK_SERVER__ADDRESS": f"127.0.0.1:{port}",
            "WIREMASK_SERVER__NAMES__0": "localhost",
            "WIREMASK_SERVER__TLS__CA": str(folder / "etc/wiremask-webhook/tls/tls.crt"),
            "WIREMASK_SERVER__TLS__CA_KEY": str(folder / "etc/wiremask-webhook/tls/tls.key"),
            "WIREMASK_INJECTOR__SIDECAR": str(folder / "etc/wiremask-webhook/config/sidecar.json"),
            "WIREMASK_CLUSTER__ADDRESS": api.address,
            "WIREMASK_CLUSTER__TOKEN_FILE": str(token),
            "WIREMASK_CLUSTER__CA_FILE": str(api.ca_file),
        },
    )
    installation = Installation(
        api=api,
        objects=objects,
        webhook=container.process,
        port=port,
        bootstrap=bootstrap,
        admin_port=admin_port,
    )
    try:
        installation.start()
        yield installation
    finally:
        container.process.stop()
        block.release()


def namespace(api: ApiServer, name: str, **labels: str) -> None:
    """Makes a namespace, if it is not there."""
    thing = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    with contextlib.suppress(Refusal):
        api.create(thing)


def _by_url(thing: Json, port: int) -> Json:
    made = copy.deepcopy(thing)
    for hook in made.get("webhooks", ()):
        service = hook["clientConfig"].pop("service")
        hook["clientConfig"]["url"] = f"https://localhost:{port}{service['path']}"
    return made
