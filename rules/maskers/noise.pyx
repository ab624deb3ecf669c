# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""`noise` for numbers of up to 18 digits, written without an exponent, a whole batch at once: see numeric.py.

Every step checks that its result fits; a number of which one does not is left to numeric.py, which has no such bound.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t

from wiremask.rules.maskers.decimals cimport (
    TEXT_LIMIT, add_fits, decimal_t, read_number, rescale, times_fits, wide_t, write_number
)
from wiremask.rules.maskers.prf cimport HmacKey, hmac_text, sha256_choose


cdef extern from "draw.h" nogil:
    ctypedef struct draw_t:
        pass

    void draw_start(draw_t* draw, const uint8_t* digest)
    uint64_t draw_divide(draw_t* draw, uint64_t by)


sha256_choose(False)

cdef enum:
    FINEST = 30              # a step of its own is at most so many digits finer than the noise


cdef uint64_t STEPS_LIMIT = <uint64_t>1 << 62


cdef enum fate_t:
    MOVED, REFUSED, LEFT


def move_numbers(subkey, texts, within, step, *, bint percent):
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
    cdef HmacKey key = HmacKey(subkey)
    cdef uint8_t digest[32]
    cdef uint8_t form[TEXT_LIMIT]
    cdef int length
    cdef decimal_t number = decimal_t(0, 0)
    cdef decimal_t bound, given, most, by
    cdef bint has_step = step is not None
    cdef fate_t fate
    cdef list masked = []
    cdef list left = []
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
                    hmac_text(&key.hmac, form, length, digest)
                    fate = move(&number, &most, &by, digest)
        if fate == LEFT:
            left.append(len(masked))
        masked.append(write_number(&number) if fate == MOVED else None)
    return masked, left


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
