"""A real Kubernetes API server on loopback: etcd and kube-apiserver, no nodes, with certificates of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from support.authority import Authority
from support.ports import reserve
from support.process import Child
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

PLURALS = {
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "NetworkPolicy": "networkpolicies",
}
"""Of the kinds whose plural is not their name with an s."""

CLUSTERED = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(Exception):
    """The API server said no."""

    status: int
    message: str

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


class ApiServer:
    """A client of the API server, as an administrator."""

    def __init__(self, port: int, ca_file: Path, trust: ssl.SSLContext) -> None:
        self.address = f"https://127.0.0.1:{port}"
        self.ca_file = ca_file
        self._port = port
        self._trust = trust

    def ask(self, method: str, path: str, body: Json | None = None, *, kind: str = "application/json") -> Json:
        """One request.

        Raises:
            Refusal: the answer was an error.
        """
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._trust, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": kind})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        answer: Json = json.loads(text) if text[:1] == b"{" else {"message": text.decode()}
        if response.status >= 400:
            raise Refusal(status=response.status, message=answer.get("message", ""))
        return answer

    def create(self, thing: Json, namespace: str = "default", *, dry_run: bool = False) -> Json:
        """Creates an object.

        Raises:
            Refusal: it was not taken.
        """
        query = "?dryRun=All" if dry_run else ""
        return self.ask("POST", _path(thing, thing.get("metadata", {}).get("namespace", namespace)) + query, thing)

    def replace(self, thing: Json) -> Json:
        """Updates an object.

        Raises:
            Refusal: the change was not taken.
        """
        metadata = thing["metadata"]
        return self.ask("PUT", f"{_path(thing, metadata.get('namespace', ''))}/{metadata['name']}", thing)

    def patch(self, thing: Json, change: Json, subresource: str = "") -> Json:
        """Merges a change into an object.

        Raises:
            Refusal: the change was not taken.
        """
        metadata = thing["metadata"]
        path = f"{_path(thing, metadata.get('namespace', ''))}/{metadata['name']}{subresource}"
        return self.ask("PATCH", path, change, kind="application/strategic-merge-patch+json")

    def delete(self, thing: Json) -> None:
        """Deletes an object at once."""
        metadata = thing["metadata"]
        path = f"{_path(thing, metadata.get('namespace', ''))}/{metadata['name']}"
        self.ask("DELETE", path, {"gracePeriodSeconds": 0})


@contextlib.contextmanager
def running_api_server(etcd: Path, kube_apiserver: Path, folder: Path) -> Iterator[ApiServer]:
    """Starts both, gives a client, and ends both."""
    block = reserve()
    ports = [block.take() for _ in range(3)]
    authority = Authority(folder)
    own, admin = authority.issue("kube-apiserver"), authority.issue("admin", organisation="system:masters")
    trust = ssl.create_default_context(cafile=str(authority.ca))
    trust.load_cert_chain(admin.certificate, admin.key)
    store = Child(
        [
            str(etcd),
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{ports[0]}",
            f"--advertise-client-urls=http://127.0.0.1:{ports[0]}",
            f"--listen-peer-urls=http://127.0.0.1:{ports[1]}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{ports[1]}",
            f"--initial-cluster=default=http://127.0.0.1:{ports[1]}",
            "--unsafe-no-fsync",
            "--log-level=error",
        ],
        log=folder / "etcd.log",
    )
    server = Child(
        [
            str(kube_apiserver),
            f"--etcd-servers=http://127.0.0.1:{ports[0]}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={ports[2]}",
            f"--tls-cert-file={own.certificate}",
            f"--tls-private-key-file={own.key}",
            f"--client-ca-file={authority.ca}",
            f"--service-account-key-file={own.certificate}",
            f"--service-account-signing-key-file={own.key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            # No controller makes ServiceAccounts, and pods of these tests run nowhere.
            "--disable-admission-plugins=ServiceAccount",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=RBAC",
        ],
        log=folder / "kube-apiserver.log",
    )
    client = ApiServer(ports[2], authority.ca, trust)
    try:
        store.start()
        server.start()
        eventually(lambda: _is_ready(client), timeout_s=120, what=f"the API server ready\n{server.tail()}")
        yield client
    finally:
        server.stop()
        store.stop()
        block.release()


def _is_ready(client: ApiServer) -> bool:
    try:
        client.ask("GET", "/readyz")
        client.ask("GET", "/api/v1/namespaces/default")
    except (OSError, Refusal):
        return False
    return True


def _path(thing: Json, namespace: str) -> str:
    version = thing["apiVersion"]
    plural = PLURALS.get(thing["kind"], f"{thing['kind'].lower()}s")
    place = "" if thing["kind"] in CLUSTERED else f"/namespaces/{namespace}"
    return f"/{'apis' if '/' in version else 'api'}/{version}{place}/{plural}"
