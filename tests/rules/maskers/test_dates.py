"""Dates made less exact, in every form that is taken."""

from __future__ import annotations

import json
from array import array
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import slow_dates
from wiremask.rules.kernel.automaton import Selection
from wiremask.rules.kernel.jsonmask import JsonMasker
from wiremask.rules.maskers.dateforms import FormInvalid, split_form
from wiremask.rules.maskers.dates import DateMask, DateShiftMask
from wiremask.rules.maskers.days import shift_dates, truncate_dates
from wiremask.rules.model.masks import Date, DatePrecision, DateShift
from wiremask.rules.model.selector import read_path

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


CUSTOM = ["%d.%m.%Y", "%B %d, %Y", "%d-%b-%Y %H:%M:%S.%f", "%Y%%%m", "(%Y|%m]", "%H%M%S %d%m%Y", "%Y"]


def shift(within: int = 30, form: str = "", key: bytes = bytes(32)) -> DateShift:
    return DateShift(
        subkey=key, within=within, subject=read_path("$.id"), subject_text="$.id", unit="seconds", form=form
    )


@pytest.mark.parametrize("form", CUSTOM)
@settings(max_examples=100)
@given(moment=moments, to=st.sampled_from(PRECISIONS))
def test_custom_form_is_read_and_written_as_strftime_does(form: str, moment: datetime, to: DatePrecision) -> None:
    text = moment.strftime(form.replace("%Y", f"{moment.year:04}"))
    first = first_of(moment, to).strftime(form.replace("%Y", f"{moment.year:04}"))

    assert DateMask(Date(to=to, form=form)).mask([text], b"s") == [first]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%d.%m.%Y", "1.5.2024"), ("%d.%m.%Y", "31.02.2024"), ("%d.%m.%Y", "17x05x2024"), ("%d.%m.%Y", "17.13.2024"),
        ("%d.%m.%Y", "17.05.2024 "), ("%d.%m.%Y", "2024-05-17"), ("%d.%m.%Y", "17.05.0000"), ("%B %Y", "may 2024"),
        ("%b %Y", "June 2024"), ("%Y %H", "2024 24"), ("%Y", "٢٠٢٤"),
    ],
)  # fmt: skip
def test_custom_form_is_strict(form: str, text: str) -> None:
    assert DateMask(Date(to="year", form=form)).mask([text], b"s") == [None]


@pytest.mark.parametrize(
    ("form", "offset"),
    [("%d.%m.%y", 6), ("%Y %Y", 3), ("%Y%m%B", 4), ("%Y%", 2), ("%d.%Y", 0), ("%m", 0), ("%Y-%j", 3), ("%Y %-d", 3)],
)
def test_form_that_cannot_be_used_is_refused_at_its_place(form: str, offset: int) -> None:
    with pytest.raises(FormInvalid) as caught:
        split_form(form)

    assert caught.value.offset == offset


@settings(max_examples=200)
@given(
    dates=st.lists(st.dates(date(1000, 1, 1), date(9900, 1, 1)), min_size=1, max_size=5),
    subject=st.text(max_size=5),
    within=st.integers(1, 36500),
)
def test_dates_of_a_subject_keep_order_and_distances_and_move_within_bounds(
    dates: list[date], subject: str, within: int
) -> None:
    mask = DateShiftMask(shift(within))
    texts = [one.isoformat() for one in dates]

    shifted = mask.mask_by(texts, b"s" * len(texts), [subject] * len(texts))

    moved = [(date.fromisoformat(after or "") - before).days for before, after in zip(dates, shifted, strict=True)]
    assert len(set(moved)) == 1
    assert 0 < abs(moved[0]) <= within
    assert mask.mask_by(texts[:1], b"s", [subject]) == shifted[:1]


def test_subjects_and_keys_move_dates_apart_and_the_time_of_day_stays() -> None:
    texts = ["2024-05-17T23:59:60.5+02:00"] * 50
    subjects = [f"p-{i}" for i in range(50)]

    one = DateShiftMask(shift(1000)).mask_by(texts, b"s" * 50, subjects)
    other = DateShiftMask(shift(1000, key=bytes(31) + b"x")).mask_by(texts, b"s" * 50, subjects)

    assert len(set(one)) > 40
    assert sum(a == b for a, b in zip(one, other, strict=True)) < 5
    assert all(text is not None and text.endswith("T23:59:60.5+02:00") for text in one)


def test_shift_of_numbers_is_whole_days_and_keeps_every_digit() -> None:
    mask = DateShiftMask(shift(10))

    (number,) = mask.mask_by(["1715900000.250"], b"n", ["p"])
    (text,) = mask.mask_by(["2024-05-16"], b"s", ["p"])

    days = (date.fromisoformat(text or "") - date(2024, 5, 16)).days
    assert number == f"{1715900000 + 86400 * days}.250"


