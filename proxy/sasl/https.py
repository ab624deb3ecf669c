"""One request over https, on a thread: for token endpoints and key sets. Bounded in time and size, no redirects."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIMEOUT_S = 10.0
_LIMIT_BYTES = 1 << 20


class HttpsFailed(Exception):
    """No answer that can be used; the text names the address, and quotes nothing of an answer."""


def require_https(url: str) -> str:
    """The address, if it is one that credentials and keys may come from.

    Raises:
        ValueError: says what to write instead.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.username is not None:
        raise ValueError('write an address as "https://host/path", without a user in it')
    return url


def fetch(
    url: str, *, ca: Path | None, headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> bytes:
    """GETs, or POSTs `content`; blocks.

    Raises:
        HttpsFailed: there is no good answer.
    """
    import urllib.error  # noqa: PLC0415 - only where something is fetched
    import urllib.request  # noqa: PLC0415

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), NoRedirect())
        request = urllib.request.Request(require_https(url), data=content, headers=dict(headers or {}))  # noqa: S310
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            read: bytes = answer.read(_LIMIT_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise HttpsFailed(f"{url} answered {error.code}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        what = getattr(reason, "verify_message", None) or getattr(reason, "strerror", None) or type(reason).__name__
        raise HttpsFailed(f"{url} cannot be reached: {what}") from None
    if len(read) > _LIMIT_BYTES:
        raise HttpsFailed(f"{url} answered more than {_LIMIT_BYTES} bytes")
    return read
