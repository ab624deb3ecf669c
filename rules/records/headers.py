"""Masks the headers of a batch by their names.

Names are few and headers are many: a name is matched once a batch, and all headers that one field decides are masked
in one go, each as one text.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.model.masks import Drop, Keep
from wiremask.rules.outcome import LEFT_OUT, UNCHANGED, MaskedTooLarge, Outcome
from wiremask.rules.records.formats import TextMasker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from wiremask.rules.model.masks import OnUnmaskable
    from wiremask.rules.model.rule import HeaderField
    from wiremask.rules.outcome import Failure
    from wiremask.rules.records.formats import Setting

_NOTHING = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderEntry:
    """A field of one of the rules, which has the position `rule` among them.

    Attributes:
        when: which condition must hold of the record: see RecordTests.number.
    """

    field: HeaderField
    rule: int
    on_unmaskable: OnUnmaskable
    when: int | None = None


def _select(entry: HeaderEntry) -> Selection:
    return Selection(
        path=(),
        mask=entry.field.mask,
        rule=entry.rule,
        on_unmaskable=entry.on_unmaskable,
        detect=entry.field.detect,
    )


class HeaderMasker:
    """Masks headers; the first entry that matches a name decides, also with `keep`."""

    def __init__(self, entries: Sequence[HeaderEntry], setting: Setting) -> None:
        self._entries = tuple(entries)
        self._rules = setting.rules
        self._limit = setting.output_limit_bytes
        self._conditions = setting.conditions
        alone = replace(setting, conditions=0)
        self._maskers = [
            None if isinstance(entry.field.mask, Keep | Drop) else TextMasker([_select(entry)], alone)
            for entry in entries
        ]

    def mask(self, buffer: Buffer, headers: array[int], conditions: bytes = b"", /) -> Outcome:
        """Masks a batch.

        Args:
            buffer: the bytes that hold names and values; not changed.
            headers: five ints a header: record; start and length of its name; start and length of its value, -1 for
                null.
            conditions: for each record what RecordTests.decide tells.

        Returns:
            An Outcome with a span a header: LEFT_OUT for one that goes, (0, -1) for one whose value is null now. The
            index of a failure is that of the record.

        Raises:
            MaskedTooLarge: the masked values outgrew the limit.
        """
        spans = array("i", (UNCHANGED, 0)) * (len(headers) // 5)
        masked = array("q", bytes(8 * self._rules))
        failures: list[Failure] = []
        arena = bytearray()
        changed = unreadable = 0
        for number, places in self._sort(memoryview(buffer), headers, conditions).items():
            masker, rule = self._maskers[number], self._entries[number].rule
            if masker is None:  # only `drop` is asked for
                for place in places:
                    spans[2 * place] = LEFT_OUT
                masked[rule] += len(places)
                changed += len(places)
                continue
            values = array("i")
            for place in places:
                values.extend(headers[5 * place + 3 : 5 * place + 5])
            outcome = masker.mask(buffer, values)
            for at, place in enumerate(places):
                start, length = outcome.spans[2 * at : 2 * at + 2]
                spans[2 * place] = start + len(arena) if start >= 0 else start
                spans[2 * place + 1] = length
            arena += outcome.values
            masked[rule] += outcome.masked[rule]
            changed += outcome.changed
            unreadable += outcome.unreadable
            failures += [replace(failure, index=headers[5 * places[failure.index]]) for failure in outcome.failures]
        if len(arena) > self._limit:
            raise MaskedTooLarge("the masked headers of a batch outgrew the limit")
        return Outcome(
            values=bytes(arena),
            spans=spans,
            changed=changed,
            failures=tuple(sorted(failures, key=lambda failure: failure.index)),
            masked=masked,
            unreadable=unreadable,
        )

    def _sort(self, buffer: memoryview, headers: array[int], conditions: bytes) -> dict[int, list[int]]:
        """The places of the headers that each entry decides, without those that are kept."""
        decided: dict[tuple[bytes, bytes], int] = {}
        found: dict[int, list[int]] = {}
        for place in range(len(headers) // 5):
            record, start, length = headers[5 * place : 5 * place + 3]
            name = bytes(buffer[start : start + length])
            holds = conditions[self._conditions * record : self._conditions * (record + 1)]
            number = decided.get((name, holds))
            if number is None:
                number = decided[name, holds] = self._decide(name, holds)
            if number != _NOTHING:
                found.setdefault(number, []).append(place)
        return found

    def _decide(self, name: bytes, holds: bytes) -> int:
        # Bytes that are no UTF-8 read as clients read them.
        text = name.decode("utf-8", "replace")
        for number, entry in enumerate(self._entries):
            if (entry.when is None or holds[entry.when]) and entry.field.matches(text):
                return _NOTHING if isinstance(entry.field.mask, Keep) else number
        return _NOTHING
