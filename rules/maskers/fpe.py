"""The collected mask `fpe`: FF1 over the characters of an alphabet, for a whole batch.

What is outside the alphabet stands where it stood and plays no part. Kept characters (`keepFirst`, `keepLast`) are
FF1's tweak, in ASCII, so that one middle of two card numbers does not encrypt alike. A text of fewer than 1,000,000
possible ones is not taken.

Source: NIST SP 800-38G rev. 1, second public draft (February 2025): FF1, section 5.2 on the size of the domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
        alphabet = mask.alphabet.encode("ascii")
        self._lengths = range(fewest(len(alphabet)), most(len(alphabet)) + 1)
        self._others = bytes(byte for byte in range(256) if byte not in alphabet)
        self._members = frozenset(alphabet)
        self._to_numerals = bytes.maketrans(alphabet, bytes(range(len(alphabet))))
        self._to_text = bytes.maketrans(bytes(range(len(alphabet))), alphabet)

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Encrypts each text: see Collected.mask."""
        # Loaded here: only this needs it.
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415

        first, last = self._fpe.keep_first, self._fpe.keep_last
        written = [text.encode("utf-8", "surrogatepass") for text in texts]
        # In UTF-8 what is beyond ASCII has no byte of an alphabet.
        bare = [text.translate(None, self._others) for text in written]
        chosen = [i for i, text in enumerate(bare) if len(text) - first - last in self._lengths]
        tweaks = [bare[i][:first] + bare[i][len(bare[i]) - last :] for i in chosen]
        hidden = [bare[i][first : len(bare[i]) - last].translate(self._to_numerals) for i in chosen]
        encryptor = Cipher(algorithms.AES(self._fpe.subkey), modes.ECB()).encryptor()  # noqa: S305 - FF1 is built of it
        sealed = ff1(encryptor, len(self._fpe.alphabet), hidden, tweaks, decrypt=self._fpe.reveal)
        masked: list[str | None] = [None] * len(texts)
        for i, numerals in zip(chosen, sealed, strict=True):
            text = bare[i][:first] + numerals.translate(self._to_text) + bare[i][len(bare[i]) - last :]
            if len(text) < len(written[i]):
                text = self._put_back(written[i], text)
            masked[i] = text.decode("utf-8")
        return masked

    def _put_back(self, written: bytes, bare: bytes) -> bytes:
        """The text with what stands between the characters of the alphabet."""
        members = iter(bare)
        return bytes([next(members) if byte in self._members else byte for byte in written])
