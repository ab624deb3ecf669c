"""Conditions on the record (`when: {record: ...}`), decided for a whole batch.

Compiled code compares what a path selects and what headers hold, where it lies; no record is decoded. A condition comes
out true, false, or unknown: the path selects nothing, or something of another type, or things that differ from one
another; the header is not there; the value cannot be read. Unknown counts as true for fields that mask and as false for
those that exempt.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.headertest import EQUAL, UNEQUAL, HeaderTest
from wiremask.rules.kernel.jsonmask import JsonMasker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from wiremask.rules.model.rule import RecordCondition, Rule

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
        self._rules = [[_test(condition, depth_limit) for condition in record] for record in self._places]
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
        for place, tests in enumerate(self._rules):
            may = does = int.from_bytes(b"\1" * records, "big")
            for test in tests:
                found = bytearray(records)
                if isinstance(test, HeaderTest):
                    test.find(buffer, array("i") if headers is None else headers, found)
                else:
                    test.mask(buffer, values, b"", found)
                may &= int.from_bytes(found.translate(_MAY), "big")
                does &= int.from_bytes(found.translate(_DOES), "big")
            decided[2 * place :: self.count] = may.to_bytes(records, "big")
            decided[2 * place + 1 :: self.count] = does.to_bytes(records, "big")
        return bytes(decided)


def _test(condition: RecordCondition, depth_limit: int) -> JsonMasker | HeaderTest:
    if condition.path is None:
        texts = [text.encode("utf-8") for text in condition.literals.strings]
        return HeaderTest((condition.header or "").encode("utf-8"), texts)
    selection = Selection(path=condition.path, mask=condition.literals, rule=0)
    return JsonMasker([selection], rules=1, depth_limit=depth_limit)
