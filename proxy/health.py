"""What the probes answer: is the process alive, and should it get traffic.

One object that those who know set (the rule source its rules, the upstream its first answer, the server its drain) and
that the admin server reads. Everything happens on the event loop, so there is no lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesHealth:
    """The ruleset that masks now.

    Attributes:
        loaded_at: when it was swapped in.
        rules: how many rules it has.
    """

    generation: int
    digest: str
    rules: int
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(slots=True, kw_only=True, eq=False)
class Health:
    """The flags behind `/readyz`.

    Attributes:
        rules: None until a ruleset is loaded.
        refused: why the last change of the rules was refused, one `file:line:column: what` each; empty once a change is
            applied. A refused change does not make the process unready: the ruleset before it still masks.
        listening: the ports of the listeners are open.
        upstream_answered: a broker answered when one was last asked.
        draining: the process was told to stop.
    """

    rules: RulesHealth | None = None
    refused: tuple[str, ...] = ()
    listening: bool = False
    upstream_answered: bool = False
    draining: bool = False

    @property
    def started(self) -> bool:
        """Whether clients can connect; what they ask may still have to wait for a broker."""
        return self.rules is not None and self.listening

    @property
    def ready(self) -> bool:
        """Whether clients should be sent here."""
        return self.rules is not None and self.upstream_answered and not self.draining

    def detail(self) -> dict[str, object]:
        """The same in full, as JSON values; nothing of it is secret or payload."""
        rules = self.rules
        return {
            "ready": self.ready,
            "rules": None
            if rules is None
            else {
                "generation": rules.generation,
                "digest": rules.digest,
                "rules": rules.rules,
                "loadedAt": rules.loaded_at.isoformat(timespec="milliseconds"),
            },
            "refusedChange": list(self.refused),
            "upstreamAnswered": self.upstream_answered,
            "draining": self.draining,
        }
