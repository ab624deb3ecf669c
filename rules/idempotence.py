"""Which masks may stand in a rule for both directions: those that change nothing the second time.

With m for the mask and x for any JSON value that it takes, m(m(x)) = m(x):

- keep, nullify, redact, fixed: the result depends on the type of x alone, and each possible result is mapped to itself
  (null stays null; redact keeps the type; fixed maps its own literal, a string, number or boolean, to itself).
- drop of a member: there is nothing left to select. Drop of an array element by its index is not idempotent, because
  the next element moves up to that index; so is any drop of elements beside a selector that counts them.
- partial, if its `char` is not one of its separators: hiding replaces countable characters by countable ones, so the
  second pass sees the same count, keeps the same characters, and replaces `char` by itself. If `char` is a separator,
  hidden characters count no longer and the kept ones become too few to stay; only with nothing kept does that not
  matter.
- hash: never; the hash of a hash is another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.masks import Drop, Hash, Mask, Partial
from wiremask.rules.selector import Index, Path, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable


def fault_when_repeated(mask: Mask, path: Path, others: Iterable[Path]) -> str | None:
    """Why this mask cannot act on a value that it has masked before, and what to write instead; None if it can.

    Args:
        mask: the mask of the field.
        path: the field's selector.
        others: the selectors of all fields of the rule.
    """
    if isinstance(mask, Hash):
        return "`hash` at produce and fetch would hash the hash; leave one direction, or write a rule for each"
    if isinstance(mask, Partial):
        if mask.char in mask.separators and mask.keep_first + mask.keep_last > 0:
            return (
                "with a `char` that is a separator, `partial` at produce and fetch hides more the second time; "
                "choose another `char`, or leave one direction"
            )
        return None
    if isinstance(mask, Drop) and _takes_elements(path) and (_counts(path) or any(_counts(other) for other in others)):
        return (
            "`drop` of an array element moves the next one to its index, which would be masked at fetch instead; "
            "leave one direction, or write nullify"
        )
    return None


def _takes_elements(path: Path) -> bool:
    return any(isinstance(selector, Index | Wildcard) for selector in path[-1].selectors)


def _counts(path: Path) -> bool:
    return any(isinstance(selector, Index) for segment in path for selector in segment.selectors)
