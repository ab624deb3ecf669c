"""What holds of a mask, whatever masks it is made of: can it be undone, does it know the topic, what undoes it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from wiremask.rules.model.masks import (
    Chain,
    Drop,
    Email,
    Embedded,
    Encrypt,
    Fixed,
    Fpe,
    Hash,
    IpScramble,
    Keep,
    Mask,
    Nullify,
    Partial,
    Pattern,
    Redact,
    Token,
    Truncate,
)
from wiremask.rules.model.selector import write_path

if TYPE_CHECKING:
    from collections.abc import Iterator


def parts(mask: Mask) -> Iterator[Mask]:
    """The mask, and all that it is made of."""
    yield mask
    match mask:
        case Chain(masks=masks):
            for one in masks:
                yield from parts(one)
        case Email(local=local, domain=domain):
            yield from parts(local)
            yield from parts(domain)
        case Embedded(fields=fields):
            for field in fields:
                yield from parts(field.mask)


def is_reversible(mask: Mask) -> bool:
    """Whether who has the key can get the value back, or part of it."""
    return any(isinstance(part, Fpe | Encrypt) for part in parts(mask))


def is_deterministic(mask: Mask) -> bool:
    """Whether equal values always come out equal."""
    return all(part.deterministic for part in parts(mask) if isinstance(part, Encrypt))


def tells_apart(mask: Mask) -> bool:
    """Whether values that differ come out different, but for chance."""
    match mask:
        case Chain(masks=masks):
            return all(tells_apart(one) for one in masks)
        case Email(local=local, domain=domain):
            return tells_apart(local) and tells_apart(domain)
        case _:
            return isinstance(mask, Keep | Hash | Token | Fpe | Encrypt | IpScramble)


def acts_in_kernel(mask: Mask) -> bool:
    """Whether the compiled walk does it alone; others are called with what it collected, and cost many times more."""
    return isinstance(mask, Keep | Redact | Fixed | Nullify | Drop | Partial | Truncate | Pattern | Hash)


def binds_topic(mask: Mask) -> bool:
    """Whether the output depends on the topic."""
    return any(isinstance(part, Encrypt) for part in parts(mask))


def with_path(mask: Mask, path: str) -> Mask:
    """The mask as it acts on the leaves of one selector."""
    match mask:
        case Encrypt():
            return replace(mask, path=path)
        case Chain(masks=masks):
            return replace(mask, masks=tuple(with_path(one, path) for one in masks))
        case Email(local=local, domain=domain):
            return replace(mask, local=with_path(local, path), domain=with_path(domain, path))
        case Embedded(fields=fields):
            inner = (replace(one, mask=with_path(one.mask, f"{path}|{write_path(one.path)}")) for one in fields)
            return replace(mask, fields=tuple(inner))
        case _:
            return mask


def inverse(mask: Mask) -> Mask:
    """What gives a value back that the mask has changed; Keep where nothing does.

    A number that became a string comes back as one. Of a list, what stands before the last mask that cannot be undone
    is lost.
    """
    match mask:
        case Encrypt() | Fpe():
            return replace(mask, reveal=True, as_string=False)
        case Email(local=local, domain=domain) if is_reversible(mask):
            return replace(mask, local=inverse(local), domain=inverse(domain))
        case Embedded(fields=fields) if is_reversible(mask):
            return replace(mask, fields=tuple(replace(one, mask=inverse(one.mask)) for one in fields))
        case Chain(masks=masks):
            undone: list[Mask] = []
            for one in reversed(masks):
                back = inverse(one)
                if isinstance(back, Keep):
                    break
                undone.append(back)
            return Chain(masks=tuple(undone)) if undone else Keep()
        case _:
            return Keep()
