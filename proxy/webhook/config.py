"""The webhook's configuration: a YAML file of its own, read like the proxy's."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from wiremask.proxy.address import Address, AddressField
from wiremask.proxy.log import LogConfig
from wiremask.proxy.model import Section
from wiremask.proxy.webhook.cluster import ClusterConfig
from wiremask.proxy.webhook.sidecar import Sidecar

_MOUNT = Path("/etc/wiremask-webhook")


class TlsConfig(Section):
    """Section `server.tls`: a certificate with its key, or a CA with its key, from which the webhook issues its own."""

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    ca_key: Path | None = None

    @model_validator(mode="after")
    def _one_pair(self) -> TlsConfig:
        pairs = [(self.certificate, self.key), (self.ca, self.ca_key)]
        whole = [all(pair) for pair in pairs]
        if sum(whole) != 1 or any(any(pair) and not all(pair) for pair in pairs):
            raise ValueError("write certificate and key, or ca and caKey")
        return self


class ServerConfig(Section):
    """Section `server`: where the API server asks."""

    address: AddressField = Address("127.0.0.1", 8443)
    names: tuple[str, ...] = Field(default=("localhost",), min_length=1)
    """The DNS names by which it is called; in the certificate that the webhook issues itself."""

    tls: TlsConfig = TlsConfig(ca=_MOUNT / "tls" / "tls.crt", ca_key=_MOUNT / "tls" / "tls.key")


class InjectorConfig(Section):
    """Section `injector`."""

    sidecar: Path = _MOUNT / "config" / "sidecar.json"
    """JSON: `{"container": ..., "volumes": [...], "imagePullSecrets": [NAME, ...]}`."""

    bootstrap: str = "127.0.0.1:9092"
    """Where the clients of a pod find their proxy."""

    bootstrap_variables: tuple[str, ...] = ("KAFKA_BOOTSTRAP_SERVERS",)
    rules_config_map: str = Field(default="wiremask-rules", min_length=1)
    """What each namespace must have."""

    may_opt_out: frozenset[str] = frozenset()
    """ServiceAccounts as NAMESPACE/NAME."""


class WebhookConfig(Section):
    """The configuration of one webhook process."""

    server: ServerConfig = ServerConfig()
    injector: InjectorConfig = InjectorConfig()
    cluster: ClusterConfig = ClusterConfig()
    log: LogConfig = LogConfig()


class SidecarUnusable(Exception):
    """The file that says what the sidecar is does not; names the file and what it lacks."""


class _Named(BaseModel):
    """A part of a pod, as Kubernetes writes it."""

    model_config = ConfigDict(extra="allow")
    name: str = Field(min_length=1)


class _Container(_Named):
    image: str = Field(min_length=1)


class _Parts(BaseModel):
    container: _Container
    volumes: tuple[_Named, ...]
    pull_secrets: tuple[str, ...] = Field(default=(), alias="imagePullSecrets")


def read_sidecar(config: InjectorConfig) -> Sidecar:
    """Reads what is added to pods.

    Raises:
        SidecarUnusable: the file is not there, or holds no sidecar.
    """
    try:
        text = config.sidecar.read_bytes()
        parts = _Parts.model_validate_json(text).model_dump()
    except OSError as error:
        raise SidecarUnusable(f"{config.sidecar} cannot be read: {error.strerror}") from None
    except ValidationError:
        raise SidecarUnusable(
            f"{config.sidecar} is no sidecar: it needs a container with name and image, and volumes with names"
        ) from None
    return Sidecar(
        container=parts["container"],
        volumes=parts["volumes"],
        pull_secrets=parts["pull_secrets"],
        bootstrap=config.bootstrap,
        variables=config.bootstrap_variables,
        digest=hashlib.sha256(text).hexdigest()[:16],
    )
