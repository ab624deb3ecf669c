"""Access tokens of clients (OAUTHBEARER), verified: signed by a key of the issuer, for this audience, not over.

The keys are a JWK set, from a file or from an https address. What came from an address is kept for `refreshSeconds`,
and asked for again when a token names a key that is not in it, but not more often than every NEW_KEY_PAUSE_S. Without
keys nobody logs in.

Source: RFC 7515, RFC 7517, RFC 7519, RFC 7628, RFC 8725 (what to check, and why).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, field_validator, model_validator

from wiremask.protocol.sasl import read_bearer
from wiremask.proxy.log import logger
from wiremask.proxy.model import Seconds, Section
from wiremask.proxy.rulefiles import read_text, signature
from wiremask.proxy.sasl.https import HttpsFailed, fetch, require_https
from wiremask.proxy.sasl.verdict import LoginRefused, Verified
from wiremask.rules import Claims

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logger()

NEW_KEY_PAUSE_S: Final = 10.0
_LIMIT_BYTES: Final = 1 << 20
_KINDS: Final = {"RSA", "EC", "OKP"}
"""Keys with a public half; one that is a shared secret would let whoever verifies sign too."""


class KeysUnusable(Exception):
    """A set of keys that cannot be used; the text names the place."""


class BearerConfig(Section):
    """Section `listeners[].sasl.bearer`: whose access tokens are taken."""

    issuer: str = Field(min_length=1)
    """The `iss` that a token must have."""

    audience: str = Field(min_length=1)
    """The `aud` that a token must have, alone or among others."""

    jwks_file: Path | None = None
    """The issuer's keys: a file with a JWK set."""

    jwks_url: str | None = None
    """The issuer's keys: where its JWK set is, https."""

    ca: Path | None = None
    """PEM file with the authorities of that address's certificate; the system's when not given."""

    refresh_seconds: Seconds = 300
    """How long keys from an address are used before they are asked for again."""

    leeway_seconds: float = Field(default=30, ge=0, le=300)
    """How far clocks may be apart."""

    @field_validator("jwks_url")
    @classmethod
    def _is_https(cls, url: str | None) -> str | None:
        return None if url is None else require_https(url)

    @model_validator(mode="after")
    def _has_keys(self) -> BearerConfig:
        if (self.jwks_file is None) == (self.jwks_url is None):
            raise ValueError("write where the issuer's keys are: either jwksFile or jwksUrl")
        return self


class IssuerKeys:
    """The keys of one issuer."""

    expires = None

    def __init__(self, config: BearerConfig, *, use: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Reads the file, if they are in one.

        Raises:
            KeysUnusable: it cannot be used.
        """
        self.use = use
        self.files = [] if config.jwks_file is None else [config.jwks_file]
        self._config = config
        self._clock = clock
        self._keys: dict[str | None, Any] = {}
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()
        self.seen = signature(self.files)
        if self.files:
            self.reload()

    def reload(self) -> None:
        """Reads the file again.

        Raises:
            KeysUnusable: it cannot be used; the keys stay as they were.
        """
        self.seen = signature(self.files)
        file = self.files[0]
        try:
            self._keys = _read_keys(read_text(file, _LIMIT_BYTES))
        except OSError as error:
            raise KeysUnusable(f"{file}: {error.strerror}") from None
        except ValueError:
            raise KeysUnusable(f"{file}: it is no JWK set with a public key in it") from None

    async def find(self, key_id: str | None) -> Any:
        """The key of a token; None if there is none. Without an id, the only key that there is."""
        if self._config.jwks_url is not None:
            await self._refresh(self._config.jwks_url, key_id)
        if key_id is not None:
            return self._keys.get(key_id)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    async def _refresh(self, url: str, key_id: str | None) -> None:
        async with self._asking:  # logins that come together share one answer
            age_s = None if self._asked_at is None else self._clock() - self._asked_at
            is_known = bool(self._keys) and (key_id is None or key_id in self._keys)
            if age_s is not None and age_s < (self._config.refresh_seconds if is_known else NEW_KEY_PAUSE_S):
                return
            self._asked_at = self._clock()
            try:
                self._keys = _read_keys((await asyncio.to_thread(fetch, url, ca=self._config.ca)).decode())
            except (HttpsFailed, ValueError) as error:
                fault = str(error) if isinstance(error, HttpsFailed) else f"{url} answered no JWK set"
                _log.warning("keys not refreshed", listener=self.use, error=fault)


def _read_keys(text: str) -> dict[str | None, Any]:
    """The public keys of a set by their ids.

    Raises:
        ValueError: there is none.
    """
    import jwt  # noqa: PLC0415 - only where tokens are verified

    try:
        found = {key.key_id: key for key in jwt.PyJWKSet.from_json(text).keys if key.key_type in _KINDS}
    except (jwt.PyJWTError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("no JWK set") from error
    if not found:
        raise ValueError("no public key")
    return found


class BearerServer:
    """One login."""

    def __init__(self, config: BearerConfig, keys: IssuerKeys, *, principal_claim: str) -> None:
        self._config = config
        self._keys = keys
        self._claim = principal_claim

    async def step(self, token: bytes) -> tuple[bytes, Verified | None]:
        """Takes the client's one token and says who it is.

        Raises:
            LoginRefused: it is not good.
        """
        bearer = read_bearer(token)
        if bearer is None:
            raise LoginRefused("the client's OAUTHBEARER message is none")
        authzid, access_token = bearer
        claims = await self._verify(access_token)
        name = claims.get(self._claim)
        if not isinstance(name, str) or not name or authzid not in {None, name}:
            raise LoginRefused("the access token does not name the client")
        lasts_s = float(claims["exp"]) + self._config.leeway_seconds - time.time()
        return b"", Verified(name=name, claims=Claims.of(claims), lasts_s=lasts_s)

    async def _verify(self, token: str) -> dict[str, Any]:
        import jwt  # noqa: PLC0415

        config = self._config
        try:
            key = await self._keys.find(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                raise LoginRefused("the access token names a key that the issuer does not have")
            verified: dict[str, Any] = jwt.decode(
                token,
                key=key,
                algorithms=[key.algorithm_name],
                issuer=config.issuer,
                audience=config.audience,
                leeway=config.leeway_seconds,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWTError as error:
            # The class alone: the text may quote the token.
            raise LoginRefused(f"the access token is not good: {type(error).__name__}") from None
        return verified
