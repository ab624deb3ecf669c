"""Kubernetes' AdmissionReview: JSON in, a question; an answer, JSON out.

Source: k8s.io/api/admission/v1, AdmissionReview.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

VERSION = "admission.k8s.io/v1"

Json = dict[str, Any]


class ReviewUnreadable(ValueError):
    """A body that is no AdmissionReview; the text says what is missing and quotes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the API server asks.

    Attributes:
        uid: names the question in its answer.
        kind: of the object: `Pod`, `ConfigMap`, `PodExecOptions`.
        operation: CREATE, UPDATE, DELETE or CONNECT.
        namespace: of the object, which itself may not say yet.
        subresource: "" for the object as a whole.
        object: the object as it shall become; empty for a DELETE.
        old: the object as it is; empty for a CREATE.
    """

    uid: str
    kind: str
    operation: str
    namespace: str
    subresource: str = ""
    object: Json = field(default_factory=dict, repr=False)
    old: Json = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Yes; with the object as it shall become, where that is another."""

    changed: Json | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """No; the user reads the message, which says what to do instead."""

    message: str


Answer = Allowed | Refused


def read_question(body: bytes) -> Question:
    """Reads a review.

    Raises:
        ReviewUnreadable: it is no review of this version.
    """
    try:
        review = json.loads(body)
    except (ValueError, RecursionError):
        raise ReviewUnreadable("the body is no JSON") from None
    if not isinstance(review, dict) or review.get("apiVersion") != VERSION or review.get("kind") != "AdmissionReview":
        raise ReviewUnreadable(f"the body is no AdmissionReview of {VERSION}")
    request = review.get("request")
    if not isinstance(request, dict):
        raise ReviewUnreadable("the review has no request")
    kind = request.get("kind")
    texts: Json = {
        "uid": request.get("uid"),
        "operation": request.get("operation"),
        "namespace": request.get("namespace", ""),
        "subresource": request.get("subResource", ""),
        "kind": kind.get("kind") if isinstance(kind, dict) else None,
    }
    objects: Json = {"object": request.get("object") or {}, "old": request.get("oldObject") or {}}
    for name, value in texts.items():
        if not isinstance(value, str) or (name in {"uid", "operation", "kind"} and not value):
            raise ReviewUnreadable(f"the request has no {name}")
    for name, value in objects.items():
        if not isinstance(value, dict):
            raise ReviewUnreadable(f"the request's {name} is no object")
    return Question(**texts, **objects)


def write_answer(question: Question, answer: Answer) -> bytes:
    """Writes the review that answers `question`."""
    response: Json = {"uid": question.uid, "allowed": isinstance(answer, Allowed)}
    match answer:
        case Allowed(changed=changed, warnings=warnings):
            if warnings:
                response["warnings"] = list(warnings)
            patch = [] if changed is None else make_patch(question.object, changed)
            if patch:
                response["patchType"] = "JSONPatch"
                response["patch"] = base64.b64encode(json.dumps(patch).encode()).decode("ascii")
        case Refused(message=message):
            response["status"] = {"code": 403, "reason": "Forbidden", "message": f"wiremask: {message}"}
    return json.dumps({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response}).encode()


def make_patch(before: Json, after: Json, at: str = "") -> list[Json]:
    """The JSON Patch from one object to another, down to the members that differ; lists are replaced as a whole.

    Source: RFC 6902; RFC 6901 for the pointers.
    """
    patch: list[Json] = []
    for name in [*before, *(name for name in after if name not in before)]:
        pointer = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            patch.append({"op": "remove", "path": pointer})
        elif name not in before:
            patch.append({"op": "add", "path": pointer, "value": after[name]})
        elif isinstance(before[name], dict) and isinstance(after[name], dict):
            patch += make_patch(before[name], after[name], pointer)
        elif before[name] != after[name]:
            patch.append({"op": "replace", "path": pointer, "value": after[name]})
    return patch
