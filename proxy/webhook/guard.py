"""What may still be done to a pod with a sidecar: nothing that exchanges the sidecar or looks into it.

Kubernetes lets the images of a running pod be changed, debug containers be added to it, and shells be opened in it. The
sidecar holds keys and the credential that the broker accepts, so these three stop at its door. Everything else passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.proxy.webhook.isolation import fault_of
from wiremask.proxy.webhook.review import Allowed, Answer, Question, Refused

if TYPE_CHECKING:
    from wiremask.proxy.webhook.sidecar import Sidecar

_ALLOWED = Allowed()


def guard(question: Question, sidecar: Sidecar) -> Answer:
    """Answers for an update of a pod, a debug container, or a CONNECT (exec, attach)."""
    if question.operation == "CONNECT":
        if question.object.get("container") == sidecar.name:
            return Refused(message="nobody enters the sidecar: it holds keys; use its logs and metrics")
        return _ALLOWED
    if question.subresource == "ephemeralcontainers":
        added = (question.object.get("spec") or {}).get("ephemeralContainers") or ()
        if any(container.get("targetContainerName") == sidecar.name for container in added):
            return Refused(message="no debug container may look into the sidecar: it holds keys")
        fault = next(filter(None, (fault_of(container, sidecar) for container in added)), None)
        return _ALLOWED if fault is None else Refused(message=fault)
    before, after = _image(question.old, sidecar.name), _image(question.object, sidecar.name)
    if before is not None and after not in {before, sidecar.container.get("image")}:
        return Refused(message="the sidecar's image is the platform's; change it in the chart")
    return _ALLOWED


def _image(pod: dict[str, object], name: str) -> object:
    spec = pod.get("spec")
    containers = spec.get("initContainers") if isinstance(spec, dict) else None
    return next((one.get("image") for one in containers or () if one.get("name") == name), None)
