"""`fpe` as a mask: FF1 as another library has it, on texts with whatever between the characters of the alphabet."""

from __future__ import annotations

import pytest
from ffx import FF1
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.maskers.alphabets import put_back, take_out
from wiremask.rules.maskers.fpe import ALPHABETS, FpeMask, fewest, most
from wiremask.rules.model.masks import Fpe

KEY = bytes(range(32))


def by_library(alphabet: str, text: str, first: int, last: int) -> str | None:
    bare = "".join(character for character in text if character in alphabet)
    hidden = bare[first : len(bare) - last]
    if not fewest(len(alphabet)) <= len(bare) - first - last <= most(len(alphabet)):
        return None
    tweak = (bare[:first] + bare[len(bare) - last :]).encode("ascii")
    sealed = FF1(KEY, alphabet=alphabet).encrypt(hidden, tweak=tweak)
    members = iter(bare[:first] + sealed + bare[len(bare) - last :])
    return "".join(next(members) if character in alphabet else character for character in text)


@given(
    st.lists(st.text("0129afzAFZ -.é字\U0001f600", max_size=40), min_size=1, max_size=8),
    st.sampled_from(sorted(ALPHABETS)),
    st.integers(0, 6),
    st.integers(0, 6),
)
@settings(max_examples=200, deadline=None)
def test_fpe_is_ff1_of_the_characters_of_the_alphabet(texts: list[str], name: str, first: int, last: int) -> None:
    alphabet = ALPHABETS[name]
    mask = Fpe(subkey=KEY, alphabet=alphabet, keep_first=first, keep_last=last)
    back = Fpe(subkey=KEY, alphabet=alphabet, keep_first=first, keep_last=last, reveal=True)

    masked = FpeMask(mask).mask(texts, b"s" * len(texts))

    assert masked == [by_library(alphabet, text, first, last) for text in texts]
    taken = [(text, made) for text, made in zip(texts, masked, strict=True) if made is not None]
    assert FpeMask(back).mask([made for _, made in taken], b"s" * len(taken)) == [text for text, _ in taken]


def test_fpe_takes_no_text_that_is_too_short_or_too_long() -> None:
    mask = FpeMask(Fpe(subkey=KEY, alphabet=ALPHABETS["digits"]))
    texts = ["", "12345", "123456", "1" * most(10), "1" * (most(10) + 1), "x" * 100_000]

    masked = mask.mask(texts, b"s" * len(texts))

    assert [made is not None for made in masked] == [False, False, True, True, False, False]


@pytest.mark.parametrize("alphabet", [bytes(range(129)), "é".encode("latin-1")])
def test_refuses_an_alphabet_that_is_not_ascii(alphabet: bytes) -> None:
    with pytest.raises(ValueError, match="alphabet"):
        take_out(alphabet, [], 0, 0, 2, 9)
    with pytest.raises(ValueError, match="alphabet"):
        put_back(alphabet, [], 0, [], [])
