"""Somebody else's mutating webhook, called after ours: it adds a container to a pod that has none of that name."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import ssl
import threading
from typing import TYPE_CHECKING, Any

from support.authority import Authority
from support.wait import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.kubernetes import ApiServer

Json = dict[str, Any]


@contextlib.contextmanager
def adding_a_container(api: ApiServer, folder: Path, container: Json, probe: Json) -> Iterator[None]:
    """Registers it, and takes it away again.

    Args:
        probe: a pod by which is seen, without making it, when the API server knows of either.
    """

    def is_added() -> bool:
        return container["name"] in {one["name"] for one in api.create(probe, dry_run=True)["spec"]["containers"]}

    authority = Authority(folder)
    own = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(container))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    hook = {
        # After ours, by its name.
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "zz-late"},
        "webhooks": [
            {
                "name": "late.example.com",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "clientConfig": {
                    "url": f"https://localhost:{server.server_address[1]}/",
                    "caBundle": base64.b64encode(authority.ca.read_bytes()).decode(),
                },
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}],
            }
        ],
    }
    try:
        made = api.create(hook)
        try:
            eventually(is_added, what="the webhook in use")
            yield
        finally:
            api.delete(made)
            eventually(lambda: not is_added(), what="the webhook forgotten")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(container: Json) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            response: Json = {"uid": request["uid"], "allowed": True}
            there = {one["name"] for one in request["object"]["spec"]["containers"]}
            if container["name"] not in there:
                patch = [{"op": "add", "path": "/spec/containers/-", "value": container}]
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode()
            body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Handler
