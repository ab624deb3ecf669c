# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`noise` for numbers of up to 18 digits, written without an exponent, a whole batch at once: see numeric.py.

A decimal is a coefficient of 128 bits and a scale, the digits behind its point (below 0 for zeros before it). Every
step checks that its result fits; a number of which one does not is left to numeric.py, which has no such bound.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.unicode cimport PyUnicode_DATA, PyUnicode_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t


cdef extern from "../kernel/sha256.h" nogil:
    ctypedef struct hmac_t:
        pass

    int sha256_choose(int portable)
    void hmac_set_up(hmac_t* hmac, const uint8_t* key, size_t length)
    void hmac_text(const hmac_t* hmac, const uint8_t* text, size_t length, uint8_t* out)


cdef extern from "draw.h" nogil:
    ctypedef struct draw_t:
        pass

    void draw_start(draw_t* draw, const uint8_t* digest)
    uint64_t draw_divide(draw_t* draw, uint64_t by)


cdef extern from *:
    """
    typedef __int128 wide_t;
    static inline int add_fits(wide_t a, wide_t b, wide_t *to) { return !__builtin_add_overflow(a, b, to); }
    static inline int times_fits(wide_t a, wide_t b, wide_t *to) { return !__builtin_mul_overflow(a, b, to); }
    """
    ctypedef int64_t wide_t
    bint add_fits(wide_t a, wide_t b, wide_t* to) noexcept nogil
    bint times_fits(wide_t a, wide_t b, wide_t* to) noexcept nogil


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)

sha256_choose(False)

cdef enum:
    DIGITS = 18
    TEXT_LIMIT = 2 * DIGITS + 2
    WRITTEN_LIMIT = 128
    FINEST = 30              # a step of its own is at most so many digits finer than the noise


cdef uint64_t STEPS_LIMIT = <uint64_t>1 << 62


cdef struct decimal_t:
    wide_t coefficient
    int scale


cdef enum fate_t:
    MOVED, REFUSED, LEFT


def move_numbers(bytes subkey, texts, within, step, *, bint percent):
    """Moves each number by a multiple of the step, not 0, chosen evenly by HMAC-SHA-256 of the number in one form.

    Args:
        subkey: 32 bytes.
        texts: a sequence of str.
        within: coefficient and scale of the most that a number moves by, or of its percentage; below 10^18.
        step: the same of the step; None for one that fits the number and the noise.
        percent: `within` is a percentage.

    Returns:
        A list of texts, None for what cannot be moved, and a list of the places of those that are left to be moved.
    """
    cdef hmac_t hmac
    cdef uint8_t digest[32]
    cdef uint8_t form[TEXT_LIMIT]
    cdef int length
    cdef decimal_t number, most, by
    cdef decimal_t bound, given
    cdef bint has_step = step is not None
    cdef fate_t fate
    cdef list masked = []
    cdef list left = []
    if len(subkey) != 32:
        raise ValueError("the key has 32 bytes")
    hmac_set_up(&hmac, <const uint8_t*>PyBytes_AS_STRING(subkey), 32)
    bound.coefficient, bound.scale = <int64_t>within[0], within[1]
    given = bound
    if has_step:
        given.coefficient, given.scale = <int64_t>step[0], step[1]
    for text in texts:
        length = read_number(<str?>text, &number, form)
        fate = LEFT
        if length:
            most = bound
            if not percent or take_percent(&number, &most):
                by = given
                if has_step or choose_step(&number, &most, &by):
                    hmac_text(&hmac, form, length, digest)
                    fate = move(&number, &most, &by, digest)
        if fate == LEFT:
            left.append(len(masked))
        masked.append(write_number(&number) if fate == MOVED else None)
    return masked, left


