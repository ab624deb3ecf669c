"""The collected masks `date`: made less exact, or shifted by days that hang on a subject; the date's form stays.

Taken are dates of ISO 8601 (`days.pyx`) or of a custom form (`dateforms.py`), and numbers of
seconds or milliseconds since 1970.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_FLOOR
from typing import TYPE_CHECKING

from wiremask.rules.kernel.collected import NUMBER, BySubject
from wiremask.rules.maskers.dateforms import DateForm
from wiremask.rules.maskers.days import shift_dates, truncate_dates
from wiremask.rules.maskers.numeric import read_decimal, write_decimal
from wiremask.rules.maskers.prf import hmac_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import Date, DatePrecision, DateShift

_EPOCH = date(1970, 1, 1).toordinal()
_SCALE = {"seconds": 1, "milliseconds": 1000}
_MONTHS: dict[DatePrecision, int] = {"year": 12, "quarter": 3, "month": 1, "day": 0}
"""Months of a period."""
_NUMBER_LIMIT = 1 << 53
_DIGITS_BELOW_LIMIT = len(str(_NUMBER_LIMIT)) - 1  # whatever the digits are


class DateMask:
    """`date` over a batch: the first moment of a year, quarter, month or day."""

    makes_text = False

    def __init__(self, mask: Date) -> None:
        self.takes_numbers = mask.unit is not None
        self._to = mask.to
        self._scale = _SCALE[mask.unit or "seconds"]
        self._form = DateForm(mask.form) if mask.form else None

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> list[str | None]:
        """Masks each date: see Collected.mask."""
        if self._form is None:
            masked = truncate_dates(texts, _MONTHS[self._to])
        else:
            masked = [self._mask_text(self._form, text) for text in texts]
        if self.takes_numbers:
            for place, kind in enumerate(kinds):
                if kind == NUMBER:
                    masked[place] = self._mask_number(texts[place])
        return masked

    def _mask_text(self, form: DateForm, text: str) -> str | None:
        found = form.read(text)
        return None if found is None else form.write(found, _first(found.date, self._to), keeps_time=False)

    def _mask_number(self, text: str) -> str | None:
        if text.isdecimal() and len(text) <= _DIGITS_BELOW_LIMIT:
            units = int(text)
        else:
            number = read_decimal(text)
            if number is None or abs(number) > _NUMBER_LIMIT:
                return None
            units = int(number.to_integral_value(ROUND_FLOOR))
        ordinal = _EPOCH + units // (86400 * self._scale)
        if not date.min.toordinal() <= ordinal <= date.max.toordinal():
            return None
        days = _first(date.fromordinal(ordinal), self._to).toordinal() - _EPOCH
        return str(days * 86400 * self._scale)


class DateShiftMask(BySubject):
    """`date` with a shift: all dates of one subject move by the same number of days, never by none.

    So their order and distances stay, and so does their time of day. How far is HMAC-SHA-256 of the subject.
    """

    makes_text = False

    def __init__(self, mask: DateShift) -> None:
        super().__init__(mask.subject)
        self.takes_numbers = mask.unit is not None
        self._shift = mask
        self._day = 86400 * _SCALE[mask.unit or "seconds"]
        self._form = DateForm(mask.form) if mask.form else None

    def mask_by(self, texts: Sequence[str], kinds: bytes, subjects: Sequence[str | None], /) -> list[str | None]:
        """Shifts each date: see BySubject.mask_by. A date is not taken if its value has not one subject."""
        known = sorted({subject for subject in subjects if subject is not None})
        digests = hmac_texts(self._shift.subkey, known)
        by_subject = {subject: self._days(digests[32 * at : 32 * at + 32]) for at, subject in enumerate(known)}
        days = [None if subject is None else by_subject[subject] for subject in subjects]
        if self._form is None:
            moved = shift_dates(texts, days)
        else:
            moved = [None if by is None else _move(self._form, text, by) for text, by in zip(texts, days, strict=True)]
        if self.takes_numbers:
            for place, kind in enumerate(kinds):
                by = days[place]
                if kind == NUMBER and by is not None:
                    moved[place] = self._move_number(texts[place], by)
        return moved

    def mask(self, texts: Sequence[str], _: bytes, /) -> list[str | None]:
        """Takes nothing: there is no subject."""
        return [None] * len(texts)

    def _days(self, digest: bytes) -> int:
        # 256 bits drawn over 20 at most: the bias is below anything that shows.
        place = int.from_bytes(digest) % (2 * self._shift.within)
        return place - self._shift.within if place < self._shift.within else place - self._shift.within + 1

    def _move_number(self, text: str, days: int) -> str | None:
        number = read_decimal(text)
        if number is None or abs(number) > _NUMBER_LIMIT:
            return None
        return write_decimal(number + days * self._day)


def _move(form: DateForm, text: str, days: int) -> str | None:
    found = form.read(text)
    if found is None or not form.has_day:
        return None
    try:
        return form.write(found, found.date + timedelta(days=days), keeps_time=True)
    except OverflowError:
        return None


def _first(day: date, to: DatePrecision) -> date:
    months = _MONTHS[to]
    return day.replace(month=day.month - (day.month - 1) % months, day=1) if months else day
