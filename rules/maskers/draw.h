/* A digest as a number of 256 bits, from which small numbers are drawn.
 *
 * Digits in mixed bases come off its low end one after another: the rest by the first base, then that of the quotient
 * by the second, and so on. A division of all 256 bits serves as many bases as fit in 64 bits together.
 */
#ifndef WIREMASK_DRAW_H
#define WIREMASK_DRAW_H

#include <stdint.h>

typedef struct {
    uint64_t limbs[4]; /* the most significant first */
} draw_t;

static inline void draw_start(draw_t *draw, const uint8_t digest[32])
{
    for (int i = 0; i < 4; i++) {
        uint64_t limb = 0;
        for (int k = 0; k < 8; k++) limb = limb << 8 | digest[8 * i + k];
        draw->limbs[i] = limb;
    }
}

/* Divides by `by`, more than 0, in place; gives the rest. */
static inline uint64_t draw_divide(draw_t *draw, uint64_t by)
{
    uint64_t rest = 0;
    for (int i = 0; i < 4; i++) {
        unsigned __int128 part = (unsigned __int128)rest << 64 | draw->limbs[i];
        if (rest == 0 && draw->limbs[i] < by) {
            rest = draw->limbs[i];
            draw->limbs[i] = 0;
            continue;
        }
        draw->limbs[i] = (uint64_t)(part / by);
        rest = (uint64_t)(part % by);
    }
    return rest;
}

/* Draws `count` digits, digit i below bases[i]; bases are from 2 to 255. */
static inline void draw_digits(draw_t *draw, const uint8_t *bases, int count, uint8_t *digits)
{
    int from = 0;
    while (from < count) {
        uint64_t product = 1, rest;
        int to = from;
        while (to < count && product <= UINT64_MAX / 256) product *= bases[to++];
        rest = draw_divide(draw, product);
        for (; from < to; from++) {
            digits[from] = (uint8_t)(rest % bases[from]);
            rest /= bases[from];
        }
    }
}

#endif
