"""The collected mask `date`: the first moment of a year, quarter, month or day, in the form that the date had.

Taken are calendar dates of ISO 8601, extended (`2024-05-17`, also `2024-05` and `2024`) or basic (`20240517`), with a
time after `T` or a space or without, with `Z` or an offset or without; and numbers of seconds or milliseconds since
1970. The time's digits become 0, its offset stays: consumers read what they read before.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from wiremask.rules.collected import NUMBER
from wiremask.rules.numeric import read_decimal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wiremask.rules.masks import Date, DatePrecision

_TIME = r"(?P<time>[T ](?:[01][0-9]|2[0-4])(?::[0-5][0-9](?::(?:[0-5][0-9]|60)(?:[.,][0-9]{1,12})?)?)?)"
_BASIC_TIME = r"(?P<time>T(?:[01][0-9]|2[0-4])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:[.,][0-9]{1,12})?)?)?)"
_ZONE = r"(?P<zone>Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
_EXTENDED = re.compile(
    rf"(?P<year>[0-9]{{4}})(?:-(?P<month>[0-9]{{2}})(?:-(?P<day>[0-9]{{2}})(?:{_TIME}{_ZONE}?)?)?)?", re.ASCII
)
_BASIC = re.compile(
    rf"(?P<year>[0-9]{{4}})(?P<month>[0-9]{{2}})(?P<day>[0-9]{{2}})(?:{_BASIC_TIME}{_ZONE}?)?", re.ASCII
)
_DIGIT = re.compile(r"[0-9]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALE = {"seconds": 1, "milliseconds": 1000}


class DateMask:
    """`date` over a batch."""

    makes_text = False

    def __init__(self, mask: Date) -> None:
        self.takes_numbers = mask.unit is not None
        self._to = mask.to
        self._scale = _SCALE[mask.unit or "seconds"]

    def mask(self, texts: Sequence[str], kinds: bytes, /) -> list[str | None]:
        """Masks each date: see Collected.mask."""
        return [
            self._mask_number(text) if kind == NUMBER else self._mask_text(text)
            for text, kind in zip(texts, kinds, strict=True)
        ]

    def _mask_text(self, text: str) -> str | None:
        found = _EXTENDED.fullmatch(text)
        dash = "-"
        if found is None:
            found = _BASIC.fullmatch(text)
            dash = ""
        if found is None:
            return None
        year, month, day = found["year"], found["month"], found["day"]
        if year == "0000" or (month is not None and not 1 <= int(month) <= 12):
            return None
        if day is not None and not 1 <= int(day) <= monthrange(int(year), int(month))[1]:
            return None
        masked = year
        if month is not None:
            masked += f"{dash}{_first_month(int(month), self._to):02}"
        if day is not None:
            masked += dash + (day if self._to == "day" else "01")
        return masked + _DIGIT.sub("0", found["time"] or "") + (found["zone"] or "")

    def _mask_number(self, text: str) -> str | None:
        number = read_decimal(text)
        if number is None or abs(number) > 1 << 53:
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


def _first_month(month: int, to: DatePrecision) -> int:
    if to == "year":
        return 1
    return month - (month - 1) % 3 if to == "quarter" else month
