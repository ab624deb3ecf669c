"""Numbers made less exact: decimal arithmetic, and what holds of every number."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.maskers.catalog import collect
from wiremask.rules.maskers.noise import move_numbers
from wiremask.rules.maskers.numeric import MultipleMask, NoiseMask, PlaceMask, read_decimal
from wiremask.rules.maskers.rounding import DIRECTIONS, find_places, round_numbers
from wiremask.rules.model.masks import Age, Bucket, Mask, Noise, Range, Round, RoundDirection

numbers = st.one_of(
    st.integers(-(10**30), 10**30).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9).map(
        lambda d: f"{d:f}"
    ),
    st.sampled_from(["0", "-0", "1e5", "-1.50E+3", "2.5e-300", "9" * 300, "0.1", "0.3"]),
)
directions: st.SearchStrategy[RoundDirection] = st.sampled_from(["nearest", "down", "up"])
steps = st.sampled_from(["1", "10", "0.05", "3", "0.1", "2.5", "1e20", "7e-9"]).map(Decimal)


def run(mask: Mask, *texts: str) -> list[str | None]:
    return list(collect(mask, "").mask(texts, b"n" * len(texts)))


def one(mask: Mask, text: str) -> Fraction:
    (masked,) = run(mask, text)
    assert masked is not None
    assert read_decimal(masked) is not None or len(masked) > 400
    return Fraction(masked)


@given(numbers, steps, directions)
@settings(max_examples=200)
def test_round_gives_the_multiple_that_it_says(text: str, to: Decimal, direction: RoundDirection) -> None:
    number, step = Fraction(text), Fraction(to)

    rounded = one(Round(to=to, direction=direction), text)

    assert rounded % step == 0
    distance = rounded - number
    assert {"nearest": 2 * abs(distance) <= step, "down": -step < distance <= 0, "up": 0 <= distance < step}[direction]
    if 2 * abs(distance) == step and direction == "nearest":
        assert abs(rounded) > abs(number)


@given(numbers, steps, st.sampled_from(["0", "-3", "0.5"]).map(Decimal))
@settings(max_examples=100)
def test_bucket_gives_its_lower_end(text: str, size: Decimal, start: Decimal) -> None:
    lower = one(Bucket(size=size, start=start), text)

    assert (lower - Fraction(start)) % Fraction(size) == 0
    assert lower <= Fraction(text) < lower + Fraction(size)


@given(numbers)
@settings(max_examples=100)
def test_bucket_with_ends_leaves_none_outside(text: str) -> None:
    lower = one(Bucket(size=Decimal(10), lowest=Decimal(20), highest=Decimal(95)), text)

    assert lower in range(20, 91, 10)


@given(numbers, st.lists(st.integers(-1000, 1000), min_size=1, max_size=6, unique=True).map(sorted))
@settings(max_examples=100)
def test_range_gives_the_bound_below_and_the_label_of_its_place(text: str, bounds: list[int]) -> None:
    number = Fraction(text)
    decimals = tuple(map(Decimal, bounds))
    labels = tuple(f"label {i}" for i in range(len(bounds) + 1))

    assert one(Range(bounds=decimals), text) == max([bound for bound in bounds if bound <= number], default=bounds[0])
    assert run(Range(bounds=decimals, labels=labels), text) == [f"label {sum(bound <= number for bound in bounds)}"]


@given(numbers)
@settings(max_examples=100)
def test_age_has_one_class_for_the_oldest(text: str) -> None:
    if Fraction(text) < 0:
        assert run(Age(), text) == [None]
    else:
        assert one(Age(), text) == min(Fraction(text), 90)


@given(numbers, st.sampled_from(["5", "0.25", "1000"]).map(Decimal), st.booleans())
@settings(max_examples=200)
def test_noise_moves_within_its_bounds_always_and_always_alike(text: str, within: Decimal, percent: bool) -> None:
    mask = Noise(subkey=b"k" * 32, within=min(within, Decimal(100)) if percent else within, percent=percent)
    other = Noise(subkey=b"l" * 32, within=mask.within, percent=percent)
    number = Fraction(text)
    if percent and number == 0:
        assert run(mask, text) == [None]
        return

    moved = one(mask, text)

    bound = abs(number) * Fraction(mask.within) / 100 if percent else Fraction(within)
    assert 0 < abs(moved - number) <= bound
    assert one(mask, text) == moved
    assert abs(one(other, text) - number) <= bound


@pytest.mark.parametrize("step", [Decimal(1), None])
def test_noise_is_that_of_the_number_however_it_is_written(step: Decimal | None) -> None:
    mask = Noise(subkey=b"k" * 32, within=Decimal(5), step=step)

    moved = {one(mask, text) for text in ("100", "100.0", "1e2", "1.00E+2")}

    assert len(moved) == 1


decimals = st.builds(
    lambda sign, whole, digits: sign + whole + digits,
    st.sampled_from(["", "-"]),
    st.integers(0, 10**19).map(str) | st.sampled_from(["0", "00", "100", "1000000"]),
    st.just("") | st.text("0123456789", max_size=19).map(lambda digits: f".{digits}"),
)
amounts = st.decimals(min_value=0, max_value=10**12, places=4, allow_nan=False).filter(bool) | st.sampled_from(
    ["1", "5", "0.05", "100", "1E+3", "1E-18", "7E+15", "0.000000000000000001", "1E+19", "3.0"]
).map(Decimal)


@given(decimals | numbers, amounts, amounts | st.none(), st.booleans())
@settings(max_examples=300)
def test_noise_of_small_numbers_is_that_of_numbers_of_any_size(
    text: str, within: Decimal, step: Decimal | None, percent: bool
) -> None:
    mask = NoiseMask(Noise(subkey=b"k" * 32, within=within, percent=percent, step=step))

    assert mask.mask([text], b"n") == mask._move_any([text])


signed = amounts | amounts.map(Decimal.copy_negate) | st.just(Decimal(0))


@given(decimals | numbers, amounts, signed, signed | st.none(), signed | st.none(), directions)
@settings(max_examples=300)
def test_multiple_of_small_numbers_is_that_of_numbers_of_any_size(
    text: str, of: Decimal, start: Decimal, lowest: Decimal | None, highest: Decimal | None, direction: RoundDirection
) -> None:
    mask = MultipleMask(of=of, direction=direction, start=start, lowest=lowest, highest=highest)

    assert mask.mask([text], b"n") == [mask._mask(text)]


@given(decimals | numbers, st.lists(signed, min_size=1, max_size=5, unique=True).map(sorted))
@settings(max_examples=300)
def test_place_of_small_numbers_is_that_of_numbers_of_any_size(text: str, bounds: list[Decimal]) -> None:
    mask = PlaceMask(bounds, lambda place, shown: f"{place} {shown}")

    assert mask.mask([text], b"n") == [mask._mask(text)]


def test_small_numbers_are_left_to_nobody() -> None:
    texts = ["0", "-12.50", "999999999999999999", "0.0000000000001"]

    rounded, left = round_numbers(texts, (25, 3), (-1, 0), (-99, 0), None, DIRECTIONS["nearest"])
    places = find_places(texts, [(-1, 1), (5, 0)])

    assert (left, None in rounded, -1 in places) == ([], False, False)


def test_noise_of_small_numbers_leaves_none_to_the_slow_way() -> None:
    texts = ["0", "-12.50", "999999999999999999", "0.0000000000001"]

    for step in (None, (5, 4)):
        moved, left = move_numbers(b"k" * 32, texts, (25, 3), step, percent=False)

        assert left == []
        assert None not in moved


def test_noise_spreads_over_all_of_its_steps() -> None:
    mask = Noise(subkey=b"k" * 32, within=Decimal(3), step=Decimal(1))

    moves = [int(one(mask, str(number))) - number for number in range(1000)]

    assert {move: moves.count(move) > 100 for move in moves} == dict.fromkeys([-3, -2, -1, 1, 2, 3], True)


@pytest.mark.parametrize(
    "text",
    ["", "x", "1,5", "01", "+1", ".5", "1.", "NaN", "Infinity", "1_000", " 1", "\u0661", "1e401", "1e-401", "9" * 401],
)
@pytest.mark.parametrize(
    "mask",
    [Round(to=Decimal(1)), Bucket(size=Decimal(1)), Range(bounds=(Decimal(1),)), Age(),
     Noise(subkey=b"k" * 32, within=Decimal(1))],
    ids=lambda mask: type(mask).__name__,
)  # fmt: skip
def test_takes_nothing_else(mask: Mask, text: str) -> None:
    assert run(mask, text) == [None]
