"""The records of a batch as rules see them, and what becomes of them: the outcomes of their parts together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from array import array

    from typing_extensions import Buffer

    from wiremask.rules.outcome import Failure, Outcome

PartName = Literal["value", "key", "headers"]


class Records(Protocol):
    """Records whose parts lie in one buffer."""

    @property
    def section(self) -> Buffer:
        """The bytes that hold them; nobody writes to them."""
        ...

    @property
    def keys(self) -> array[int]:
        """Two ints a record: start and length, -1 for null."""
        ...

    @property
    def values(self) -> array[int]:
        """Likewise."""
        ...

    @property
    def headers(self) -> array[int]:
        """Five ints a header: record; start and length of its name; start and length of its value, -1 for null."""
        ...


class RecordCounts(NamedTuple):
    """What is counted of a batch. A tuple, because one is made for each.

    Attributes:
        parts: for each part that rules mask, records that changed and that could not be read, and leaves by rule.
        failures: see RecordsOutcome.
    """

    parts: list[tuple[int, int, array[int]]]
    failures: list[tuple[PartName, Failure]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsOutcome:
    """What becomes of the records of a batch; a part that no rule masks has no outcome."""

    value: Outcome | None = None
    key: Outcome | None = None
    headers: Outcome | None = None

    @property
    def parts(self) -> list[tuple[PartName, Outcome]]:
        """The outcomes that there are."""
        parts: list[tuple[PartName, Outcome]] = []
        if self.value is not None:
            parts.append(("value", self.value))
        if self.key is not None:
            parts.append(("key", self.key))
        if self.headers is not None:
            parts.append(("headers", self.headers))
        return parts

    def counts(self) -> RecordCounts:
        """What there is to count of it, without the masked bytes."""
        return RecordCounts(
            parts=[(outcome.changed, outcome.unreadable, outcome.masked) for _, outcome in self.parts],
            failures=self.failures,
        )

    @property
    def is_unchanged(self) -> bool:
        """Whether every part of every record is as it was."""
        return not any(outcome.changed or outcome.failures for _, outcome in self.parts)

    @property
    def failures(self) -> list[tuple[PartName, Failure]]:
        """The first failure of each record that has one, in order."""
        failed = [(part, outcome) for part, outcome in self.parts if outcome.failures]
        if not failed:
            return []
        first: dict[int, tuple[PartName, Failure]] = {}
        for part, outcome in failed:
            for failure in outcome.failures:
                first.setdefault(failure.index, (part, failure))
        return [first[index] for index in sorted(first)]
