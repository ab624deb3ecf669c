"""Dates of ISO 8601 in plain Python: what maskers/days.pyx must give, character for character. Slow, and written apart from it."""

from __future__ import annotations

import re
from datetime import date, timedelta

_TIME = r"(?P<time>[T ](?:[01][0-9]|2[0-4])(?::[0-5][0-9](?::(?:[0-5][0-9]|60)(?:[.,][0-9]{1,12})?)?)?)"
_BASIC_TIME = r"(?P<time>T(?:[01][0-9]|2[0-4])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:[.,][0-9]{1,12})?)?)?)"
_ZONE = r"(?P<zone>Z|[+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?)"
_DATE = r"(?P<y>[0-9]{4})(?P<m>-[0-9]{2})?(?P<d>(?<=-..)-[0-9]{2})?"
FORMS = [
    re.compile(rf"{_DATE}(?:(?<=-..-..){_TIME}{_ZONE}?)?", re.ASCII),
    re.compile(rf"(?P<y>[0-9]{{4}})(?P<m>[0-9]{{2}})(?P<d>[0-9]{{2}})(?:{_BASIC_TIME}{_ZONE}?)?", re.ASCII),
]


def read(text: str) -> tuple[date, re.Match[str]] | None:
    """The date of a text, the first of what it lacks, and its parts."""
    match = next((match for form in FORMS if (match := form.fullmatch(text))), None)
    if match is None:
        return None
    try:
        return date(int(match["y"]), int((match["m"] or "1").strip("-")), int((match["d"] or "1").strip("-"))), match
    except ValueError:
        return None


def write(match: re.Match[str], day: date, time: str) -> str:
    """A date in the form of another."""
    mark = "-" if (match["m"] or "").startswith("-") else ""
    month = f"{mark}{day.month:02}" if match["m"] else ""
    return f"{day.year:04}{month}{f'{mark}{day.day:02}' if match['d'] else ''}{time}{match['zone'] or ''}"


def first(text: str, months: int) -> str | None:
    """The first of its period of so many months, 0 for a day, at midnight."""
    found = read(text)
    if found is None:
        return None
    day, match = found
    if months:
        day = date(day.year, day.month - (day.month - 1) % months, 1)
    return write(match, day, re.sub("[0-9]", "0", match["time"] or ""))


def moved(text: str, by: int) -> str | None:
    """So many days later."""
    found = read(text)
    if found is None or not found[1]["d"]:
        return None
    try:
        return write(found[1], found[0] + timedelta(days=by), found[1]["time"] or "")
    except OverflowError:
        return None
