"""The collected mask `fpe`: FF1 over the characters of an alphabet, for a whole batch.

What is outside the alphabet stands where it stood and plays no part. Kept characters (`keepFirst`, `keepLast`) are
FF1's tweak, in ASCII, so that one middle of two card numbers does not encrypt alike. A text of fewer than 1,000,000
possible ones is not taken.

Source: NIST SP 800-38G rev. 1, second public draft (February 2025): FF1, section 5.2 on the size of the domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.maskers.alphabets import put_back, take_out
from wiremask.rules.maskers.prf import HALF_LIMIT_BYTES, ff1, half_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import Fpe

DOMAIN_FLOOR = 1_000_000
ALPHABETS = {
    "digits": "0123456789",
    "hex": "0123456789abcdef",
    "upper": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "lower": "abcdefghijklmnopqrstuvwxyz",
    "alphanumeric": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
}


def fewest(radix: int) -> int:
    """The fewest characters of which there are DOMAIN_FLOOR different texts."""
    count = 1
    while radix**count < DOMAIN_FLOOR:
        count += 1
    return count


def most(radix: int) -> int:
    """The most characters that the rounds take."""
    count = 2
    while half_bytes(radix, count + 1) <= HALF_LIMIT_BYTES:
        count += 1
    return count


class FpeMask:
    """`fpe` over a batch, or its reverse."""

    def __init__(self, mask: Fpe) -> None:
        self.takes_numbers = self.makes_text = mask.as_string
        self._fpe = mask
        self._alphabet = mask.alphabet.encode("ascii")
        self._least, self._most = fewest(len(self._alphabet)), most(len(self._alphabet))

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Encrypts each text: see Collected.mask."""
        # Loaded here: only this needs it.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

        first, last = self._fpe.keep_first, self._fpe.keep_last
        places, hidden, kept = take_out(self._alphabet, texts, first, last, self._least, self._most)
        encryptor = Cipher(algorithms.AES(self._fpe.subkey), modes.ECB()).encryptor()  # noqa: S305 - FF1 is built of it
        sealed = ff1(encryptor, len(self._alphabet), hidden, kept, decrypt=self._fpe.reveal)
        return put_back(self._alphabet, texts, first, places, sealed)
