"""The collected masks `date`: made less exact, or shifted by days that hang on a subject; the date's form stays.

Taken are dates of ISO 8601 (`days.pyx`) or of a custom form (`dateforms.py`), and numbers of
seconds or milliseconds since 1970.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from wiremask.rules.kernel.collected import NUMBER, BySubject
from wiremask.rules.maskers.dateforms import DateForm
from wiremask.rules.maskers.days import shift_dates, truncate_dates
from wiremask.rules.maskers.numeric import read_decimal, write_decimal
from wiremask.rules.maskers.prf import hmac_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.model.masks import Date, DatePrecision, DateShift

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALE = {"seconds": 1, "milliseconds": 1000}
_MONTHS: dict[DatePrecision, int] = {"year": 12, "quarter": 3, "month": 1, "day": 0}
"""Months of a period."""
_NUMBER_LIMIT = 1 << 53


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
        if found is None:
            return None
        month = None if found.month is None else _first_month(found.month, self._to)
        day = None if found.day is None else found.day if self._to == "day" else 1
        return found.rewritten(found.year, month, day, keeps_time=False)

    def _mask_number(self, text: str) -> str | None:
        number = read_decimal(text)
        if number is None or abs(number) > _NUMBER_LIMIT:
            return None
        units = int(number.to_integral_value(ROUND_FLOOR))
        try:
            moment = _EPOCH + timedelta(seconds=units // self._scale)
        except OverflowError:
            return None
        day = moment.day if self._to == "day" else 1
        first = datetime(moment.year, _first_month(moment.month, self._to), day, tzinfo=UTC)
        days = (first - _EPOCH).days
        return str(Decimal(days * 86400 * self._scale))


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
    if found is None or found.month is None or found.day is None:
        return None
    try:
        moved = date(found.year, found.month, found.day) + timedelta(days=days)
    except OverflowError:
        return None
    return found.rewritten(moved.year, moved.month, moved.day, keeps_time=True)


def _first_month(month: int, to: DatePrecision) -> int:
    months = _MONTHS[to]
    return month - (month - 1) % months if months else month
