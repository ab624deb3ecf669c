# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Dates of ISO 8601 moved by days, or brought to the first of their period, for a whole batch: see dates.py.

    2024-05-17   20240517   2024-05-17T10:30:00.5+02:00   20240517T103000Z
    2024-05   2024   (these have a first only)

Source: the proleptic Gregorian calendar of ISO 8601, years 1 to 9999, as `datetime.date` has it; ISO 8601-1, 5.3 and 5.4.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_FromStringAndSize
from libc.string cimport memcpy

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)

cdef enum:
    YEAR = 4                 # characters
    MONTH = 7
    BASIC_DATE = 8
    DATE = 10
    FRACTION = 12
    TEXT_LIMIT = 64          # a date, a time of day and a zone take 42 at most
    DAYS_OF_YEAR = 365
    LAST_DAY = 3652059       # 9999-12-31, counted from 0001-01-01 as 1

cdef int[13] BEFORE_MONTH = [0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]


cdef struct written_t:
    char date[DATE + 1]      # in the usual form, the first of what is not there
    int month, day           # where they stand in the text; 0 for what is not there
    int time, end            # where the time of day begins and ends


def shift_dates(texts, days):
    """Moves dates that have a day.

    Args:
        texts: a sequence of str.
        days: for each text by how many days, or None for a text that is not taken.

    Returns:
        A list of texts, None for a text that is not taken.
    """
    cdef Py_ssize_t place
    cdef char text[TEXT_LIMIT]
    cdef written_t written
    cdef int number, length
    cdef list moved = []
    for place in range(len(texts)):
        item, by = texts[place], days[place]
        moved.append(None)
        if by is None:
            continue
        length = read_text(<str?>item, text)
        number = read_written(text, length, &written)
        if number == 0 or written.day == 0:
            continue
        number += <int>by
        if 1 <= number <= LAST_DAY:
            write_date(number, written.date)
            put_back(&written, text)
            moved[place] = PyUnicode_FromStringAndSize(text, length)
    return moved


def truncate_dates(texts, int months):
    """Brings dates to the first of a period, and their time to midnight.

    Args:
        texts: a sequence of str.
        months: that a period has: 12, 3, 1, or 0 for a day.

    Returns:
        A list of texts, None for a text that is not taken.
    """
    cdef char text[TEXT_LIMIT]
    cdef written_t written
    cdef int length, month, at
    cdef list masked = []
    for item in texts:
        length = read_text(<str?>item, text)
        if read_written(text, length, &written) == 0:
            masked.append(None)
            continue
        if months:
            month = 10 * (written.date[5] - c"0") + written.date[6] - c"0"
            month -= (month - 1) % months
            written.date[5], written.date[6] = c"0" + month // 10, c"0" + month % 10
            written.date[8], written.date[9] = c"0", c"1"
            put_back(&written, text)
        for at in range(written.time, written.end):
            if is_digit(text[at]):
                text[at] = c"0"
        masked.append(PyUnicode_FromStringAndSize(text, length))
    return masked


cdef int read_written(const char* text, int length, written_t* written) noexcept:
    """Finds the parts of a date; gives its day, counted from 0001-01-01 as 1, 0 for what is none."""
    cdef bint basic = length > MONTH and text[4] != c"-"
    cdef int date = BASIC_DATE if basic else DATE
    written.month = written.day = written.time = written.end = 0
    memcpy(written.date, b"0000-01-01", DATE)
    if length < YEAR or (length < date and length != YEAR and length != MONTH):
        return 0
    memcpy(written.date, text, YEAR)
    if length > YEAR:
        if not basic and text[4] != c"-":
            return 0
        written.month = 4 if basic else 5
        memcpy(written.date + 5, text + written.month, 2)
    if length >= date:
        if not basic and text[7] != c"-":
            return 0
        written.day = 6 if basic else 8
        memcpy(written.date + 8, text + written.day, 2)
    if length > date:
        written.time, written.end = date, time_end(text, date, length, basic)
        if written.end == 0:
            return 0
    return read_date(written.date)


cdef void put_back(const written_t* written, char* text) noexcept:
    """Writes the parts of a date where they stood."""
    memcpy(text, written.date, YEAR)
    if written.month:
        memcpy(text + written.month, written.date + 5, 2)
    if written.day:
        memcpy(text + written.day, written.date + 8, 2)


cdef int time_end(const char* text, int at, int length, bint basic) noexcept:
    """Where the time of day ends that stands at `at`; 0 if what stands there is none with what may follow it, an offset."""
    cdef int digits = 0, end
    if text[at] != c"T" and (basic or text[at] != c" "):
        return 0
    at += 1
    if not is_pair(text, at, length, 24):
        return 0
    at += 2
    if at < length and (is_digit(text[at]) if basic else text[at] == c":"):
        at += not basic
        if not is_pair(text, at, length, 59):
            return 0
        at += 2
        if at < length and (is_digit(text[at]) if basic else text[at] == c":"):
            at += not basic
            if not is_pair(text, at, length, 60):
                return 0
            at += 2
            if at < length and (text[at] == c"." or text[at] == c","):
                at += 1
                while at < length and is_digit(text[at]):
                    at += 1
                    digits += 1
                if not 1 <= digits <= FRACTION:
                    return 0
    end = at
    if at == length or (text[at] == c"Z" and at + 1 == length):
        return end
    if (text[at] != c"+" and text[at] != c"-") or not is_pair(text, at + 1, length, 23):
        return 0
    at += 3
    if at == length:
        return end
    at += text[at] == c":"
    return end if is_pair(text, at, length, 59) and at + 2 == length else 0


cdef bint is_digit(char c) noexcept:
    return c"0" <= c <= c"9"


cdef bint is_pair(const char* text, int at, int length, int most) noexcept:
    """Whether two digits stand at `at`, of a number up to `most`."""
    return (
        at + 2 <= length and is_digit(text[at]) and is_digit(text[at + 1])
        and 10 * (text[at] - c"0") + text[at + 1] - c"0" <= most
    )


cdef int read_text(str item, char* text):
    """Copies a text of ASCII that is as long as a year, or a little longer; gives its length, 0 for others."""
    cdef Py_ssize_t i, length = len(item)
    cdef const char* given
    if not YEAR <= length <= TEXT_LIMIT or not PyUnicode_IS_ASCII(item):
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
