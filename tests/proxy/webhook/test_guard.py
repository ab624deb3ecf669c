"""Nobody exchanges the sidecar of a running pod, or looks into it; other updates pass."""

from __future__ import annotations

from typing import Any

import pytest

from wiremask.proxy.webhook.guard import guard
from wiremask.proxy.webhook.review import Allowed, Json, Question, Refused
from wiremask.proxy.webhook.sidecar import Sidecar

SIDECAR = Sidecar(
    container={"name": "wiremask", "image": "wiremask:2"},
    volumes=({"name": "wiremask-keys", "secret": {"secretName": "keys"}},),
    bootstrap="b:1",
    variables=(),
    digest="d",
)


def pod(image: str | None, **metadata: Any) -> Json:
    sidecar = [] if image is None else [{"name": "wiremask", "image": image}]
    return {"metadata": metadata, "spec": {"initContainers": [{"name": "other", "image": "o"}, *sidecar]}}


def ask(operation: str, wanted: Json, old: Json | None = None, subresource: str = "") -> Question:
    return Question(
        uid="u",
        kind="Pod",
        operation=operation,
        namespace="n",
        subresource=subresource,
        object=wanted,
        old=old or {},
    )


def debug(**container: Any) -> Question:
    added = {"spec": {"ephemeralContainers": [{"name": "d", **container}]}}
    return ask("UPDATE", added, subresource="ephemeralcontainers")


@pytest.mark.parametrize(
    "question",
    [
        ask("UPDATE", pod("wiremask:1", labels={"a": "b"}), pod("wiremask:1")),
        ask("UPDATE", pod("wiremask:2"), pod("wiremask:1")),
        ask("UPDATE", pod(None), pod(None)),
        ask("CONNECT", {"container": "app"}, subresource="exec"),
        ask("CONNECT", {}, subresource="attach"),
        debug(targetContainerName="app", volumeMounts=[{"name": "data", "mountPath": "/d"}]),
        ask("UPDATE", {"spec": {}}, subresource="ephemeralcontainers"),
    ],
    ids=["label", "image of the platform", "no sidecar", "exec", "attach", "debug the application", "no debug"],
)
def test_what_leaves_the_sidecar_alone_passes(question: Question) -> None:
    assert guard(question, SIDECAR) == Allowed()


@pytest.mark.parametrize(
    "question",
    [
        ask("UPDATE", pod("evil:1"), pod("wiremask:1")),
        ask("UPDATE", pod(None), pod("wiremask:1")),
        ask("CONNECT", {"container": "wiremask"}, subresource="exec"),
        debug(targetContainerName="wiremask"),
        debug(volumeMounts=[{"name": "wiremask-keys", "mountPath": "/k"}]),
        debug(env=[{"name": "K", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "pii"}}}]),
        debug(envFrom=[{"secretRef": {"name": "keys"}}]),
        debug(securityContext={"privileged": True}),
    ],
    ids=[
        "image",
        "no sidecar any more",
        "exec",
        "debug the sidecar",
        "debug with its volume",
        "debug with its key",
        "debug with its keys",
        "debug with all rights",
    ],
)
def test_what_touches_the_sidecar_is_refused(question: Question) -> None:
    assert isinstance(guard(question, SIDECAR), Refused)
