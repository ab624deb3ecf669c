"""Tokens in plain Python: what maskers/tokenforms.pyx must give, character for character. Slow, and written apart from it."""

from __future__ import annotations

import hashlib
import hmac
import re
import string
from collections.abc import Sequence

CARD_DIGITS = range(12, 20)
ATTEMPTS = 256
LENGTH_LIMIT = 1024
DRAWN = 32
IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}")
IBAN_VALUES = {ord(letter): str(value) for value, letter in enumerate(string.ascii_uppercase, 10)}


def token(key: bytes, form: str, text: str, first: int = 0, last: int = 0) -> str | None:
    make = {"text": of_text, "pan": of_card, "iban": of_iban}[form]
    named = text if form == "text" else bare(text)
    digest = hmac.digest(key, named.encode("utf-8", "surrogatepass"), "sha256")
    for _ in range(ATTEMPTS if len(text) <= LENGTH_LIMIT else 0):
        made = make(text, digest, first, last)
        if made != text:
            return made
        digest = hashlib.sha256(digest).digest()
    return None


def of_text(text: str, digest: bytes, first: int, last: int) -> str | None:
    places = hidden(text, first, last)
    return replace(text, places, digest) if places else None


def of_card(text: str, digest: bytes, first: int, last: int) -> str | None:
    digits = bare(text)
    if not re.fullmatch("[0-9]+", digits) or len(digits) not in CARD_DIGITS or luhn_sum(digits):
        return None
    if first + last >= len(digits):
        first = last = 0
    fix = len(digits) - last - 1
    if fix <= first:
        return None
    drawn = replace(digits, range(first, fix), digest)
    # Tried out: one digit makes the sum right.
    (made,) = (
        candidate
        for candidate in (drawn[:fix] + digit + drawn[fix + 1 :] for digit in string.digits)
        if luhn_sum(candidate) == 0
    )
    characters = iter(made)
    return "".join(character if character in " -" else next(characters) for character in text)


def of_iban(text: str, digest: bytes, first: int, last: int) -> str | None:
    if IBAN.fullmatch(bare(text)) is None or iban_rest(bare(text)) != 1:
        return None
    made = replace(text, hidden(text, first, last, always=4), digest)
    check = f"{98 - iban_rest(bare(made)[:2] + '00' + bare(made)[4:]):02}"
    third, fourth = [i for i, character in enumerate(text) if character.isalnum()][2:4]
    return made[:third] + check[0] + made[third + 1 : fourth] + check[1] + made[fourth + 1 :]


def luhn_sum(digits: str) -> int:
    """The Luhn sum modulo 10: 0 for a valid number, check digit included."""
    doubled = "0246813579"
    numbers = [int(doubled[int(digit)] if i % 2 else digit) for i, digit in enumerate(reversed(digits))]
    return sum(numbers) % 10


def iban_rest(iban: str) -> int:
    """The rest of an IBAN modulo 97, its first four characters last: 1 for a valid one."""
    return int((iban[4:] + iban[:4]).translate(IBAN_VALUES)) % 97


def bare(text: str) -> str:
    return text.replace(" ", "").replace("-", "")


def hidden(text: str, first: int, last: int, always: int = 0) -> Sequence[int]:
    """The places of the letters and digits that do not stay; all, where no more would be there than stay."""
    places = [i for i, character in enumerate(text) if character.isalnum()]
    kept, end = max(first, always), len(places) - last
    return places[kept:end] if kept < end else places[always:]


def replace(text: str, places: Sequence[int], digest: bytes) -> str:
    characters = list(text)
    draw, left = int.from_bytes(digest), DRAWN
    for place in places:
        if left == 0:
            digest = hashlib.sha256(b"more" + digest).digest()
            draw, left = int.from_bytes(digest), DRAWN
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
