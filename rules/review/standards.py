"""What PCI DSS and HIPAA Safe Harbor ask of masks: each breach is a load error that cites its clause.

Judged are fields that say with `data` what they hold, and what detectors find. A mask that makes a constant of
everything obeys every standard.

Source: PCI DSS 4.0.1 requirements 3.3.1, 3.4.1, 3.5.1, 3.5.1.1 and FAQs 1091 and 1308; 45 CFR 164.514(b)(2)(i).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.model.datakinds import KINDS
from wiremask.rules.model.masks import (
    Age,
    Bucket,
    Chain,
    Date,
    Drop,
    Encrypt,
    Fixed,
    Fpe,
    Hash,
    Keep,
    Mask,
    Nullify,
    Partial,
    Pattern,
    Pseudonym,
    Range,
    Redact,
    Token,
    Truncate,
    Zip3,
)
from wiremask.rules.review.acts import Act, Acts
from wiremask.rules.review.readers import may_be_one_reader
from wiremask.rules.review.strength import hash_bits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wiremask.rules.model.datakinds import Data
    from wiremask.rules.model.metadata import Standard
    from wiremask.rules.model.rule import Rule

# FAQ 1091: how many digits of a card number may stay, first and last. Of a list of brands the least counts.
TRUNCATION = {
    "visa": (8, 4),
    "mastercard": (8, 4),
    "discover": (8, 4),
    "jcb": (8, 4),
    "unionpay": (8, 4),
    "amex": (6, 4),
}
ANY_BRAND = (6, 4)
HASH_FLOOR_BITS = 128
TOP_AGE = 90

NEVER_STORED = ("cvv", "pin", "track")
SAFE_HARBOR = "45 CFR 164.514(b)(2)(i)"


def breaches(rules: Sequence[Rule], standards: frozenset[Standard]) -> Iterator[tuple[Act, str]]:
    """Each act that breaks one of the standards, with the clause and what to write."""
    acts = Acts(rules)
    judged = [act for act in acts.all if act.holds]
    told: set[tuple[int, str]] = set()
    for act in judged:
        for message in (one for data in act.holds for one in _of_one(act, data, standards)):
            if (id(act.field), message) not in told:  # once, though it acts in two directions
                told.add((id(act.field), message))
                yield act, message
    if "pci-dss" in standards:
        yield from _stored(judged)
        yield from _correlatable([act for act in judged if "pan" in act.kinds])


def _of_one(act: Act, data: Data, standards: frozenset[Standard]) -> Iterator[str]:
    """What is wrong with a mask where it stands, whatever the other rules."""
    mask = act.mask
    if not isinstance(mask, Mask) or is_constant(mask):
        return
    if "pci-dss" in standards:
        if data.kind in NEVER_STORED:
            yield (
                f"PCI DSS 3.3.1: {data.kind} is not kept after authorization, in whatever form; "
                "write drop, nullify, fixed or redact"
            )
        elif data.kind == "pan":
            yield from _of_card(act, data, mask)
    if "hipaa-safe-harbor" in standards:
        yield from _of_person(data, mask)


def is_constant(mask: Mask) -> bool:
    """Whether nothing of the value is left."""
    match mask:
        case Drop() | Nullify() | Fixed() | Redact():
            return True
        case Truncate(length=length):
            return length == 0
        case Partial():
            return mask.keep_first + mask.keep_last == 0 and mask.fixed_length > 0
        case Chain(masks=masks):
            return any(is_constant(one) for one in masks)
        case _:
            return False


def _of_card(act: Act, data: Data, mask: Mask) -> Iterator[str]:
    if isinstance(mask, Keep):
        if act.at == "produce":
            yield "PCI DSS 3.5.1: a card number is not stored in clear; write token, hash, encrypt or partial"
        elif act.condition is None:
            yield (
                "PCI DSS 3.4.1: nobody sees a whole card number without a need; "
                "add `when: {client: ...}` for those who have it, or write partial"
            )
        return
    clause = "3.5.1" if act.at == "produce" else "3.4.1"
    kept = _kept(mask)
    if kept is None:
        yield (
            f"PCI DSS {clause}: this mask is none that makes a card number unreadable; "
            "write token, hash, encrypt, partial or redact"
        )
        return
    first, last = (min(limits) for limits in zip(*_limits(data), strict=True))
    if kept[0] > first or kept[1] > last:
        brands = "" if first > ANY_BRAND[0] else ", or name the brands if all have 16 digits: data: {pan: [visa]}"
        yield (
            f"PCI DSS {clause} (FAQ 1091): of this card number at most the first {first} and last {last} digits stay; "
            f"write keepFirst: {first}, keepLast: {last}{brands}"
        )
    hashes = [(place, one) for place, one in enumerate(_steps(mask)) if isinstance(one, Hash)]
    if any(place > 0 for place, _ in hashes):
        yield "PCI DSS 3.5.1.1: a hash is of the entire card number; put hash first in the list"
    if any(hash_bits(one) < HASH_FLOOR_BITS for _, one in hashes):
        yield (
            f"PCI DSS 3.5.1.1: a hash of a card number has at least {HASH_FLOOR_BITS} bits; "
            "write length: 32 for hex, 22 for base64url, 26 for crockford"
        )


def _limits(data: Data) -> list[tuple[int, int]]:
    return [TRUNCATION[brand] for brand in data.brands] or [ANY_BRAND]


def _steps(mask: Mask) -> tuple[Mask, ...]:
    return mask.masks if isinstance(mask, Chain) else (mask,)


def _kept(mask: Mask) -> tuple[int, int] | None:
    """How many digits of a card number stay, first and last; None if the mask is no way to hide one."""
    match mask:
        case Partial(hides_ends=True):
            return None
        case Partial() | Token() | Fpe():
            return mask.keep_first, mask.keep_last
        case Truncate(length=length):
            return length, 0
        case Hash() | Pseudonym() | Encrypt() | Pattern():
            return 0, 0
        case Chain(masks=masks):
            return _kept(masks[0])
        case _:
            return None


def _of_person(data: Data, mask: Mask) -> Iterator[str]:
    """Safe Harbor removes what it lists; a few kinds may be made coarser instead."""
    match data.kind, mask:
        case "zip", Zip3():
            return
        case "zip", _:
            yield f"{SAFE_HARBOR}(B): of a ZIP code at most three digits stay, and 000 for small areas; write zip3"
        case "date", Date(to="year"):
            return
        case "date", _:
            yield f"{SAFE_HARBOR}(C): of a date only the year stays; write {{date: year}}"
        case "birth-date", _:
            yield (
                f"{SAFE_HARBOR}(C): a year of birth tells ages of 90 and above; "
                "write redact, or keep an age instead, with the mask age"
            )
        case "age", Age(top=top) if top <= TOP_AGE:
            return
        case "age", Bucket(highest=highest) if highest is not None and highest <= TOP_AGE:
            return
        case "age", Range(bounds=bounds) if bounds[-1] <= TOP_AGE:
            return
        case "age", _:
            yield f"{SAFE_HARBOR}(C): ages of 90 and above are one class; write age"
        case kind, _:
            letter = KINDS[kind].letter
            if letter:
                yield (
                    f"{SAFE_HARBOR}({letter}): {kind} is removed, and a code made of it identifies too; "
                    "write drop, nullify, fixed or redact"
                )


def _is_removed(act: Act) -> bool:
    return isinstance(act.mask, Mask) and is_constant(act.mask)


def _stored(judged: Sequence[Act]) -> Iterator[tuple[Act, str]]:
    """Verification codes and the like that some producer may store."""
    removing = [
        act
        for act in judged
        if act.at == "produce" and act.condition is None and not act.record and not act.more and _is_removed(act)
    ]
    told: set[int] = set()
    for act in judged:
        kind = next((one for one in NEVER_STORED if one in act.kinds), None)
        if kind is None or id(act.field) in told or not _is_removed(act):
            continue  # what is not even removed where the rule acts is told already
        for pattern in act.patterns:
            if any(one.covers_where_it_is(act, pattern) for one in removing):
                continue
            told.add(id(act.field))
            yield (
                act,
                (
                    f"PCI DSS 3.3.1: {kind} is not stored, whoever sends it; "
                    "remove it at produce, without a condition on the client"
                ),
            )
            break


def _correlatable(cards: Sequence[Act]) -> Iterator[tuple[Act, str]]:
    """A hash and a truncation of card numbers that one reader sees: together they give the number."""
    hashed = [act for act in cards if isinstance(act.mask, Mask) and _has_hash(act.mask)]
    truncated = [act for act in cards if isinstance(act.mask, Mask) and _shows_digits(act.mask)]
    told: set[int] = set()
    for act in truncated:
        for other in hashed:
            if id(act.field) in told or not may_be_one_reader(act, other):
                continue
            told.add(id(act.field))
            yield (
                act,
                (
                    f"PCI DSS 3.5.1 (FAQ 1308): rule {other.rule.name} shows a hash of card numbers; who sees both "
                    "can work out the number; use token for both, or rules for readers that exclude each other"
                ),
            )


def _has_hash(mask: Mask) -> bool:
    return any(isinstance(one, Hash) for one in _steps(mask))


def _shows_digits(mask: Mask) -> bool:
    kept = _kept(mask)
    return isinstance(mask, Partial | Truncate | Chain) and kept is not None and sum(kept) > 0 and not _has_hash(mask)
