"""Simple case folding against what the standard library knows of each character."""

from __future__ import annotations

import sys
import unicodedata

from wiremask.rules.model.casefold import LAST, fold, fold_character, folds

EVERY = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]


def test_folds_as_the_standard_library_does_where_that_gives_one_character() -> None:
    single = [character for character in EVERY if len(character.casefold()) == 1]

    assert [c for c in single if fold_character(c) != c.casefold()] == []


def test_folds_to_the_lower_case_or_not_at_all_where_the_standard_library_gives_several_characters() -> None:
    several = [character for character in EVERY if len(character.casefold()) > 1]

    changed = {character: fold_character(character) for character in several if fold_character(character) != character}

    assert changed["\u1e9e"] == "\xdf"
    assert all(unicodedata.category(character) in {"Lu", "Lt"} for character in changed)
    assert all(folded == character.lower() for character, folded in changed.items())


def test_folded_text_stays_as_it_is() -> None:
    assert [character for character in EVERY if fold(fold(character)) != fold(character)] == []


def test_table_has_every_character_beyond_ascii_that_changes_and_no_other() -> None:
    changed = [character for character in EVERY if fold_character(character) != character]

    assert [chr(code) for code, _ in folds()] == [character for character in changed if character > "\x7f"]
    assert max(map(ord, changed)) <= LAST


def test_letters_that_only_look_alike_differ() -> None:
    assert fold("\u0455sn") != fold("SSN")


def test_no_character_grows_by_more_than_half_or_shrinks_below_a_third() -> None:
    ratios = [len(chr(folded).encode()) / len(chr(code).encode()) for code, folded in folds()]

    assert min(ratios) >= 1 / 3
    assert max(ratios) <= 3 / 2
