"""Simple case folding: one character for one, whatever the language.

Source: Unicode, CaseFolding.txt, status C and S. Python folds by status C and F; where F makes several characters of
one, S is its lower case if that is one character, and nothing otherwise.
"""

from __future__ import annotations

from functools import cache

LAST = 0x1FFFF  # no character behind the second plane has a case


def fold_character(character: str) -> str:
    """One character, folded."""
    for folded in (character.casefold(), character.lower()):
        if len(folded) == 1:
            return folded
    return character


def fold(text: str) -> str:
    """Each character folded: texts that differ in case alone become equal."""
    return "".join(map(fold_character, text))


@cache
def folds() -> tuple[tuple[int, int], ...]:
    """Every character beyond ASCII that folding changes, in order, and what it becomes."""
    pairs = ((code, ord(fold_character(chr(code)))) for code in range(0x80, LAST + 1))
    return tuple((code, folded) for code, folded in pairs if code != folded)
