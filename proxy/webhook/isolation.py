"""What a pod must not have beside the sidecar: whatever could look into it, or read what it alone may read.

The sidecar holds keys and the credential that the brokers accept. A container of the same pod comes near them by names
that it shares (volumes, Secrets), by namespaces that it shares (processes, the host's network), and by way of the node.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wiremask.proxy.webhook.review import Json
    from wiremask.proxy.webhook.sidecar import Sidecar

_SHARED: Final = {
    "shareProcessNamespace": "every container could read the sidecar's memory",
    "hostPID": "the node's processes and the sidecar could read each other's memory",
    "hostNetwork": "every process on the node could use the sidecar's credentials",
}
"""What a pod must not share, and why."""

_OF_THE_NODE: Final = (
    "/proc",
    "/run",
    "/var/run",
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
)
"""Where a node keeps the files and sockets of all its pods."""


def fault_in(spec: Json, sidecar: Sidecar) -> str | None:
    """Why a pod of this specification cannot have the sidecar; None if it can."""
    containers = [*spec.get("containers", ()), *others(spec, sidecar)]
    volumes = [volume for volume in spec.get("volumes") or [] if volume.get("name") not in sidecar.volume_names]
    return (
        _windows(spec)
        or _shared(spec)
        or next(filter(None, (fault_of(container, sidecar) for container in containers)), None)
        or next(filter(None, map(_host_path, volumes)), None)
        or _read_secret(secrets_of(volumes, ()), sidecar)
    )


def fault_of(container: Json, sidecar: Sidecar) -> str | None:
    """Why a container, also one for debugging, cannot be beside the sidecar; None if it can."""
    name = container.get("name")
    if name == sidecar.name:
        return f"the container name {sidecar.name} is the sidecar's; choose another"
    mounts = [*(container.get("volumeMounts") or ()), *(container.get("volumeDevices") or ())]
    if any(mount.get("name") in sidecar.volume_names for mount in mounts):
        return f"container {name} mounts a volume of the sidecar, which may hold keys; delete it"
    if (container.get("securityContext") or {}).get("privileged"):
        return f"container {name} is privileged: it could read the memory of every process on the node; delete that"
    return _read_secret(secrets_of((), [container]), sidecar)


def others(spec: Json, sidecar: Sidecar) -> list[Json]:
    """The init containers that are not the sidecar."""
    return [container for container in spec.get("initContainers") or [] if container.get("name") != sidecar.name]


def secrets_of(volumes: Iterable[Json], containers: Iterable[Json]) -> frozenset[str]:
    """The names of the Secrets that these volumes and environments refer to."""
    return frozenset(name for name in _secrets_of(volumes, containers) if name is not None)


def _secrets_of(volumes: Iterable[Json], containers: Iterable[Json]) -> Iterator[str | None]:
    for volume in volumes:
        yield (volume.get("secret") or {}).get("secretName")
        for source in (volume.get("projected") or {}).get("sources") or ():
            yield (source.get("secret") or {}).get("name")
    for container in containers:
        for source in container.get("envFrom") or ():
            yield (source.get("secretRef") or {}).get("name")
        for entry in container.get("env") or ():
            yield ((entry.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")


def _read_secret(read: frozenset[str], sidecar: Sidecar) -> str | None:
    ours = read & sidecar.secrets
    return f"the Secret {min(ours)} is for the sidecar alone; delete what refers to it" if ours else None


def _windows(spec: Json) -> str | None:
    systems = {(spec.get("os") or {}).get("name"), (spec.get("nodeSelector") or {}).get("kubernetes.io/os")}
    if "windows" in systems:
        return "the sidecar does not run on Windows; let its clients use a gateway, from a namespace without sidecars"
    return None


def _shared(spec: Json) -> str | None:
    for name, why in _SHARED.items():
        if spec.get(name):
            return f"{name} is not allowed beside the sidecar: {why}; delete it"
    return None


def _host_path(volume: Json) -> str | None:
    path = (volume.get("hostPath") or {}).get("path")
    if path is None:
        return None
    steps = PurePosixPath(path.lstrip("/")).parts
    # `..` may lead anywhere, so a path with it is taken for the root.
    wanted = PurePosixPath("/", *(() if ".." in steps else steps))
    if any(wanted.is_relative_to(place) or PurePosixPath(place).is_relative_to(wanted) for place in _OF_THE_NODE):
        return f"volume {volume.get('name')} shows {path} of the node, with the keys of its pods; delete it"
    return None