cdef int read_number(str text, decimal_t* number, uint8_t* form):
    """Reads a JSON number without an exponent, and writes its one form; gives the length of that, 0 for anything else."""
    cdef const uint8_t* given
    cdef Py_ssize_t length = len(text), at = 0, point = -1
    cdef int digits = 0, written = 0
    cdef int64_t coefficient = 0
    number.coefficient, number.scale = 0, 0
    if not 0 < length < TEXT_LIMIT or not PyUnicode_IS_ASCII(text):
        return 0
    given = <const uint8_t*>PyUnicode_DATA(text)
    if given[0] == c"-":
        at = 1
    if length - at > 1 and given[at] == c"0" and given[at + 1] != c".":
        return 0
    while at < length:
        if given[at] == c"." and point < 0 and digits:
            point = at
        elif c"0" <= given[at] <= c"9" and digits < DIGITS:
            coefficient = 10 * coefficient + given[at] - c"0"
            digits += 1
        else:
            return 0
        at += 1
    if digits == 0 or point == length - 1:
        return 0
    number.scale = <int>(length - 1 - point) if point >= 0 else 0
    number.coefficient = -coefficient if given[0] == c"-" else coefficient
    if coefficient == 0:
        form[0] = c"0"
        return 1
    if point >= 0:
        while given[length - 1] == c"0":
            length -= 1
        if given[length - 1] == c".":
            length -= 1
    for written in range(<int>length):
        form[written] = given[written]
    return <int>length


cdef bint take_percent(const decimal_t* number, decimal_t* within) noexcept:
    """So many percent of the number. Both have at most 18 digits, so that the product fits."""
    cdef wide_t size = -number.coefficient if number.coefficient < 0 else number.coefficient
    within.scale += number.scale + 2
    return times_fits(within.coefficient, size, &within.coefficient)


cdef bint choose_step(const decimal_t* number, const decimal_t* within, decimal_t* step) noexcept:
    """One digit finer than the noise, or the number's last digit if that is finer; whole numbers stay whole."""
    cdef wide_t rest = number.coefficient
    cdef int last = -number.scale, leading, finest
    if rest == 0:
        last = 0
    while rest != 0 and rest % 10 == 0:
        rest //= 10
        last += 1
    rest = within.coefficient
    leading = -within.scale - 1
    while rest != 0:
        rest //= 10
        leading += 1
    finest = min(last, leading - 1)
    if last >= 0 and leading >= 0:
        finest = max(finest, 0)
    step.coefficient, step.scale = 1, -max(finest, leading - FINEST)
    return True


cdef fate_t move(decimal_t* number, decimal_t* within, decimal_t* step, const uint8_t* digest) noexcept:
    cdef draw_t draw
    cdef wide_t steps, place
    cdef decimal_t by
    if within.coefficient == 0:
        return REFUSED
    by = step[0]
    if not rescale(within, step.scale) or not rescale(step, within.scale):
        return LEFT
    steps = within.coefficient // step.coefficient
    if steps == 0:
        return REFUSED
    if steps >= <wide_t>STEPS_LIMIT:
        return LEFT
    draw_start(&draw, digest)
    place = draw_divide(&draw, 2 * <uint64_t>steps)
    by.coefficient = by.coefficient * (place - steps if place < steps else place - steps + 1)
    if not rescale(number, by.scale) or not rescale(&by, number.scale):
        return LEFT
    return MOVED if add_fits(number.coefficient, by.coefficient, &number.coefficient) else LEFT


cdef bint rescale(decimal_t* decimal, int scale) noexcept:
    """Gives it a scale of at least `scale`; whether that fits."""
    while decimal.scale < scale:
        if not times_fits(decimal.coefficient, 10, &decimal.coefficient):
            return False
        decimal.scale += 1
    return True


cdef str write_number(const decimal_t* number):
    """A number whose scale is 0 or more."""
    cdef char text[WRITTEN_LIMIT]
    cdef int at = WRITTEN_LIMIT, digits = 0
    cdef wide_t rest = -number.coefficient if number.coefficient < 0 else number.coefficient
    if number.scale > WRITTEN_LIMIT // 2:
        raise RuntimeError("more digits than a number of this size can have")
    while rest != 0 or digits <= number.scale:
        if digits == number.scale and digits:
            at -= 1
            text[at] = c"."
        at -= 1
        text[at] = c"0" + <int>(rest % 10)
        rest //= 10
        digits += 1
    if number.coefficient < 0:
        at -= 1
        text[at] = c"-"
    return PyUnicode_FromStringAndSize(text + at, WRITTEN_LIMIT - at)
