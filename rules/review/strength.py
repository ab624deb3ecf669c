"""Which mask is at least as strong as which: tables, published in README.md under "What is weaker".

One mask is at least as strong as another if who sees what the first leaves of a value learns nothing that the second
would have hidden. What the tables do not say is not so: a mask or an argument that they do not know compares by
equality alone.

Masks are compared as rules that were read without their keys have them: subkeys are equal where key and domain have the
same names.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from wiremask.rules.model.masks import (
    HASH_CEILING,
    Age,
    Bucket,
    Chain,
    Date,
    DateShift,
    Drop,
    Email,
    Embedded,
    Encrypt,
    Fixed,
    Fpe,
    Hash,
    Ip,
    IpScramble,
    Keep,
    Mask,
    Noise,
    Nullify,
    Partial,
    Pattern,
    Pseudonym,
    Range,
    Redact,
    Round,
    Token,
    Truncate,
    Zip3,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_PRECISIONS = ("day", "month", "quarter", "year")
_BITS = {"hex": 4.0, "base64url": 6.0, "crockford": 5.0}
_ARGUMENT_NAMES = {"as_string": "as", "form": "format", "unit": "numbers", "literal": "value", "subkey": "key"}
_WORDS = frozenset({"encoding", "direction", "to", "unit", "form"})
OTHERS = "every other mask"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """How the arguments of two masks of one kind must lie for the new one to be at least as strong.

    Attributes:
        says: the same in words, after the names of the arguments.
        test: takes the new and the old argument, or masks.
    """

    says: str
    test: Callable[[Any, Any], bool]


ANY = Holds(says="free", test=lambda _new, _old: True)
NO_MORE = Holds(says="no more", test=lambda new, old: new <= old)
NO_LESS = Holds(says="no less", test=lambda new, old: new >= old)
ONLY_IF_BEFORE = Holds(says="only if given before", test=lambda new, old: new <= old)
STILL = Holds(says="given, if it was", test=lambda new, old: bool(new) >= bool(old))

# One above the other, as far as each is above all that stands behind it; kinds as `_kind` names them.
STRONGER: dict[str, tuple[str, ...]] = {
    "drop": ("nullify whole",),
    "nullify whole": ("fixed whole", "nullify"),
    "fixed whole": ("fixed",),
    "nullify": ("fixed",),
    "fixed": ("redact",),
    "redact": (OTHERS,),
    OTHERS: ("keep",),
}


def at_least(new: Mask, old: Mask) -> bool:
    """Whether the new mask is certainly as strong as the old one, or stronger."""
    if new == old:
        return True
    kind = _kind(new)
    if _is_above(kind, _kind(old)):
        return True
    if isinstance(new, Chain):
        return _chain_at_least(new, old)
    return type(new) is type(old) and not isinstance(new, Keep) and _arguments_hold(new, old)


def word_of(mask: Mask) -> str:
    """The mask's word in the language."""
    return "list" if isinstance(mask, Chain) else "ip" if isinstance(mask, IpScramble) else type(mask).__name__.lower()


def describe(mask: Mask) -> str:
    """The mask with those of its arguments that are numbers, switches or words of the language."""
    if isinstance(mask, Chain):
        return f"[{', '.join(describe(one) for one in mask.masks)}]"
    given = []
    for argument in fields(mask):
        value = getattr(mask, argument.name)
        is_word = argument.name in _WORDS or not isinstance(value, str)
        if value != argument.default and is_word and isinstance(value, str | int | Decimal):
            written = str(value).lower() if isinstance(value, bool) else str(value)
            given.append(f"{argument_name(argument.name)}: {'string' if argument.name == 'as_string' else written}")
    return f"{word_of(mask)} {{{', '.join(given)}}}" if given else word_of(mask)


def argument_name(attribute: str) -> str:
    """How the language writes an attribute of a mask."""
    first, *more = attribute.split("_")
    return _ARGUMENT_NAMES.get(attribute, first + "".join(word.capitalize() for word in more))


def _kind(mask: Mask) -> str:
    match mask:
        case Nullify(whole=True) | Fixed(whole=True):
            return f"{word_of(mask)} whole"
        case Keep() | Drop() | Nullify() | Fixed() | Redact():
            return word_of(mask)
        case _:
            return OTHERS


def _is_above(new: str, old: str) -> bool:
    return any(below == old or _is_above(below, old) for below in STRONGER.get(new, ()))


def _chain_at_least(new: Chain, old: Mask) -> bool:
    """Whatever a list does to what its beginning left, it tells no more than that."""
    before = old.masks if isinstance(old, Chain) else (old,)
    beginning = new.masks[: len(before)]
    if isinstance(old, Chain):
        return beginning == before
    return at_least(beginning[0], old)


