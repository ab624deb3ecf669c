"""`wiremask mask`: one value, or one a line, from standard input to standard output."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

from wiremask.proxy.inprocess import MaskingRefused, load
from wiremask.rules.errors import RuleSetInvalid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wiremask.proxy.inprocess import Masked
    from wiremask.rules.model.rule import Direction

    MaskOne = Callable[[bytes], Masked]

INVALID_RULES = 1
REFUSED = 3


def mask(rules: Path, topic: str, at: Direction, *, by_line: bool, principal: str | None, client_id: str | None) -> int:
    """Masks standard input; 3 if a value is refused, which is then not printed in any form.

    Of a client without `principal` or `client_id` these are not known, and rules that ask for them mask.
    """
    try:
        masking = load(rules)
    except RuleSetInvalid as invalid:
        sys.stderr.write(f"{invalid}\n")
        return INVALID_RULES
    mask_one = partial(masking.mask, topic, at, None, principal=principal, client_id=client_id)
    return _mask_lines(mask_one) if by_line else _mask_whole(mask_one)


def _mask_whole(mask_one: MaskOne) -> int:
    try:
        masked = mask_one(sys.stdin.buffer.read())
    except MaskingRefused as refused:
        sys.stderr.write(f"refused: {refused}\n")
        return REFUSED
    sys.stdout.buffer.write(masked.value or b"")
    sys.stdout.buffer.flush()
    return 0


def _mask_lines(mask_one: MaskOne) -> int:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        # The line feed stands between values; everything else, a carriage return too, is the value's own.
        value = line.removesuffix(b"\n")
        try:
            masked = mask_one(value)
        except MaskingRefused as refused:
            sys.stdout.buffer.flush()
            sys.stderr.write(f"line {number} refused: {refused}\n")
            return REFUSED
        sys.stdout.buffer.write((masked.value or b"") + line[len(value) :])
    sys.stdout.buffer.flush()
    return 0
