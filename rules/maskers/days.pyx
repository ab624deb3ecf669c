# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Dates of the form 2024-05-17 moved by days, alone or before a time of day, for a whole batch: see dates.py.

Source: the proleptic Gregorian calendar of ISO 8601, years 1 to 9999, as `datetime.date` has it.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_FromStringAndSize

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)

cdef enum:
    DATE = 10                # characters
    TEXT_LIMIT = 64          # a date, a time of day and a zone take 42 at most
    DAYS_OF_YEAR = 365
    LAST_DAY = 3652059       # 9999-12-31, counted from 0001-01-01 as 1

cdef int[13] BEFORE_MONTH = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]


def shift_dates(texts, days, is_clock):
    """Moves dates.

    Args:
        texts: a sequence of str.
        days: for each text by how many days, or None for a text that is not taken.
        is_clock: a call with a text and 10: whether what follows is a time of day; asked for longer texts only.

    Returns:
        A list of texts, None for a text that is not taken, and a list of the places of those of another form.
    """
    cdef Py_ssize_t place
    cdef char text[TEXT_LIMIT]
    cdef int number, length
    cdef list moved = []
    cdef list left = []
    for place in range(len(texts)):
        item, by = texts[place], days[place]
        moved.append(None)
        if by is None:
            continue
        length = read_text(<str?>item, text)
        number = read_date(text) if length else 0
        if number == 0 or length > DATE and not is_clock(item, DATE):
            left.append(place)
            continue
        number += <int>by
        if 1 <= number <= LAST_DAY:
            write_date(number, text)
            moved[place] = PyUnicode_FromStringAndSize(text, length)
    return moved, left


cdef int read_text(str item, char* text):
    """Copies a text of ASCII that is as long as a date, or a little longer; gives its length, 0 for others."""
    cdef Py_ssize_t i, length = len(item)
    cdef const char* given
    if not DATE <= length <= TEXT_LIMIT or not PyUnicode_IS_ASCII(item):
        return 0
    given = <const char*>PyUnicode_DATA(item)
    for i in range(length):
        text[i] = given[i]
    return <int>length


cdef int read_date(const char* text) noexcept:
    """The day of a date, counted from 0001-01-01 as 1; 0 for what is none."""
    cdef int i, year = 0, month = 0, day = 0
    for i in range(DATE):
        if i == 4 or i == 7:
            if text[i] != c"-":
                return 0
        elif not c"0" <= text[i] <= c"9":
            return 0
    for i in range(4):
        year = 10 * year + text[i] - c"0"
    month = 10 * (text[5] - c"0") + text[6] - c"0"
    day = 10 * (text[8] - c"0") + text[9] - c"0"
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= days_of(year, month):
        return 0
    return days_before(year) + BEFORE_MONTH[month] + (month > 2 and is_leap(year)) + day


cdef bint is_leap(int year) noexcept:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


cdef int days_of(int year, int month) noexcept:
    if month == 2:
        return 28 + is_leap(year)
    return 30 if month in (4, 6, 9, 11) else 31


cdef int days_before(int year) noexcept:
    year -= 1
    return DAYS_OF_YEAR * year + year // 4 - year // 100 + year // 400


cdef void write_date(int number, char* text) noexcept:
    cdef int year = (number - 1) // DAYS_OF_YEAR + 1, month = 12, i
    while days_before(year) >= number:
        year -= 1
    number -= days_before(year)
    while BEFORE_MONTH[month] + (month > 2 and is_leap(year)) >= number:
        month -= 1
    number -= BEFORE_MONTH[month] + (month > 2 and is_leap(year))
    for i in range(4):
        text[3 - i] = c"0" + year % 10
        year //= 10
    text[4] = text[7] = c"-"
    text[5], text[6] = c"0" + month // 10, c"0" + month % 10
    text[8], text[9] = c"0" + number // 10, c"0" + number % 10
