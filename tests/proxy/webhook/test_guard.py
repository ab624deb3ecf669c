"""Nobody exchanges the sidecar of a running pod, or looks into it; other updates pass."""

from __future__ import annotations

from typing import Any

import pytest

from wiremask.proxy.webhook.guard import guard
from wiremask.proxy.webhook.injection import Sidecar
from wiremask.proxy.webhook.review import Allowed, Json, Question, Refused

SIDECAR = Sidecar(
    container={"name": "wiremask", "image": "wiremask:2"}, volumes=(), bootstrap="b:1", variables=(), digest="d"
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


@pytest.mark.parametrize(
    "question",
    [
        ask("UPDATE", pod("wiremask:1", labels={"a": "b"}), pod("wiremask:1")),
        ask("UPDATE", pod("wiremask:2"), pod("wiremask:1")),
        ask("UPDATE", pod(None), pod(None)),
        ask("CONNECT", {"container": "app"}, subresource="exec"),
        ask("CONNECT", {}, subresource="attach"),
        ask(
            "UPDATE",
            {"spec": {"ephemeralContainers": [{"name": "d", "targetContainerName": "app"}]}},
            subresource="ephemeralcontainers",
        ),
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
        ask(
            "UPDATE",
            {"spec": {"ephemeralContainers": [{"name": "d", "targetContainerName": "wiremask"}]}},
            subresource="ephemeralcontainers",
        ),
    ],
    ids=["image", "no sidecar any more", "exec", "debug the sidecar"],
)
def test_what_touches_the_sidecar_is_refused(question: Question) -> None:
    assert isinstance(guard(question, SIDECAR), Refused)
