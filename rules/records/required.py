"""Fields that a contract asks for (`onMissing: reject`): a record that lacks one is refused before it is masked.

Whether a path selects anything is asked of the kernel: to drop what it selects changes a value if, and only if, there
is something.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.jsonmask import JsonMasker
from wiremask.rules.model.masks import Drop
from wiremask.rules.outcome import REFUSED, UNCHANGED, Detail, Failure, Reason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from wiremask.rules.model.selector import Path
    from wiremask.rules.outcome import Outcome
    from wiremask.rules.records.formats import PartMasker


@dataclass(frozen=True, slots=True, kw_only=True)
class Required:
    """A path that must select something, and the index of the rule that says so.

    Attributes:
        when: which condition must hold of the record: see RecordTests.number.
    """

    path: Path
    rule: int
    when: int | None = None


class RequiredMasker:
    """Masks values that have all that is required, and refuses the others.

    Args:
        masker: masks what is complete.
        required: what is asked for, in the order in which it is told; not `$`, which is always there.
        depth_limit: as the masker has it.
        conditions: how many conditions there are for each value.
    """

    def __init__(
        self, masker: PartMasker, required: Sequence[Required], *, depth_limit: int, conditions: int = 0
    ) -> None:
        self._masker = masker
        self._conditions = conditions
        self._tests = [
            (one, JsonMasker([Selection(path=one.path, mask=Drop(), rule=0)], rules=1, depth_limit=depth_limit))
            for one in required
        ]

    def mask(self, buffer: Buffer, values: array[int], conditions: bytes = b"", /) -> Outcome:
        """Masks a batch: see JsonMasker.mask. Null is nothing to ask for; the unreadable is the masker's to judge."""
        complete = array("i", values)
        missing: dict[int, int] = {}
        for one, test in self._tests:
            spans = test.mask(buffer, complete).spans
            for index in range(len(complete) // 2):
                asked = one.when is None or conditions[self._conditions * index + one.when]
                if asked and spans[2 * index] == UNCHANGED and complete[2 * index + 1] >= 0:
                    missing[index] = one.rule
                    complete[2 * index + 1] = -1
        outcome = self._masker.mask(buffer, complete, conditions)
        return _refuse(outcome, missing) if missing else outcome


def _refuse(outcome: Outcome, missing: dict[int, int]) -> Outcome:
    """The outcome with failures for values that it was not shown."""
    spans = array("i", outcome.spans)
    failures = list(outcome.failures)
    for index, rule in missing.items():
        spans[2 * index] = REFUSED
        failures.append(Failure(index=index, rule=rule, reason=Reason.MISSING, detail=Detail.MISSING))
    return replace(outcome, spans=spans, failures=tuple(sorted(failures, key=lambda failure: failure.index)))