def _arguments_hold(new: Mask, old: Mask) -> bool:
    """Two masks of one type, argument by argument; what is in no table must be the same."""
    together = TOGETHER.get(type(new))
    if together is not None and not together[1].test(new, old):
        return False
    covered = together[0] if together is not None else ()
    table = ARGUMENTS.get(type(new), {})
    for argument in fields(new):
        if argument.name in covered:
            continue
        one, other = getattr(new, argument.name), getattr(old, argument.name)
        rule = table.get(argument.name)
        if not (one == other if rule is None else rule.test(one, other)):
            return False
    return True


def hash_bits(mask: Hash) -> float:
    """How many bits of the hash its output has."""
    length = min(mask.length, HASH_CEILING[mask.encoding])
    return length * _BITS[mask.encoding]


def _hides_more(new: Partial, old: Partial) -> bool:
    if new.hides_ends != old.hides_ends:
        return not new.hides_ends and new.keep_first + new.keep_last == 0
    keeps = new.keep_first <= old.keep_first and new.keep_last <= old.keep_last
    return keeps and new.hide_first >= old.hide_first and new.hide_last >= old.hide_last


def _is_coarser_bucket(new: Bucket, old: Bucket) -> bool:
    if new.size % old.size or (new.start - old.start) % old.size:
        return False
    lowest = old.lowest is None or (new.lowest is not None and new.lowest >= old.lowest)
    return lowest and (old.highest is None or (new.highest is not None and new.highest <= old.highest))


def _is_coarser_round(new: Round, old: Round) -> bool:
    if new.direction != old.direction or new.to % old.to:
        return False
    # Halfway points of 20 are none of 10; those of 30 are.
    return new.direction != "nearest" or (new.to / old.to) % 2 == 1


def _is_coarser_range(new: Range, old: Range) -> bool:
    return set(_limits(new)) <= set(_limits(old))


def _limits(mask: Range) -> tuple[Decimal, ...]:
    """Where one range of values ends and the next begins."""
    return mask.bounds if mask.labels else mask.bounds[1:]


KEPT = {"keep_first": NO_MORE, "keep_last": NO_MORE, "as_string": ONLY_IF_BEFORE}
AS_STRING = {"as_string": ONLY_IF_BEFORE}
PARTS = Holds(says="each at least as strong", test=at_least)

# By type, then by argument; any other argument must be the same.
ARGUMENTS: dict[type[Mask], dict[str, Holds]] = {
    Redact: {"text": ANY, "number": ANY, "boolean": ANY},
    Fixed: {"literal": ANY, "whole": STILL},
    Nullify: {"whole": STILL},
    Partial: {**AS_STRING, "char": ANY, "fixed_length": STILL},
    Truncate: {"length": NO_MORE, **AS_STRING},
    Pattern: AS_STRING,
    Email: {"local": PARTS, "domain": PARTS},
    Hash: AS_STRING,
    Token: KEPT,
    Fpe: KEPT,
    Encrypt: {"deterministic": ONLY_IF_BEFORE, "path": ANY, **AS_STRING},
    Noise: {"within": NO_LESS},
    Date: {
        "to": Holds(says="no finer", test=lambda new, old: _PRECISIONS.index(new) >= _PRECISIONS.index(old)),
        "unit": Holds(says="the same, or not given", test=lambda new, old: new is None or new == old),
    },
    DateShift: {},
    Age: {"top": NO_MORE},
    Zip3: {"restricted": Holds(says="with all that it had", test=lambda new, old: new >= old), **AS_STRING},
    Ip: {"v4": NO_MORE, "v6": NO_MORE},
    IpScramble: {},
    Pseudonym: {},
    Embedded: {},
}

# Where arguments count together: those that are settled so, and how.
TOGETHER: dict[type[Mask], tuple[tuple[str, ...], Holds]] = {
    Partial: (
        ("keep_first", "keep_last", "hide_first", "hide_last"),
        Holds(says="keeps none, or of the same two keeps no more or hides no less", test=_hides_more),
    ),
    Hash: (
        ("encoding", "length"),
        Holds(says="no more bits", test=lambda new, old: hash_bits(new) <= hash_bits(old)),
    ),
    Bucket: (
        ("size", "start", "lowest", "highest"),
        Holds(says="each new bucket is made of whole old ones", test=_is_coarser_bucket),
    ),
    Round: (
        ("to", "direction"),
        Holds(says="direction the same, `to` a multiple (an odd one for `nearest`)", test=_is_coarser_round),
    ),
    Range: (("bounds", "labels"), Holds(says="no new bound", test=_is_coarser_range)),
}
