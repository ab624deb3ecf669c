"""A custom form in which texts have dates.

It has, as `strftime` knows them, %Y %m %b %B %d %H %M %S %f and %% (digits padded, English names), each once; all else
stands for itself. `%y` is not among them: nobody knows the century.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SHORT = tuple(name[:3] for name in MONTHS)

# By directive: the part that it is, and what it matches.
DIRECTIVES = {
    "Y": ("year", "[0-9]{4}"),
    "m": ("month", "[0-9]{2}"),
    "b": ("month", "|".join(_SHORT)),
    "B": ("month", "|".join(MONTHS)),
    "d": ("day", "[0-9]{2}"),
    "H": ("hour", "[01][0-9]|2[0-3]"),
    "M": ("minute", "[0-5][0-9]"),
    "S": ("second", "[0-5][0-9]|60"),
    "f": ("fraction", "[0-9]{1,9}"),
}
_MONTHS = {"m": tuple(f"{number:02}" for number in range(1, 13)), "b": _SHORT, "B": MONTHS}


class FormInvalid(ValueError):
    """A custom form that cannot be used; `offset` counts characters from 0."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A date in a text.

    Attributes:
        parts: what stands for each directive, in their order.
        date: the first of what the form does not have.
    """

    parts: tuple[str, ...]
    date: date


class DateForm:
    """Finds the date in a text that is one of a custom form, and writes others in that form.

    Attributes:
        has_day: it tells more than a month.
    """

    def __init__(self, form: str) -> None:
        """Takes the form.

        Raises:
            FormInvalid: it cannot be used.
        """
        literals, directives = split_form(form)
        expression = re.escape(literals[0])
        for directive, literal in zip(directives, literals[1:], strict=True):
            expression += f"({DIRECTIVES[directive][1]}){re.escape(literal)}"
        self._pattern = re.compile(expression, re.ASCII)
        self._literals = literals
        places = {DIRECTIVES[directive][0]: place for place, directive in enumerate(directives)}
        self._year, self._month, self._day = (places.pop(part, -1) for part in ("year", "month", "day"))
        self._months = _MONTHS[directives[self._month]] if self._month >= 0 else ()
        self._times = tuple(places.values())
        self.has_day = self._day >= 0

    def read(self, text: str) -> Written | None:
        """The date; None if the text has another form, or no calendar has the day."""
        match = self._pattern.fullmatch(text)
        if match is None:
            return None
        parts = match.groups()
        try:
            month = self._months.index(parts[self._month]) + 1 if self._months else 1
            day = int(parts[self._day]) if self.has_day else 1
            return Written(parts=parts, date=date(int(parts[self._year]), month, day))
        except ValueError:
            return None

    def write(self, written: Written, day: date, *, keeps_time: bool) -> str:
        """Another date where one stood; digits of its time become 0 unless they are kept."""
        parts = list(written.parts)
        parts[self._year] = f"{day.year:04}"
        if self._months:
            parts[self._month] = self._months[day.month - 1]
        if self.has_day:
            parts[self._day] = f"{day.day:02}"
        for place in () if keeps_time else self._times:
            parts[place] = "0" * len(parts[place])
        return self._literals[0] + "".join(
            part + literal for part, literal in zip(parts, self._literals[1:], strict=True)
        )


def split_form(form: str) -> tuple[list[str], list[str]]:
    """The texts of a form before, between and behind its directives, and these, each a letter.

    Raises:
        FormInvalid: a directive is unknown, stands twice, or lacks another.
    """
    literals, directives, seen, at = [""], [], set(), 0
    while at < len(form):
        if form[at] != "%":
            literals[-1] += form[at]
            at += 1
            continue
        directive = form[at + 1 : at + 2]
        if directive == "%":
            literals[-1] += "%"
        elif directive not in DIRECTIVES:
            known = ", ".join(f"%{word}" for word in DIRECTIVES)
            raise FormInvalid(at, f"unknown directive; write {known} or %%")
        else:
            part, _ = DIRECTIVES[directive]
            if part in seen:
                raise FormInvalid(at, f"the {part} stands in this form already; delete one of the two")
            seen.add(part)
            directives.append(directive)
            literals.append("")
        at += 2
    if "year" not in seen or ("day" in seen and "month" not in seen):
        raise FormInvalid(0, "a form has a year, and a month if it has a day: %Y-%m-%d")
    return literals, directives
