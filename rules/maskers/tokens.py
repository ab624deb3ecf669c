"""Collected masks that are one-way: token and pseudonym, both HMAC-SHA-256 of the text mapped to a form.

A token has the length of its text, and each letter or digit another of its class: a digit a digit, an upper-case letter
of A to Z one of these, any other letter one of a to z; the rest stays. The HMAC is one number, of which each character
takes a digit in its base. If the token would be the text itself, the next number is taken: of texts with n characters
of base b, two get one token with a chance of about 1 in b^n.

Source: ISO/IEC 7812-1 annex B (Luhn); ISO 13616-1 and ISO 7064 MOD 97-10 (IBAN).
"""

from __future__ import annotations

import hashlib
import re
import string
from typing import TYPE_CHECKING

from wiremask.rules.maskers.prf import hmac_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wiremask.rules.model.masks import Pseudonym, Token

CARD_DIGITS = range(12, 20)
ATTEMPTS = 256
LENGTH_LIMIT_CHARACTERS = 1024
"""A longer text is no name or number, and each of its characters would cost a step of Python."""

_DRAWN_CHARACTERS = 32  # of one number: 32 letters take 151 of its 256 bits, so that no bias shows
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}")
_IBAN_VALUES = {ord(letter): str(value) for value, letter in enumerate(string.ascii_uppercase, 10)}
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
_HALVED = (0, 5, 1, 6, 2, 7, 3, 8, 4, 9)


class TokenMask:
    """`token` over a batch."""

    def __init__(self, mask: Token) -> None:
        self.takes_numbers = self.makes_text = mask.as_string
        self._token = mask
        self._make: Callable[[str, bytes], str | None] = {
            "text": self._make_text, "pan": self._make_card, "iban": self._make_iban
        }[mask.form]  # fmt: skip

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each text: see Collected.mask."""
        # In a card number or IBAN spaces and hyphens mean nothing, so they must not change the token either.
        plain = texts if self._token.form == "text" else [_bare(text) for text in texts]
        digests = hmac_texts(self._token.subkey, plain)
        return [self._mask(text, digests[32 * i : 32 * i + 32]) for i, text in enumerate(texts)]

    def _mask(self, text: str, digest: bytes) -> str | None:
        if len(text) > LENGTH_LIMIT_CHARACTERS:
            return None
        for _ in range(ATTEMPTS):
            token = self._make(text, digest)
            if token != text:
                return token
            digest = hashlib.sha256(digest).digest()
        return None

    def _make_text(self, text: str, digest: bytes) -> str | None:
        if text.isascii() and text.isdigit() and len(text) <= _DRAWN_CHARACTERS:
            first, last = self._kept(len(text))
            return text[:first] + _draw_digits(digest, len(text) - first - last) + text[len(text) - last :]
        places = self._hidden(text)
        return _replace(text, places, digest) if places else None

    def _make_card(self, text: str, digest: bytes) -> str | None:
        digits = _bare(text)
        if not digits.isascii() or not digits.isdigit() or len(digits) not in CARD_DIGITS or luhn_sum(digits):
            return None
        first, last = self._kept(len(digits))
        # The last hidden digit makes the sum right: doubled or not, each digit adds another amount.
        fix = len(digits) - last - 1
        if fix <= first:
            return None
        drawn = digits[:first] + _draw_digits(digest, fix - first)
        missing = -luhn_sum(drawn + "0" + digits[fix + 1 :]) % 10
        token = drawn + str(_HALVED[missing] if last % 2 else missing) + digits[fix + 1 :]
        return token if len(token) == len(text) else _put_back(text, token)

    def _make_iban(self, text: str, digest: bytes) -> str | None:
        bare = _bare(text)
        if _IBAN.fullmatch(bare) is None or iban_rest(bare) != 1:
            return None
        places = self._hidden(text, first=4)
        if not places:
            return None
        token = _replace(text, places, digest)
        check = f"{98 - iban_rest(_bare(token)[:2] + '00' + _bare(token)[4:]):02}"
        third, fourth = [i for i, character in enumerate(text) if character.isalnum()][2:4]
        return token[:third] + check[0] + token[third + 1 : fourth] + check[1] + token[fourth + 1 :]

    def _kept(self, count: int) -> tuple[int, int]:
        """How many of so many letters and digits stay, first and last; none, where no others would be left."""
        first, last = self._token.keep_first, self._token.keep_last
        return (first, last) if first + last < count else (0, 0)

    def _hidden(self, text: str, first: int = 0) -> list[int]:
        """The places of the letters and digits that do not stay; all, where no more would be there than stay."""
        places = [i for i, character in enumerate(text) if character.isalnum()]
        kept, end = max(self._token.keep_first, first), len(places) - self._token.keep_last
        return places[kept:end] if kept < end else places[first:]


class PseudonymMask:
    """`pseudonym` over a batch: never the text itself, in whatever case."""

    takes_numbers = makes_text = False

    def __init__(self, mask: Pseudonym) -> None:
        self._pseudonym = mask
        self._places = {word.casefold(): i for i, word in enumerate(mask.words)}

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each text: see Collected.mask."""
        words = self._pseudonym.words
        digests = hmac_texts(self._pseudonym.subkey, texts)
        masked: list[str | None] = []
        for i, text in enumerate(texts):
            draw = int.from_bytes(digests[32 * i : 32 * i + 16])
            own = self._places.get(text.casefold())
            if own is None:
                masked.append(words[draw % len(words)])
            else:
                masked.append(words[(own + 1 + draw % (len(words) - 1)) % len(words)])
        return masked


def luhn_sum(digits: str) -> int:
    """The Luhn sum modulo 10: 0 for a valid number, check digit included."""
    numbers = digits.encode("ascii")
    # 48 is the byte of 0; as many of them as there are digits are taken away from both sums.
    return (sum(numbers[-1::-2]) + sum(numbers[-2::-2].translate(_DOUBLED)) - 48 * len(numbers)) % 10


def iban_rest(iban: str) -> int:
    """The rest of an IBAN modulo 97, its first four characters last: 1 for a valid one."""
    return int((iban[4:] + iban[:4]).translate(_IBAN_VALUES)) % 97


def _bare(text: str) -> str:
    return text.replace(" ", "").replace("-", "")


def _put_back(text: str, token: str) -> str:
    """The token with the spaces and hyphens of the text."""
    characters = iter(token)
    return "".join([character if character in " -" else next(characters) for character in text])


def _draw_digits(digest: bytes, count: int) -> str:
    """As _replace draws them, for digits only, and no more than one number gives."""
    return f"{int.from_bytes(digest) % 10**count:0{count}}"[::-1]


def _replace(text: str, places: Sequence[int], digest: bytes) -> str:
    characters = list(text)
    draw, left = int.from_bytes(digest), _DRAWN_CHARACTERS
    for place in places:
        if left == 0:
            digest = hashlib.sha256(b"more" + digest).digest()
            draw, left = int.from_bytes(digest), _DRAWN_CHARACTERS
        character = characters[place]
        alphabet = (
            string.digits
            if character.isnumeric()
            else string.ascii_uppercase
            if character in string.ascii_uppercase
            else string.ascii_lowercase
        )
        draw, digit = divmod(draw, len(alphabet))
        characters[place] = alphabet[digit]
        left -= 1
    return "".join(characters)
