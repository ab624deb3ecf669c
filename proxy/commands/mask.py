"""`wiremask mask`: one value, or one a line, from standard input to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wiremask.proxy.inprocess import Masking, MaskingRefused, load
from wiremask.rules.errors import RuleSetInvalid

if TYPE_CHECKING:
    from pathlib import Path

    from wiremask.rules.rule import Direction

INVALID_RULES = 1
REFUSED = 3


def mask(rules: Path, topic: str, at: Direction, *, by_line: bool) -> int:
    """Masks standard input; 3 if a value is refused, which is then not printed in any form."""
    try:
        masking = load(rules)
    except RuleSetInvalid as invalid:
        sys.stderr.write(f"{invalid}\n")
        return INVALID_RULES
    return _mask_lines(masking, topic, at) if by_line else _mask_whole(masking, topic, at)


def _mask_whole(masking: Masking, topic: str, at: Direction) -> int:
    try:
        masked = masking.mask(topic, at, None, sys.stdin.buffer.read())
    except MaskingRefused as refused:
        sys.stderr.write(f"refused: {refused}\n")
        return REFUSED
    sys.stdout.buffer.write(masked.value or b"")
    sys.stdout.buffer.flush()
    return 0


def _mask_lines(masking: Masking, topic: str, at: Direction) -> int:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        # The line feed stands between values; everything else, a carriage return too, is the value's own.
        value = line.removesuffix(b"\n")
        try:
            masked = masking.mask(topic, at, None, value)
        except MaskingRefused as refused:
            sys.stdout.buffer.flush()
            sys.stderr.write(f"line {number} refused: {refused}\n")
            return REFUSED
        sys.stdout.buffer.write((masked.value or b"") + line[len(value) :])
    sys.stdout.buffer.flush()
    return 0
