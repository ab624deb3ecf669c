"""The records of a batch as rules see them, and what becomes of them: the outcomes of their parts together."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from wiremask.rules.outcome import Failure, Outcome

PartName = Literal["value", "key", "headers"]

_NONE = array("i")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordsOutcome:
    """What becomes of the records of a batch; a part that no rule masks has no outcome."""

    value: Outcome | None = None
    key: Outcome | None = None
    headers: Outcome | None = None

    @property
    def parts(self) -> Iterator[tuple[PartName, Outcome]]:
        """The outcomes that there are."""
        if self.value is not None:
            yield "value", self.value
        if self.key is not None:
            yield "key", self.key
        if self.headers is not None:
            yield "headers", self.headers

    def counts(self) -> RecordsOutcome:
        """The same without the masked bytes, for who only counts."""
        return RecordsOutcome(**{part: replace(outcome, values=b"", spans=_NONE) for part, outcome in self.parts})

    @property
    def is_unchanged(self) -> bool:
        """Whether every part of every record is as it was."""
        return not any(outcome.changed or outcome.failures for _, outcome in self.parts)

    @property
    def failures(self) -> list[tuple[PartName, Failure]]:
        """The first failure of each record that has one, in order."""
        first: dict[int, tuple[PartName, Failure]] = {}
        for part, outcome in self.parts:
            for failure in outcome.failures:
                first.setdefault(failure.index, (part, failure))
        return [first[index] for index in sorted(first)]
