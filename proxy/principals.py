"""Who is connected, as a metric for those who ask for it: `admin.principals`.

Names of clients are personal data in many places, and there may be any number of them. So by default no metric has
them, and never more than were asked for: the connections of all others are told as one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from wiremask.proxy.measures import Metric

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

UNKNOWN: Final = "(unknown)"
"""Before a login is accepted, and after one whose name cannot be read. A principal begins with its type and a colon."""
OTHERS: Final = "(others)"


class Connected(Protocol):
    """A client's connection."""

    @property
    def principal(self) -> str | None:
        """Who it is, as rules know it."""


class PrincipalConnections(Metric):
    """Open connections by principal, counted when somebody looks; those with the most are named."""

    def __init__(self, connections: Collection[Connected], *, limit: int) -> None:
        super().__init__(
            "gauge",
            "wiremask_principal_connections",
            "Client connections that are open, by principal, where admin.principals asks for it.",
            "principal",
        )
        self._connections = connections
        self._limit = limit

    def samples(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """As the base class says it."""
        counted = Counter(connection.principal or UNKNOWN for connection in self._connections)
        ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        for principal, count in ordered[: self._limit]:
            yield (principal,), count
        if others := sum(count for _, count in ordered[self._limit :]):
            yield (OTHERS,), others
