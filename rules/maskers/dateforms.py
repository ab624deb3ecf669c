"""A custom form in which texts have dates.

It has, as `strftime` knows them, %Y %m %b %B %d %H %M %S %f and %% (digits padded, English names), each
once; everything else stands for itself. `%y` is not among them: nobody knows the century.
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip

_SHORT = tuple(name[:3] for name in MONTHS)

# By directive: the group that it is, and what it matches.
DIRECTIVES = {
    "Y": ("year", "[0-9]{4}"),
    "m": ("month", "[0-9]{2}"),
    "b": ("short_month", "|".join(_SHORT)),
    "B": ("long_month", "|".join(MONTHS)),
    "d": ("day", "[0-9]{2}"),
    "H": ("hour", "[01][0-9]|2[0-3]"),
    "M": ("minute", "[0-5][0-9]"),
    "S": ("second", "[0-5][0-9]|60"),
    "f": ("fraction", "[0-9]{1,9}"),
}
_MONTHS = {"month": tuple(f"{number:02}" for number in range(1, 13)), "short_month": _SHORT, "long_month": MONTHS}
_TIMES = ("hour", "minute", "second", "fraction")
_DIGIT = re.compile(r"[0-9]")


class FormInvalid(ValueError):
    """A custom form that cannot be used; `offset` counts characters from 0."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A date in a text: its parts, of which month and day may be missing."""

    match: re.Match[str]
    year: int
    month: int | None
    day: int | None

    def rewritten(self, year: int, month: int | None, day: int | None, *, keeps_time: bool) -> str:
        """The text with another date in the same form; digits of its time become 0 unless they are kept."""
        text = self.match[0]
        changes = {"year": f"{year:04}"}
        groups = self.match.groupdict()
        if month is not None:
            changes |= {name: words[month - 1] for name, words in _MONTHS.items() if groups.get(name)}
        if day is not None:
            changes["day"] = f"{day:02}"
        if not keeps_time:
            changes |= {name: _DIGIT.sub("0", groups[name]) for name in _TIMES if groups.get(name)}
        for start, end, name in sorted(((*self.match.span(name), name) for name in changes), reverse=True):
            text = text[:start] + changes[name] + text[end:]
        return text


class DateForm:
    """Finds the date in a text that is one of a custom form."""

    def __init__(self, form: str) -> None:
        """Takes the form.

        Raises:
            FormInvalid: it cannot be used.
        """
        self._pattern = re.compile(compile_form(form), re.ASCII)

    def read(self, text: str) -> Written | None:
        """The date; None if the text has another form, or no calendar has the day."""
        match = self._pattern.fullmatch(text)
        return None if match is None else _check(match)


def compile_form(form: str) -> str:
    """A custom form as a regular expression.

    Raises:
        FormInvalid: a directive is unknown, stands twice, or lacks another.
    """
    expression, seen, at = [], set(), 0
    while at < len(form):
        if form[at] != "%":
            expression.append(re.escape(form[at]))
            at += 1
            continue
        directive = form[at + 1 : at + 2]
        if directive == "%":
            expression.append("%")
        elif directive not in DIRECTIVES:
            known = ", ".join(f"%{word}" for word in DIRECTIVES)
            raise FormInvalid(at, f"unknown directive; write {known} or %%")
        else:
            group, matches = DIRECTIVES[directive]
            part = "month" if group in _MONTHS else group
            if part in seen:
                raise FormInvalid(at, f"the {part} stands in this form already; delete one of the two")
            seen.add(part)
            expression.append(f"(?P<{group}>{matches})")
        at += 2
    if "year" not in seen or ("day" in seen and "month" not in seen):
        raise FormInvalid(0, "a form has a year, and a month if it has a day: %Y-%m-%d")
    return "".join(expression)


def _check(match: re.Match[str]) -> Written | None:
    groups = match.groupdict()
    year, day = int(match["year"]), groups.get("day")
    written = [(words, groups[name]) for name, words in _MONTHS.items() if groups.get(name)]
    if year == 0 or any(word not in words for words, word in written):
        return None
    month = written[0][0].index(written[0][1]) + 1 if written else None
    if day is not None and (month is None or not 1 <= int(day) <= monthrange(year, month)[1]):
        return None
    return Written(match=match, year=year, month=month, day=None if day is None else int(day))
