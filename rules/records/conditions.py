"""Conditions on the record (`when: {record: ...}`), decided for a whole batch.

The kernel compares what a path selects, where it lies. A condition comes out true, false, or unknown: the path selects
nothing, or something of another type, or things that differ from one another; the header is not there; the value cannot
be read. Unknown counts as true for fields that mask and as false for those that exempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.jsonmask import JsonMasker

if TYPE_CHECKING:
    from array import array
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from wiremask.rules.model.rule import RecordCondition, Rule

EQUAL, UNEQUAL = 1, 2

# From what was found of a condition to whether it may hold, and whether it surely does.
_MAY = bytes(found != UNEQUAL for found in range(256))
_DOES = bytes(found == EQUAL for found in range(256))


class RecordTests:
    """The conditions of some rules, for each record of a batch. Rules with the same conditions share what is decided.

    Attributes:
        count: bytes that `decide` gives for each record: see `number`.
    """

    def __init__(self, rules: Sequence[Rule], *, depth_limit: int) -> None:
        self._places = {
            record: place for place, record in enumerate(dict.fromkeys(rule.record for rule in rules if rule.record))
        }
        self._rules = [
            [(condition, _tester(condition, depth_limit)) for condition in record] for record in self._places
        ]
        self.count = 2 * len(self._rules)

    def number(self, rule: Rule, *, exempts: bool = False) -> int | None:
        """The byte of a record that tells if a rule may act on it, or surely does (to exempt); None: it always does."""
        return 2 * self._places[rule.record] + exempts if rule.record else None

    def decide(self, buffer: Buffer, values: array[int], headers: array[int] | None) -> bytes:
        """What holds of each record.

        Args:
            buffer: the bytes that hold the records.
            values: two ints a record: see JsonMasker.mask.
            headers: five ints a header: see HeaderMasker.mask; None if they are not known.
        """
        records = len(values) // 2
        decided = bytearray(records * self.count)
        for place, conditions in enumerate(self._rules):
            may = does = int.from_bytes(b"\1" * records, "big")
            for condition, tester in conditions:
                if tester is None:
                    found = _look(condition, memoryview(buffer), records, headers)
                else:
                    found = bytearray(records)
                    tester.mask(buffer, values, b"", found)
                may &= int.from_bytes(found.translate(_MAY), "big")
                does &= int.from_bytes(found.translate(_DOES), "big")
            decided[2 * place :: self.count] = may.to_bytes(records, "big")
            decided[2 * place + 1 :: self.count] = does.to_bytes(records, "big")
        return bytes(decided)


def _tester(condition: RecordCondition, depth_limit: int) -> JsonMasker | None:
    if condition.path is None:
        return None
    selection = Selection(path=condition.path, mask=condition.literals, rule=0)
    return JsonMasker([selection], rules=1, depth_limit=depth_limit)


def _look(condition: RecordCondition, buffer: memoryview, records: int, headers: array[int] | None) -> bytearray:
    """What was found of a header in each record, as the kernel tells it of a path."""
    found = bytearray(records)
    name = (condition.header or "").encode("utf-8")
    literals = {literal.encode("utf-8") for literal in condition.literals.strings}
    for at in range(0, len(headers or ()), 5):
        record, start, length, value, size = (headers or ())[at : at + 5]
        if length == len(name) and buffer[start : start + length] == name:
            equal = size >= 0 and bytes(buffer[value : value + size]) in literals
            found[record] |= EQUAL if equal else UNEQUAL if size >= 0 else 4
    return found
