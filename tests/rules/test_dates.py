"""Dates made less exact, in every form that is taken."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiremask.rules.dates import DateMask
from wiremask.rules.masks import Date, DatePrecision

PRECISIONS: list[DatePrecision] = ["year", "quarter", "month", "day"]
FORMS = {
    "date": "%Y-%m-%d",
    "month": "%Y-%m",
    "basic": "%Y%m%d",
    "minutes": "%Y-%m-%dT%H:%M",
    "seconds": "%Y-%m-%d %H:%M:%S",
    "fraction": "%Y-%m-%dT%H:%M:%S.%f",
    "zulu": "%Y-%m-%dT%H:%M:%SZ",
    "offset": "%Y-%m-%dT%H:%M:%S+05:30",
    "basic time": "%Y%m%dT%H%M%SZ",
}
moments = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31))  # noqa: DTZ001 - as they are written


def first_of(moment: datetime, to: DatePrecision) -> datetime:
    month = {"year": 1, "quarter": (moment.month - 1) // 3 * 3 + 1}.get(to, moment.month)
    return datetime(moment.year, month, moment.day if to == "day" else 1, tzinfo=moment.tzinfo)


@given(moments, st.sampled_from(PRECISIONS), st.sampled_from(list(FORMS.values())))
@settings(max_examples=200)
def test_text_becomes_the_first_of_its_period_in_its_own_form(moment: datetime, to: DatePrecision, form: str) -> None:
    (masked,) = DateMask(Date(to=to)).mask([moment.strftime(form)], b"s")

    assert masked == first_of(moment, to).strftime(form)


@given(
    st.integers(-60_000_000_000, 250_000_000_000),
    st.sampled_from(PRECISIONS),
    st.sampled_from(["", ".75", "e0"]),
)
@settings(max_examples=200)
def test_number_becomes_the_first_second_of_its_period(seconds: int, to: DatePrecision, more: str) -> None:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    first = int((first_of(epoch + timedelta(seconds=seconds), to) - epoch).total_seconds())
    fraction = more if seconds >= 0 else ""

    assert DateMask(Date(to=to, unit="seconds")).mask([f"{seconds}{fraction}"], b"n") == [str(first)]
    assert DateMask(Date(to=to, unit="milliseconds")).mask([f"{seconds * 1000}"], b"n") == [str(first * 1000)]


def test_bare_year_stays() -> None:
    assert DateMask(Date(to="year")).mask(["1984"], b"s") == ["1984"]


@pytest.mark.parametrize(
    "text",
    ["", "84", "July 23", "1984-13", "1984-00-01", "1984-02-30", "1983-02-29", "0000-01-01", "1984-7-23", "1984-07-23T",
     "1984-07-23T25:00", "1984-07-23T10:60", "1984-07-23Z", "1984-07-23T10:00+24:00", "19840732", "198407", "1984-0723",
     "1984-07-23 (a)", "1984-07-23\n", "\uff11\uff19\uff18\uff14-07-23"],
)  # fmt: skip
def test_takes_no_other_text(text: str) -> None:
    assert DateMask(Date(to="month")).mask([text], b"s") == [None]


@pytest.mark.parametrize("text", ["1e300", "999999999999999", "-99999999999999"])
def test_takes_no_number_that_is_no_date(text: str) -> None:
    assert DateMask(Date(to="month", unit="seconds")).mask([text], b"n") == [None]
