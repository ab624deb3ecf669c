"""Which masks may stand in a rule for both directions: those that change nothing the second time.

With m for the mask and x for any JSON value that it takes, m(m(x)) = m(x). (A number that it does not take is redacted
to 0; if it takes that, the second pass masks it, and a third changes nothing.)

- keep, nullify, redact, fixed: the result depends on the type of x alone, and each possible result is mapped to itself
  (null stays null; redact keeps the type; fixed maps its own literal, a string, number or boolean, to itself).
- drop of a member: there is nothing left to select. Drop of an array element by its index is not idempotent, because
  the next element moves up to that index; so is any drop of elements beside a selector that counts them.
- partial, if its `char` is not one of its separators: hiding replaces countable characters by countable ones, so the
  second pass sees the same count, keeps the same characters, and replaces `char` by itself. If `char` is a separator,
  hidden characters count no longer and the kept ones become too few to stay; only with nothing kept does that not
  matter.
- partial that hides ends: likewise, hidden characters count like those that they stand for.
- partial with a fixed length: what comes out always has as many countable characters as are kept and hidden together,
  so the second pass keeps the same ones, hidden or not.
- truncate, pattern: the first n characters of n are these, and X, x and 9 stand for themselves.
- bucket, round, range without labels, age, zip3, date, ip without a key: each maps to one value of its class (bucket,
  multiple, bound, period, network), and that value to itself.
- email, if both of its parts are and leave something, and the domain has no `@` afterwards: it falls apart at
  the same place.
- hash, token, fpe, encrypt, pseudonym, noise, ip with a key, date with a shift, range with labels: never; each acts on
  its own output.
- embedded, if each of its fields is among the fields of its document, which keeps its form.
- a list of masks: what each of them leaves as it is need not be what all of them together do; so never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.model.masks import (
    Chain,
    DateShift,
    Drop,
    Email,
    Embedded,
    Encrypt,
    Fpe,
    Hash,
    IpScramble,
    Keep,
    Mask,
    Noise,
    Partial,
    Pattern,
    Pseudonym,
    Range,
    Redact,
    Token,
    Truncate,
)
from wiremask.rules.model.selector import Index, Path, Slice, Wildcard

if TYPE_CHECKING:
    from collections.abc import Iterable


_NEVER = {Hash: "hash", Token: "token", Fpe: "fpe", Encrypt: "encrypt", Pseudonym: "pseudonym", Noise: "noise"}


def fault_when_repeated(mask: Mask, path: Path, others: Iterable[Path]) -> str | None:
    """Why this mask cannot act on a value that it has masked before, and what to write instead; None if it can.

    Args:
        mask: the mask of the field.
        path: the field's selector.
        others: the selectors of all fields of the rule.
    """
    if isinstance(mask, Embedded):
        paths = [field.path for field in mask.fields]
        faults = (fault_when_repeated(field.mask, field.path, paths) for field in mask.fields)
        return next((fault for fault in faults if fault is not None), None)
    fault = _fault_alone(mask)
    if fault is not None:
        return fault
    counts = _counts(path) or any(_counts(other) for other in others)
    if isinstance(mask, Drop) and path and _takes_elements(path) and counts:
        return (
            "`drop` of an array element moves the next one to its index, which would be masked at fetch instead; "
            "leave one direction, or write nullify"
        )
    return None


def _fault_alone(mask: Mask) -> str | None:
    """The fault that a mask has on whatever path."""
    word = _NEVER.get(type(mask))
    if word is not None:
        return (
            f"`{word}` at produce and fetch would {word} its own output; leave one direction, or write a rule for each"
        )
    match mask:
        case IpScramble():
            return "`ip` with a key at produce and fetch would mask its own output; leave one direction"
        case DateShift():
            return "a `date` with a shift at produce and fetch would shift its own output; leave one direction"
        case Range(labels=labels) if labels:
            return "`range` with labels at produce and fetch would meet its own labels; leave one direction"
        case Chain():
            return "a list of masks at produce and fetch would act on its own output; leave one direction"
        case Partial() if mask.char in mask.separators and _counts_characters(mask):
            return (
                "with a `char` that is a separator, `partial` at produce and fetch hides more the second time; "
                "choose another `char`, or leave one direction"
            )
        case Email(local=local, domain=domain) if not (_bears_email(local) and _bears_email(domain, no="@")):
            return (
                "this `email` may find no address in its own output at produce and fetch; leave one direction, "
                "or mask its parts by redact, partial or pattern, and the domain without `@`"
            )
        case _:
            return None


def _counts_characters(mask: Partial) -> bool:
    return mask.hides_ends or mask.keep_first + mask.keep_last > 0


def _bears_email(mask: Mask, no: str = "") -> bool:
    """Whether a part of an address, masked so, is again one; without the character `no`."""
    match mask:
        case Keep() | Pattern():
            return True
        case Redact(text=text):
            return text != "" and not (no and no in text)
        case Truncate(length=length):
            return length > 0
        case Partial(char=char):
            return char != no and _fault_alone(mask) is None
        case _:
            return False


def _takes_elements(path: Path) -> bool:
    return any(isinstance(selector, Index | Slice | Wildcard) for selector in path[-1].selectors)


def _counts(path: Path) -> bool:
    return any(isinstance(selector, Index | Slice) for segment in path for selector in segment.selectors)
