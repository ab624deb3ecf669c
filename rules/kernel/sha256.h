/* SHA-256 of many short texts: one block at a time, with the instructions for it where the processor has them.
 *
 * `sha256_blocks` is chosen once, by sha256_choose(), before any other call; a build for another processor has the
 * portable form only. Lengths are size_t; nothing here allocates or fails.
 *
 * Source: FIPS 180-4 sections 4.2.2, 5.1.1, 5.3.3, 6.2.2; RFC 2104 (HMAC, and that states after the key may be kept).
 */
#ifndef WIREMASK_SHA256_H
#define WIREMASK_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../wipe.h"

#if (defined(__x86_64__) || defined(__i386__)) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#define WIREMASK_SHA_NI 1
#endif

#define SHA256_BLOCK 64
#define SHA256_SIZE 32

static const uint32_t SHA256_K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static const uint32_t SHA256_START[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static inline uint32_t sha256_turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void sha256_blocks_portable(uint32_t state[8], const uint8_t *p, size_t count)
{
    uint32_t w[64];
    for (; count; count--, p += SHA256_BLOCK) {
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            uint32_t x = w[i - 15], y = w[i - 2];
            w[i] = w[i - 16] + (sha256_turn(x, 7) ^ sha256_turn(x, 18) ^ x >> 3) + w[i - 7] +
                   (sha256_turn(y, 17) ^ sha256_turn(y, 19) ^ y >> 10);
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; i++) {
            uint32_t one = h + (sha256_turn(e, 6) ^ sha256_turn(e, 11) ^ sha256_turn(e, 25)) + ((e & f) ^ (~e & g)) +
                           SHA256_K[i] + w[i];
            uint32_t two = (sha256_turn(a, 2) ^ sha256_turn(a, 13) ^ sha256_turn(a, 22)) +
                           ((a & b) ^ (a & c) ^ (b & c));
            h = g; g = f; f = e; e = d + one; d = c; c = b; b = a; a = one + two;
        }
        state[0] += a; state[1] += b; state[2] += c; state[3] += d;
        state[4] += e; state[5] += f; state[6] += g; state[7] += h;
    }
}

#ifdef WIREMASK_SHA_NI
/* The instructions keep the state as (a b e f) and (c d g h). Four rounds a step; the schedule runs three steps ahead,
 * in four registers that take turns. */
__attribute__((target("sha,sse4.1,ssse3"))) static void sha256_blocks_native(
    uint32_t state[8], const uint8_t *p, size_t count)
{
    const __m128i order = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(low, high, 8);
    __m128i cdgh = _mm_blend_epi16(high, low, 0xF0);
    for (; count; count--, p += SHA256_BLOCK) {
        __m128i before_abef = abef, before_cdgh = cdgh, w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), order);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i now = w[i & 3];
            __m128i k = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(SHA256_K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0E));
            if (i < 12) {
                __m128i last = w[(i + 3) & 3];
                __m128i sum = _mm_add_epi32(
                    _mm_sha256msg1_epu32(now, w[(i + 1) & 3]), _mm_alignr_epi8(last, w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(sum, last);
            }
        }
        abef = _mm_add_epi32(abef, before_abef);
        cdgh = _mm_add_epi32(cdgh, before_cdgh);
    }
    low = _mm_shuffle_epi32(abef, 0x1B);
    high = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

static int sha256_has_native(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 9) || !(c & 1u << 19)) return 0; /* SSSE3, SSE4.1 */
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}
#endif

static void (*sha256_blocks)(uint32_t state[8], const uint8_t *p, size_t count) = sha256_blocks_portable;

/* Chooses for this processor; `portable` takes the portable form anyway. Returns whether the native one is used. */
static int sha256_choose(int portable)
{
    sha256_blocks = sha256_blocks_portable;
#ifdef WIREMASK_SHA_NI
    if (!portable && sha256_has_native()) {
        sha256_blocks = sha256_blocks_native;
        return 1;
    }
#endif
    return 0;
}

/* Adds the last bytes of a text to a state: `length` bytes, after `before` bytes that are multiples of a block. */
static void sha256_finish(uint32_t state[8], const uint8_t *p, size_t length, uint64_t before, uint8_t out[SHA256_SIZE])
{
    uint8_t tail[2 * SHA256_BLOCK];
    uint64_t bits = (before + length) * 8;
    size_t whole = length / SHA256_BLOCK, rest = length % SHA256_BLOCK;
    size_t size = rest + 9 <= SHA256_BLOCK ? SHA256_BLOCK : 2 * SHA256_BLOCK;
    if (whole) sha256_blocks(state, p, whole);
    if (rest) memcpy(tail, p + whole * SHA256_BLOCK, rest);
    tail[rest] = 0x80;
    memset(tail + rest + 1, 0, size - rest - 9);
    for (int i = 0; i < 8; i++) tail[size - 1 - i] = (uint8_t)(bits >> 8 * i);
    sha256_blocks(state, tail, size / SHA256_BLOCK);
    for (int i = 0; i < 8; i++) {
        out[4 * i] = (uint8_t)(state[i] >> 24);
        out[4 * i + 1] = (uint8_t)(state[i] >> 16);
        out[4 * i + 2] = (uint8_t)(state[i] >> 8);
        out[4 * i + 3] = (uint8_t)state[i];
    }
}

/* The two states of HMAC after the key's block. */
typedef struct {
    uint32_t inner[8], outer[8];
} hmac_t;

/* Sets up a key of at most one block. */
static void hmac_set_up(hmac_t *hmac, const uint8_t *key, size_t length)
{
    uint8_t block[SHA256_BLOCK];
    memset(block, 0x36, sizeof block);
    for (size_t i = 0; i < length && i < sizeof block; i++) block[i] ^= key[i];
    memcpy(hmac->inner, SHA256_START, sizeof SHA256_START);
    sha256_blocks(hmac->inner, block, 1);
    for (size_t i = 0; i < sizeof block; i++) block[i] ^= 0x36 ^ 0x5C;
    memcpy(hmac->outer, SHA256_START, sizeof SHA256_START);
    sha256_blocks(hmac->outer, block, 1);
    wipe(block, sizeof block);
}

/* The states are as good as the key. */
static inline void hmac_clear(hmac_t *hmac) { wipe(hmac, sizeof *hmac); }

static void hmac_text(const hmac_t *hmac, const uint8_t *text, size_t length, uint8_t out[SHA256_SIZE])
{
    uint32_t state[8];
    uint8_t inner[SHA256_SIZE];
    memcpy(state, hmac->inner, sizeof state);
    sha256_finish(state, text, length, SHA256_BLOCK, inner);
    memcpy(state, hmac->outer, sizeof state);
    sha256_finish(state, inner, sizeof inner, SHA256_BLOCK, out);
}

#endif
