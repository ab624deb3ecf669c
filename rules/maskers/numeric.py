"""Collected masks of numbers: bucket, round, range, age, noise. In decimals, never in binary floating point.

A number is taken as it is written, and so is a string that holds one. What has more than DIGITS_LIMIT characters or an
exponent beyond EXPONENT_LIMIT is not taken: written out, it could be of any length.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING

from wiremask.rules.maskers.noise import move_numbers
from wiremask.rules.maskers.prf import hmac_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wiremask.rules.model.masks import Age, Bucket, Noise, Range, Round

DIGITS_LIMIT = 400
EXPONENT_LIMIT = 400

# Wide enough that no operation here on numbers within the limits is rounded.
_EXACT = Context(prec=4 * (DIGITS_LIMIT + EXPONENT_LIMIT), Emax=1_000_000, Emin=-1_000_000)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?([eE][+-]?[0-9]{1,6})?")
_ROUNDING = {"nearest": ROUND_HALF_UP, "down": ROUND_FLOOR, "up": ROUND_CEILING}


def read_decimal(text: str) -> Decimal | None:
    """A JSON number as a decimal; None if it is none, or beyond the limits."""
    found = _NUMBER.fullmatch(text) if len(text) <= DIGITS_LIMIT else None
    if found is None:
        return None
    number = Decimal(text)
    if found[1] is None:
        return number
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > EXPONENT_LIMIT or abs(number.adjusted()) > EXPONENT_LIMIT:
        return None
    return number


def write_decimal(number: Decimal) -> str:
    """A decimal as a JSON number without an exponent; zero has no sign."""
    return f"{number or number.copy_abs():f}"


class NumberMask:
    """A function of a decimal, over a batch; numbers stay numbers, and strings strings."""

    takes_numbers = True

    def __init__(self, change: Callable[[Decimal], Decimal | str | None], *, makes_text: bool = False) -> None:
        self.makes_text = makes_text
        self._change = change

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each number: see Collected.mask."""
        return [self._mask(text) for text in texts]

    def _mask(self, text: str) -> str | None:
        number = read_decimal(text)
        masked = None if number is None else self._change(number)
        return write_decimal(masked) if isinstance(masked, Decimal) else masked


def round_number(mask: Round) -> NumberMask:
    """Makes `round`."""
    rounding = _ROUNDING[mask.direction]

    def change(number: Decimal) -> Decimal:
        return _multiple(number, mask.to, rounding)

    return NumberMask(change)


def bucket_number(mask: Bucket) -> NumberMask:
    """Makes `bucket`."""

    def change(number: Decimal) -> Decimal:
        if mask.lowest is not None and number < mask.lowest:
            number = mask.lowest
        if mask.highest is not None and number > mask.highest:
            number = mask.highest
        return _EXACT.add(_multiple(_EXACT.subtract(number, mask.start), mask.size, ROUND_FLOOR), mask.start)

    return NumberMask(change)


def find_range(mask: Range) -> NumberMask:
    """Makes `range`."""

    def change(number: Decimal) -> Decimal | str:
        place = bisect_right(mask.bounds, number)
        return mask.labels[place] if mask.labels else mask.bounds[max(place - 1, 0)]

    return NumberMask(change, makes_text=bool(mask.labels))


def cap_age(mask: Age) -> NumberMask:
    """Makes `age`: years that are none, below 0, are not taken."""

    def change(number: Decimal) -> Decimal | None:
        return None if number < 0 else min(number, Decimal(mask.top))

    return NumberMask(change)


class NoiseMask:
    """`noise`: a multiple of the step, not 0, chosen evenly by HMAC-SHA-256 of the number in one form."""

    takes_numbers = True
    makes_text = False

    def __init__(self, mask: Noise) -> None:
        self._noise = mask
        self._within = _small(mask.within)
        self._step = None if mask.step is None else _small(mask.step)
        self._is_small = self._within is not None and (mask.step is None or self._step is not None)

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Moves each number: see Collected.mask."""
        if self._within is None or not self._is_small:
            return self._move_any(texts)
        noise = self._noise
        masked, left = move_numbers(noise.subkey, texts, self._within, self._step, percent=noise.percent)
        if left:
            for place, text in zip(left, self._move_any([texts[place] for place in left]), strict=True):
                masked[place] = text
        return masked

    def _move_any(self, texts: Sequence[str]) -> list[str | None]:
        """Moves numbers of any size."""
        numbers = [read_decimal(text) for text in texts]
        # 1.0 and 1.00 are one number, and move by the same.
        forms = ["" if number is None else write_decimal(number.normalize(_EXACT)) for number in numbers]
        digests = hmac_texts(self._noise.subkey, forms)
        return [
            None if number is None else self._move(number, int.from_bytes(digests[32 * i : 32 * i + 32]))
            for i, number in enumerate(numbers)
        ]

    def _move(self, number: Decimal, draw: int) -> str | None:
        noise = self._noise
        within = noise.within
        if noise.percent:
            within = _EXACT.scaleb(_EXACT.multiply(number.copy_abs(), within), -2)
        if not within:
            return None
        step = noise.step
        if step is None:
            step = _fitting_step(number, within)
        steps = int(_EXACT.divide_int(within, step))
        # 256 bits drawn over 128 at most: the bias is below anything that shows.
        if not 0 < steps < 1 << 128:
            return None
        place = draw % (2 * steps)
        moved = place - steps if place < steps else place - steps + 1
        return write_decimal(_EXACT.add(number, _EXACT.multiply(Decimal(moved), step)))


def _small(number: Decimal) -> tuple[int, int] | None:
    """Coefficient and scale of a decimal, more than 0, as move_numbers takes them; None if it is too large for that."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    return (int("".join(map(str, digits))), -exponent) if len(digits) <= 18 and abs(exponent) <= 18 else None


def _fitting_step(number: Decimal, within: Decimal) -> Decimal:
    """One digit finer than the noise, or the number's last digit if that is finer; whole numbers stay whole."""
    last = number.normalize(_EXACT).as_tuple().exponent
    assert isinstance(last, int)
    finest = min(last, within.adjusted() - 1)
    if last >= 0 and within >= 1:
        finest = max(finest, 0)
    return Decimal(1).scaleb(max(finest, within.adjusted() - 30))


def _multiple(number: Decimal, of: Decimal, rounding: str) -> Decimal:
    """The multiple of `of` that a number is rounded to; exact for all within the limits."""
    # Quotient and rest are whole steps; whether the rest counts as one more is decided on exact decimals.
    quotient = _EXACT.divide_int(number, of)
    rest = _EXACT.subtract(number, _EXACT.multiply(quotient, of))
    if rest:
        up = Decimal(1) if number > 0 else Decimal(-1)
        if rounding == ROUND_HALF_UP:
            away = _EXACT.multiply(rest.copy_abs(), Decimal(2)) >= of
        else:
            away = (rounding == ROUND_FLOOR) == (number < 0)
        if away:
            quotient = _EXACT.add(quotient, up)
    return _EXACT.multiply(quotient, of)
