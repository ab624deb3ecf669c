"""Adds the sidecar to a pod, and refuses pods that could get round it.

A pod cannot bring a sidecar of its own: what carries the reserved names is replaced. Nor can an application switch its
masking off: an annotation that is not one of the overrides below is refused, and opting out takes a ServiceAccount that
the platform has listed.

What a pod may say about its sidecar, each as an annotation:

    wiremask.dev/bootstrap-variables: KAFKA_BROKERS,SPRING_KAFKA_BOOTSTRAP_SERVERS   more variables to set
    wiremask.dev/log-level: debug
    wiremask.dev/cpu, wiremask.dev/memory, wiremask.dev/memory-limit: quantities
    wiremask.dev/inject: "false"   only with a listed ServiceAccount
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Final

from wiremask.proxy.webhook.isolation import fault_in, others
from wiremask.proxy.webhook.review import Allowed, Answer, Json, Question, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from wiremask.proxy.webhook.sidecar import Sidecar

PREFIX: Final = "wiremask.dev/"
INJECT: Final = PREFIX + "inject"
INJECTED: Final = PREFIX + "injected"
VARIABLES: Final = PREFIX + "bootstrap-variables"

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi)?")
_LEVELS = frozenset({"debug", "info", "warning", "error"})


def inject(question: Question, sidecar: Sidecar, *, may_opt_out: frozenset[str]) -> Answer:
    """Answers for a new pod.

    Args:
        may_opt_out: the ServiceAccounts, as NAMESPACE/NAME, whose pods may go without a sidecar.
    """
    pod = copy.deepcopy(question.object)
    metadata, spec = pod.setdefault("metadata", {}), pod.setdefault("spec", {})
    annotations = metadata.get("annotations") or {}
    account = f"{question.namespace}/{spec.get('serviceAccountName') or 'default'}"
    if annotations.get(INJECT) == "false":
        if account in may_opt_out:
            return Allowed()
        return Refused(message=f"pods of ServiceAccount {account} may not opt out; delete the annotation {INJECT}")
    fault = _unknown_annotation(annotations) or fault_in(spec, sidecar)
    if fault is not None:
        return Refused(message=fault)

    ours = copy.deepcopy(sidecar.container)
    for name, (is_sound, put, form) in _OVERRIDES.items():
        if name in annotations:
            value = str(annotations[name])
            if not is_sound(value):
                return Refused(message=f"the annotation {name} is {form}")
            put(ours, value)
    variables = [*sidecar.variables, *_more_variables(annotations)]
    init_containers = others(spec, sidecar)
    for container in (*init_containers, *spec.get("containers", ())):
        _set_variables(container, variables, sidecar.bootstrap)
    # First, so that init containers of the application that use Kafka come after it.
    spec["initContainers"] = [ours, *init_containers]
    kept = [volume for volume in spec.get("volumes") or [] if volume.get("name") not in sidecar.volume_names]
    spec["volumes"] = [*kept, *copy.deepcopy(sidecar.volumes)]
    known = [secret.get("name") for secret in spec.get("imagePullSecrets") or []]
    if missing := [{"name": name} for name in sidecar.pull_secrets if name not in known]:
        spec["imagePullSecrets"] = [*(spec.get("imagePullSecrets") or []), *missing]
    metadata["annotations"] = {**annotations, INJECTED: sidecar.digest}
    return Allowed(changed=pod)


def _unknown_annotation(annotations: Json) -> str | None:
    known = {INJECT, INJECTED, VARIABLES, *_OVERRIDES}
    unknown = sorted(name for name in annotations if name.startswith(PREFIX) and name not in known)
    if unknown:
        return f"an application cannot set {unknown[0]}; known are {', '.join(sorted(known - {INJECTED}))}"
    if annotations.get(INJECT, "true") != "true":
        return f'the annotation {INJECT} is "true" or "false"'
    names = _more_variables(annotations)
    if VARIABLES in annotations and not all(map(_VARIABLE.fullmatch, names)):
        return f"the annotation {VARIABLES} is names of environment variables, with commas"
    return None


def _more_variables(annotations: Json) -> list[str]:
    return [name.strip() for name in str(annotations[VARIABLES]).split(",")] if VARIABLES in annotations else []


def _set_variables(container: Json, names: list[str], bootstrap: str) -> None:
    """Sets variables where they stand, or first, so that others may refer to them."""
    env = [dict(entry) for entry in container.get("env") or []]
    for name in reversed(names):
        wanted = {"name": name, "value": bootstrap}
        places = [place for place, entry in enumerate(env) if entry.get("name") == name]
        for place in places:
            env[place] = wanted
        if not places:
            env.insert(0, wanted)
    container["env"] = env


def _put_level(container: Json, value: str) -> None:
    _set_variables(container, ["WIREMASK_LOG__LEVEL"], value)


def _put_resource(kind: str, name: str) -> Callable[[Json, str], None]:
    def put(container: Json, value: str) -> None:
        container.setdefault("resources", {}).setdefault(kind, {})[name] = value

    return put


def _is_quantity(text: str) -> bool:
    return _QUANTITY.fullmatch(text) is not None


_OVERRIDES: Final[dict[str, tuple[Callable[[str], bool], Callable[[Json, str], None], str]]] = {
    PREFIX + "log-level": (_LEVELS.__contains__, _put_level, "debug, info, warning or error"),
    PREFIX + "cpu": (_is_quantity, _put_resource("requests", "cpu"), 'a quantity, such as "250m"'),
    PREFIX + "memory": (_is_quantity, _put_resource("requests", "memory"), 'a quantity, such as "192Mi"'),
    PREFIX + "memory-limit": (_is_quantity, _put_resource("limits", "memory"), 'a quantity, such as "512Mi"'),
}
"""What an application may change of its sidecar: whether a value is sound, how it is put, and what it is."""
