"""Collected masks that are one-way: token and pseudonym, both HMAC-SHA-256 of the text mapped to a form.

A token has the length of its text, and each letter or digit another of its class: a digit a digit, an upper-case letter
of A to Z one of these, any other letter one of a to z; the rest stays. The HMAC is one number, of which each character
takes a digit in its base. If the token would be the text itself, the next number is taken: of texts with n characters
of base b, two get one token with a chance of about 1 in b^n.

Source: ISO/IEC 7812-1 annex B (Luhn); ISO 13616-1 and ISO 7064 MOD 97-10 (IBAN).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wiremask.rules.maskers.prf import hmac_texts
from wiremask.rules.maskers.tokenforms import make_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import Pseudonym, Token


class TokenMask:
    """`token` over a batch."""

    def __init__(self, mask: Token) -> None:
        self.takes_numbers = self.makes_text = mask.as_string
        self._token = mask

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each text: see Collected.mask."""
        token = self._token
        return make_tokens(token.subkey, token.form, texts, token.keep_first, token.keep_last)


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
