"""The one thing that the webhook asks of the API server: does this namespace have the rules that its sidecars mount?"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from wiremask.proxy.model import Seconds, Section

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ClusterConfig(Section):
    """Section `cluster` of the webhook; the defaults are what a pod finds."""

    address: str = "https://kubernetes.default.svc"
    """Of the API server."""

    token_file: Path = _ACCOUNT / "token"
    """Read anew for each question: the kubelet renews it."""

    ca_file: Path = _ACCOUNT / "ca.crt"
    timeout_seconds: Seconds = 3


class ClusterSilent(Exception):
    """The API server gave no answer that tells; says why."""


class Cluster:
    """Asks the API server, with the pod's own ServiceAccount."""

    def __init__(self, config: ClusterConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Opens the session.

        Raises:
            OSError: the CA's file cannot be read.
        """
        trust = ssl.create_default_context(cafile=str(self._config.ca_file))
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust),
            timeout=aiohttp.ClientTimeout(total=self._config.timeout_seconds),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def has_config_map(self, namespace: str, name: str) -> bool:
        """Whether there is a ConfigMap of that name.

        Raises:
            ClusterSilent: it could not be found out.
        """
        if self._session is None:
            raise RuntimeError("not open")
        url = f"{self._config.address}/api/v1/namespaces/{namespace}/configmaps/{name}"
        try:
            token = self._config.token_file.read_text("ascii").strip()
            # The metadata is enough; what is in the ConfigMap is not needed here.
            headers = {
                "Authorization": f"Bearer {token}",
                "Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            }
            async with self._session.get(url, headers=headers, allow_redirects=False) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ClusterSilent(f"the API server was not reached ({type(error).__name__})") from None
        if status not in {200, 404}:
            raise ClusterSilent(f"the API server answered {status}")
        return status == 200
