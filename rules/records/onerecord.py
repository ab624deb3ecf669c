"""One record as a batch of its own, for who has no batch: tests of rules, and calls from Python."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wiremask.rules.outcome import LEFT_OUT, UNCHANGED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wiremask.rules.outcome import Outcome
    from wiremask.rules.records.batch import RecordsOutcome

Content = bytes | bytearray | memoryview | None
Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRecord:
    """A record: see wiremask.rules.records.batch.Records."""

    section: bytes = field(repr=False)
    keys: array[int]
    values: array[int]
    headers: array[int]
    names: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(
        cls, *, key: Content = None, value: Content = None, headers: Iterable[tuple[str, Content]] = ()
    ) -> OneRecord:
        """Makes the record of its parts."""
        section = bytearray()

        def add(content: Content) -> tuple[int, int]:
            start = len(section)
            section.extend(content or b"")
            return start, -1 if content is None else len(section) - start

        spans, names = array("i"), []
        for name, content in headers:
            names.append(name)
            spans.extend((0, *add(name.encode()), *add(content)))
        keys, values = array("i", add(key)), array("i", add(value))
        return cls(section=bytes(section), keys=keys, values=values, headers=spans, names=tuple(names))

    def masked_key(self, outcome: RecordsOutcome) -> bytes | None:
        """The key as it came out."""
        return self._cut(self.keys, outcome.key)

    def masked_value(self, outcome: RecordsOutcome) -> bytes | None:
        """The value as it came out."""
        return self._cut(self.values, outcome.value)

    def masked_headers(self, outcome: RecordsOutcome) -> Headers:
        """The headers as they came out, without those that go."""
        found = outcome.headers
        return tuple(
            (name, self._cut(self.headers[5 * at + 3 : 5 * at + 5], found, at))
            for at, name in enumerate(self.names)
            if found is None or found.spans[2 * at] != LEFT_OUT
        )

    def _cut(self, span: array[int], outcome: Outcome | None, at: int = 0) -> bytes | None:
        start, length = (UNCHANGED, 0) if outcome is None else outcome.spans[2 * at : 2 * at + 2]
        if start < UNCHANGED:
            raise ValueError("a part that was refused has no masked form")
        if start == UNCHANGED or outcome is None:
            return None if span[1] == -1 else self.section[span[0] : sum(span)]
        return None if length == -1 else outcome.values[start : start + length]
