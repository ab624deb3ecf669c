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
from wiremask.rules.maskers.rounding import DIRECTIONS, find_places, round_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wiremask.rules.model.masks import Age, Bucket, Noise, Range, Round, RoundDirection

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


class MultipleMask:
    """A number becomes a multiple of another, counted from a start; numbers stay numbers, and strings strings."""

    takes_numbers = True
    makes_text = False

    def __init__(
        self,
        *,
        of: Decimal,
        direction: RoundDirection,
        start: Decimal = Decimal(0),
        lowest: Decimal | None = None,
        highest: Decimal | None = None,
    ) -> None:
        self._of, self._start, self._lowest, self._highest = of, start, lowest, highest
        self._direction = direction
        self._step, self._origin = _small(of), _small(start)
        self._least = None if lowest is None else _small(lowest)
        self._most = None if highest is None else _small(highest)
        bounds = ((lowest, self._least), (highest, self._most))
        self._are_small = all((one is None) == (small is None) for one, small in bounds)

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each number: see Collected.mask."""
        if self._step is None or self._origin is None or not self._are_small:
            return [self._mask(text) for text in texts]
        direction = DIRECTIONS[self._direction]
        masked, left = round_numbers(texts, self._step, self._origin, self._least, self._most, direction)
        for place in left:
            masked[place] = self._mask(texts[place])
        return masked

    def _mask(self, text: str) -> str | None:
        """Masks a number of any size."""
        number = read_decimal(text)
        if number is None:
            return None
        if self._lowest is not None:
            number = max(number, self._lowest)
        if self._highest is not None:
            number = min(number, self._highest)
        multiple = _multiple(_EXACT.subtract(number, self._start), self._of, _ROUNDING[self._direction])
        return write_decimal(_EXACT.add(multiple, self._start))


def round_number(mask: Round) -> MultipleMask:
    """Makes `round`."""
    return MultipleMask(of=mask.to, direction=mask.direction)


def bucket_number(mask: Bucket) -> MultipleMask:
    """Makes `bucket`."""
    return MultipleMask(of=mask.size, direction="down", start=mask.start, lowest=mask.lowest, highest=mask.highest)


class PlaceMask:
    """What a number becomes hangs on how many of some bounds are not above it.

    Args:
        bounds: rising.
        choose: gives the output, of that count and the number without sign and exponent; None for what is not taken.
    """

    takes_numbers = True

    def __init__(
        self, bounds: Sequence[Decimal], choose: Callable[[int, str], str | None], *, makes_text: bool = False
    ) -> None:
        self.makes_text = makes_text
        self._bounds, self._choose = bounds, choose
        small = [one for bound in bounds if (one := _small(bound)) is not None]
        self._small = small if len(small) == len(bounds) else None

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Masks each number: see Collected.mask."""
        if self._small is None:
            return [self._mask(text) for text in texts]
        return [
            self._mask(text) if place < 0 else self._choose(place, text.removeprefix("-"))
            for text, place in zip(texts, find_places(texts, self._small), strict=True)
        ]

    def _mask(self, text: str) -> str | None:
        """Masks a number of any size."""
        number = read_decimal(text)
        if number is None:
            return None
        return self._choose(bisect_right(self._bounds, number), write_decimal(number.copy_abs()))


def find_range(mask: Range) -> PlaceMask:
    """Makes `range`."""
    texts = mask.labels or tuple(write_decimal(bound) for bound in (mask.bounds[0], *mask.bounds))
    return PlaceMask(mask.bounds, lambda place, _: texts[place], makes_text=bool(mask.labels))


def cap_age(mask: Age) -> PlaceMask:
    """Makes `age`: years that are none, below 0, are not taken."""
    top = str(mask.top)
    return PlaceMask((Decimal(0), Decimal(mask.top)), lambda place, text: (None, text, top)[place])


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
    """Coefficient and scale of a decimal, as compiled code takes them; None if it is too large for that."""
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if len(digits) > 18 or abs(exponent) > 18:
        return None
    coefficient = int("".join(map(str, digits)))
    return (-coefficient if sign else coefficient), -exponent


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
