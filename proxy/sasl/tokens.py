"""Access tokens for the proxy's own logins: from where a platform puts them, or by OAuth's client credentials.

Source: RFC 6749 section 4.4; Kafka's OAuthBearerLoginCallbackHandler for the names of settings.
"""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urlencode

from pydantic import Field, field_validator

from wiremask.proxy.model import Section
from wiremask.proxy.sasl.https import HttpsFailed, fetch, require_https
from wiremask.proxy.secret import SecretConfig

if TYPE_CHECKING:
    from collections.abc import Callable

_USED_SHARE = 0.8
"""A token is asked for anew after this much of its life."""


class TokenUnavailable(Exception):
    """No access token can be had; the text names the place, and holds nothing of an answer."""


class ClientCredentialsConfig(Section):
    """Section `upstream.sasl.clientCredentials`: a token endpoint, and who the proxy is there."""

    token_url: str
    """The token endpoint, https."""

    client_id: str = Field(min_length=1)
    """Who the proxy is."""

    client_secret: SecretConfig
    """Its secret; read each time that a token is asked for."""

    scope: str | None = None
    """What the token shall be good for."""

    ca: Path | None = None
    """PEM file with the authorities of the endpoint's certificate; the system's when not given."""

    @field_validator("token_url")
    @classmethod
    def _is_https(cls, url: str) -> str:
        return require_https(url)


class TokenSource:
    """Gives an access token for each login; one that was asked for is used again for most of its life."""

    def __init__(
        self,
        *,
        token: SecretConfig | None,
        credentials: ClientCredentialsConfig | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._token = token
        self._credentials = credentials
        self._clock = clock
        self._kept: tuple[str, float] | None = None
        self._asking = asyncio.Lock()

    async def token(self) -> str:
        """A token that is good now.

        Raises:
            SecretUnavailable: it, or the client's secret, is not where the configuration says.
            TokenUnavailable: the endpoint gave none.
        """
        if self._token is not None:
            return (await asyncio.to_thread(self._token.read)).strip()
        if self._credentials is None:
            raise TokenUnavailable("no access token is configured")
        async with self._asking:  # connections that come together share one
            if self._kept is None or self._clock() >= self._kept[1]:
                asked_at = self._clock()
                token, lasts_s = await asyncio.to_thread(_ask, self._credentials)
                self._kept = token, asked_at + _USED_SHARE * lasts_s
            return self._kept[0]


def _ask(config: ClientCredentialsConfig) -> tuple[str, float]:
    secret = config.client_secret.read()
    basic = b64encode(f"{quote_plus(config.client_id)}:{quote_plus(secret)}".encode()).decode()
    form = {"grant_type": "client_credentials", **({"scope": config.scope} if config.scope else {})}
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"}
    try:
        answer = json.loads(fetch(config.token_url, ca=config.ca, headers=headers, content=urlencode(form).encode()))
        token, lasts_s = answer["access_token"], answer.get("expires_in", 60)
    except HttpsFailed as error:
        raise TokenUnavailable(str(error)) from None
    except (ValueError, LookupError, TypeError, AttributeError):
        raise TokenUnavailable(f"{config.token_url} gave no access token") from None
    if not isinstance(token, str) or not isinstance(lasts_s, int | float):
        raise TokenUnavailable(f"{config.token_url} gave no access token")
    return token, float(lasts_s)
