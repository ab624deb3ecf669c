# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Numbers of up to 18 digits brought to multiples, or to their place among bounds, a whole batch at once: see numeric.py.

Every step checks that its result fits; a number of which one does not is left to numeric.py, which has no such bound.
"""

from libc.stdint cimport int64_t, uint8_t

from wiremask.rules.maskers.decimals cimport (
    TEXT_LIMIT, add_fits, decimal_t, read_number, rescale, times_fits, wide_t, write_number
)


cdef enum:
    BOUNDS = 64
    UNKNOWN = 2


cdef enum direction_t:
    NEAREST, DOWN, UP


DIRECTIONS = {"nearest": NEAREST, "down": DOWN, "up": UP}


def round_numbers(texts, of, start, lowest, highest, int direction):
    """Brings each number to a multiple, counted from `start`.

    Args:
        texts: a sequence of str.
        of: coefficient and scale, below 10^18 and 18, of what there is a multiple of; more than 0. So are the others.
        start: 0 for none.
        lowest: what is below counts as this; None for no such bound.
        highest: what is above counts as this; None for no such bound.
        direction: one of DIRECTIONS; the nearest of two that are as near is the one further from 0.

    Returns:
        A list of texts, and a list of the places of those that are left to be masked.
    """
    cdef decimal_t step, origin, least, most, number
    cdef bint has_least = lowest is not None, has_most = highest is not None
    cdef uint8_t form[TEXT_LIMIT]
    cdef list masked = []
    cdef list left = []
    number.coefficient, number.scale = 0, 0
    step, origin = take(of), take(start)
    least, most = take(lowest or (0, 0)), take(highest or (0, 0))
    for text in texts:
        if (
            read_number(<str?>text, &number, form)
            and (not has_least or clamp(&number, &least, False))
            and (not has_most or clamp(&number, &most, True))
            and to_multiple(&number, &step, &origin, <direction_t>direction)
        ):
            masked.append(write_number(&number))
        else:
            left.append(len(masked))
            masked.append(None)
    return masked, left


def find_places(texts, bounds):
    """For each number how many of the bounds are not above it.

    Args:
        texts: a sequence of str.
        bounds: rising, each a coefficient and scale, below 10^18 and 18.

    Returns:
        A list of places, -1 for what is left to be found.
    """
    cdef decimal_t taken[BOUNDS]
    cdef decimal_t number
    cdef uint8_t form[TEXT_LIMIT]
    cdef int i, order, count = min(len(bounds), BOUNDS)
    cdef list places = []
    number.coefficient, number.scale = 0, 0
    if len(bounds) > BOUNDS:
        return [-1] * len(texts)
    for i in range(count):
        taken[i] = take(bounds[i])
    for text in texts:
        if not read_number(<str?>text, &number, form):
            places.append(-1)
            continue
        i = 0
        while i < count:
            order = compare(&number, &taken[i])
            if order == UNKNOWN or order < 0:
                break
            i += 1
        places.append(-1 if i < count and order == UNKNOWN else i)
    return places


cdef decimal_t take(pair):
    cdef decimal_t decimal
    decimal.coefficient, decimal.scale = <int64_t>pair[0], pair[1]
    return decimal


cdef int compare(const decimal_t* a, const decimal_t* b) noexcept:
    """-1, 0 or 1 as `a` is below, as much or above; UNKNOWN if the two do not fit one scale."""
    cdef decimal_t one = a[0], other = b[0]
    if not rescale(&one, other.scale) or not rescale(&other, one.scale):
        return UNKNOWN
    return (one.coefficient > other.coefficient) - (one.coefficient < other.coefficient)


cdef bint clamp(decimal_t* number, const decimal_t* bound, bint above) noexcept:
    """Brings a number that is below, or above, a bound to it; whether it could be compared."""
    cdef int order = compare(number, bound)
    if order == UNKNOWN:
        return False
    if order == (1 if above else -1):
        number[0] = bound[0]
    return True


cdef bint to_multiple(decimal_t* number, const decimal_t* step, const decimal_t* start, direction_t direction) noexcept:
    """The multiple, with as many digits behind the point as step or start have; whether all of it fits."""
    cdef decimal_t by = step[0], origin = start[0]
    cdef wide_t whole, rest, times
    if (
        not rescale(number, by.scale) or not rescale(number, origin.scale)
        or not rescale(&by, number.scale) or not rescale(&origin, number.scale)
        or not add_fits(number.coefficient, -origin.coefficient, &whole)
    ):
        return False
    times, rest = whole // by.coefficient, whole % by.coefficient  # towards 0, as C divides
    if direction == NEAREST:
        if rest < 0 and -rest >= by.coefficient + rest:
            times -= 1
        elif rest > 0 and rest >= by.coefficient - rest:
            times += 1
    elif direction == DOWN and rest < 0:
        times -= 1
    elif direction == UP and rest > 0:
        times += 1
    by, origin = step[0], start[0]
    if (
        not rescale(&by, 0) or not rescale(&by, origin.scale) or not rescale(&origin, by.scale)
        or not times_fits(times, by.coefficient, &number.coefficient)
    ):
        return False
    number.scale = by.scale
    return add_fits(number.coefficient, origin.coefficient, &number.coefficient)
