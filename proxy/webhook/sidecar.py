"""What is added to a pod."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wiremask.proxy.webhook.isolation import secrets_of

if TYPE_CHECKING:
    from wiremask.proxy.webhook.review import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What is added to a pod, as Kubernetes writes it.

    Attributes:
        container: an init container with `restartPolicy: Always`; its name is reserved.
        volumes: what it mounts; their names are reserved.
        bootstrap: where clients in the pod find the proxy, HOST:PORT.
        variables: the environment variables that are set to it in every other container.
        pull_secrets: by which the kubelet gets its image.
        digest: tells one version of all this from another.
    """

    container: Json = field(repr=False)
    volumes: tuple[Json, ...] = field(repr=False)
    bootstrap: str
    variables: tuple[str, ...]
    digest: str
    pull_secrets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the container."""
        name: str = self.container["name"]
        return name

    @property
    def volume_names(self) -> frozenset[str]:
        """The names of the volumes."""
        return frozenset(volume["name"] for volume in self.volumes)

    @property
    def secrets(self) -> frozenset[str]:
        """The Secrets that it reads: keys, and the credential that the broker accepts."""
        return secrets_of(self.volumes, [self.container])