@pytest.mark.parametrize("text", ["2024", "2024-05", "17 May", "9999-12-31", "0001-01-01", ""])
def test_does_not_take_what_cannot_move(text: str) -> None:
    shifted = {DateShiftMask(shift(36500)).mask_by([text], b"s", [f"p{i}"])[0] for i in range(8)}

    assert None in shifted
    assert DateShiftMask(shift()).mask_by(["2024-05-17"], b"s", [None]) == [None]
    assert DateShiftMask(shift()).mask(["2024-05-17"], b"s") == [None]


@pytest.mark.parametrize(
    ("value", "moves"),
    [
        ({"id": "p", "d": "2024-05-17"}, True),
        ({"d": ["2024-05-17"], "id": 7}, True),
        ({"id": "p", "d": "2024-05-17", "x": {"id": "q"}}, True),
        ({"d": "2024-05-17"}, False),
        ({"id": None, "d": "2024-05-17"}, False),
        ({"id": True, "d": "2024-05-17"}, False),
        ({"id": ["p", "q"], "d": "2024-05-17"}, False),
        ({"id": ["p", "p"], "d": "2024-05-17"}, True),
    ],
)
def test_each_value_of_a_batch_has_its_own_subject(value: dict[str, object], moves: bool) -> None:
    """The subject may stand before or behind the date, and be masked itself."""
    drops = Selection(path=read_path("$.id"), mask=Date(to="year"), rule=0, on_unmaskable="redact")
    masker = JsonMasker([drops, Selection(path=read_path("$.d"), mask=shift(), rule=0)], rules=1)
    text, other = json.dumps(value).encode(), b'{"id":"other","d":"2024-05-17"}'
    spans = array("i", (0, len(other), len(other), len(text), 0, -1, 0, len(other)))

    outcome = masker.mask(other + text, spans)

    assert [failure.index for failure in outcome.failures] == ([] if moves else [1])
    assert outcome.spans[0] >= 0
    assert outcome.spans[1] == outcome.spans[7]
    assert b"2024-05-17" not in outcome.values


@st.composite
def near_dates(draw: st.DrawFn) -> str:
    """Dates in every form, and what nearly is one."""
    day = draw(st.dates() | st.dates(date(1890, 1, 1), date(2110, 1, 1)))
    basic = draw(st.booleans())
    text = str(day).replace("-", "" if basic else "-")[: draw(st.sampled_from([4, 7, 8, 10, 10, 10]))]
    if draw(st.booleans()):
        parts = [f"{draw(st.integers(0, 25)):02}", f"{draw(st.integers(0, 61)):02}", f"{draw(st.integers(0, 61)):02}"]
        text += draw(st.sampled_from("TT t")) + ("" if basic else ":").join(parts[: draw(st.integers(0, 3))])
        text += draw(st.sampled_from(["", "", ".", ",", ".5", ".123456789012", ".1234567890123"]))
        text += draw(st.sampled_from(["", "Z", "z", "+02", "-0230", "+05:30", "+24:00", "+02:60", "+2", "-", "Z0"]))
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.sampled_from(["", "0", "-", ":", " ", "\u0661", "é", "\0"])) + text[at + 1 :]
    return text


texts = near_dates() | st.text("0123456789-T:Z+. é", max_size=70)


@given(st.lists(texts, min_size=1, max_size=6), st.sampled_from([0, 1, 3, 12]))
@settings(max_examples=300)
def test_first_of_a_period_is_what_plain_python_makes(texts: list[str], months: int) -> None:
    assert truncate_dates(texts, months) == [slow_dates.first(text, months) for text in texts]


@given(st.lists(texts, min_size=1, max_size=6), st.integers(-4_000_000, 4_000_000) | st.integers(-400, 400))
@settings(max_examples=300)
def test_date_moves_as_plain_python_moves_it(texts: list[str], by: int) -> None:
    assert shift_dates(texts, [by] * len(texts)) == [slow_dates.moved(text, by) for text in texts]
    assert shift_dates(texts, [None] * len(texts)) == [None] * len(texts)


@given(moments, st.sampled_from(list(FORMS.values())))
@settings(max_examples=100)
def test_dates_in_every_form_move(moment: datetime, form: str) -> None:
    text = moment.strftime(form)

    (moved,) = shift_dates([text], [1])

    assert (moved is None) == (form == "%Y-%m" or moment.date() == date.max)
    assert moved != text
