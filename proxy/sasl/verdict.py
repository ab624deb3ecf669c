"""What a login at the proxy comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wiremask.rules import Claims


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """Who a client is.

    Attributes:
        claims: what the issuer of its access token says of it.
        lasts_s: how long that is good; None is for as long as the connection lasts.
    """

    name: str
    claims: Claims | None = field(default=None, repr=False)
    lasts_s: float | None = None


class LoginRefused(Exception):
    """A login that did not succeed; the text says why, and holds nothing of a token."""
