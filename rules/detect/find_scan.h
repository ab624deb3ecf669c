/* One pass over a text that tells where something may stand: 64 bytes at a time, a bit for each byte.
 *
 * A sign of a detector is a bit where a shape ends: two letters and two digits for an IBAN, thirteen digits in a row for
 * a card. Shapes look back only, into the 64 bytes before where they must, so that no sign depends on where blocks begin.
 * Exact checks follow for the few signs that there are. SSE2 where it is at hand; WIREMASK_SCALAR leaves that out.
 */
#ifndef WIREMASK_FIND_SCAN_H
#define WIREMASK_FIND_SCAN_H

#include "find_list.h"
#include "find_network.h"
#include "find_numbers.h"
#include "find_secrets.h"

#if defined(__SSE2__) && !defined(WIREMASK_SCALAR)
#include <emmintrin.h>
#define WIREMASK_SSE2 1
#endif

#define SECRET_BYTES 20 /* no token, key or credential is shorter */

/* Bits for 64 bytes: what stands there, and what has stood in a row up to there. */
typedef struct {
    uint64_t digit, letter, at, colon, hyphen, dot, space, plus, slash, underscore, capital_j;
    uint64_t alnum, gap, sign, digit2, digit3, digit4, digit5, digit8, digit9, digit13;
    uint64_t hyphen2, hyphen4, colons2, colons4, hyphens2, hyphens4;
    uint64_t token, token2, token4, token8, token16, token20, base, base2, base4, base8, base16, base32, base40;
} block_t;

#ifdef WIREMASK_SSE2
/* `readable` bounds the loads; what is read behind `length` bytes is left out. */
static inline void read_block(const uint8_t *p, size_t length, const uint8_t *readable, block_t *b)
{
    uint8_t padded[64];
    uint64_t digit = 0, letter = 0, at = 0, colon = 0, hyphen = 0, dot = 0, space = 0, plus = 0, slash = 0;
    uint64_t underscore = 0, capital_j = 0;
    const uint64_t kept = length < 64 ? (UINT64_C(1) << length) - 1 : ~UINT64_C(0);
    if ((size_t)(readable - p) < ((length + 15) & ~(size_t)15)) {
        memset(padded, 0, sizeof padded);
        memcpy(padded, p, length);
        p = padded;
    }
    for (size_t i = 0; i < length; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        const __m128i folded = _mm_sub_epi8(_mm_or_si128(x, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        const __m128i digits = _mm_sub_epi8(x, _mm_set1_epi8('0'));
#define LANE(mask) ((uint64_t)(unsigned)_mm_movemask_epi8(mask) << i)
#define SAME(c) LANE(_mm_cmpeq_epi8(x, _mm_set1_epi8(c)))
        letter |= LANE(_mm_cmpeq_epi8(_mm_min_epu8(folded, _mm_set1_epi8(25)), folded));
        digit |= LANE(_mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits));
        at |= SAME('@');
        colon |= SAME(':');
        hyphen |= SAME('-');
        dot |= SAME('.');
        space |= SAME(' ');
        plus |= SAME('+');
        slash |= SAME('/');
        underscore |= SAME('_');
        capital_j |= SAME('J');
#undef SAME
#undef LANE
    }
    b->digit = digit & kept;
    b->letter = letter & kept;
    b->at = at & kept;
    b->colon = colon & kept;
    b->hyphen = hyphen & kept;
    b->dot = dot & kept;
    b->space = space & kept;
    b->plus = plus & kept;
    b->slash = slash & kept;
    b->underscore = underscore & kept;
    b->capital_j = capital_j & kept;
}

/* Whether a text of less than 64 bytes has a digit or an @: without them nothing shorter than a secret can be found. */
static inline int has_digit_or_at(const uint8_t *p, size_t length, const uint8_t *readable)
{
    int found = 0;
    if (readable - p < 64) {
        for (size_t i = 0; i < length; i++) found |= has_class(p[i], CLASS_DIGIT) || p[i] == '@';
        return found;
    }
    for (size_t i = 0; i < length; i += 16) {
        const __m128i x = _mm_loadu_si128((const __m128i *)(p + i));
        const __m128i digits = _mm_sub_epi8(x, _mm_set1_epi8('0'));
        const __m128i any = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits),
                                         _mm_cmpeq_epi8(x, _mm_set1_epi8('@')));
        unsigned kept = length - i < 16 ? (1u << (length - i)) - 1 : 0xFFFF;
        found |= (unsigned)_mm_movemask_epi8(any) & kept ? 1 : 0;
    }
    return found;
}
#else
static inline void read_block(const uint8_t *p, size_t length, const uint8_t *readable, block_t *b)
{
    (void)readable;
    memset(b, 0, sizeof *b);
    for (size_t i = 0; i < length; i++) {
        const uint64_t bit = UINT64_C(1) << i;
        if (has_class(p[i], CLASS_LETTER)) b->letter |= bit;
        if (has_class(p[i], CLASS_DIGIT)) b->digit |= bit;
        switch (p[i]) {
        case '@': b->at |= bit; break;
        case ':': b->colon |= bit; break;
        case '-': b->hyphen |= bit; break;
        case '.': b->dot |= bit; break;
        case ' ': b->space |= bit; break;
        case '+': b->plus |= bit; break;
        case '/': b->slash |= bit; break;
        case '_': b->underscore |= bit; break;
        case 'J': b->capital_j |= bit; break;
        default: break;
        }
    }
}

static inline int has_digit_or_at(const uint8_t *p, size_t length, const uint8_t *readable)
{
    (void)readable;
    for (size_t i = 0; i < length; i++)
        if (has_class(p[i], CLASS_DIGIT) || p[i] == '@') return 1;
    return 0;
}
#endif

/* Bits of this block and the one before, `k` places later. */
#define BACK(name, k) (b->name << (k) | (before == NULL ? 0 : before->name >> (64 - (k))))
#define WANTS(kind) (wanted >> (kind) & 1)
/* The exact check at each sign. */
#define CHECK(kind, signs, check)                                       \
    for (uint64_t left = (signs); left; left &= left - 1) {             \
        size_t from, to, at = base + (size_t)__builtin_ctzll(left);     \
        if (!check(subject, at, &from, &to)) continue;                  \
        if (add_find(finds, from, to, kind)) return -1;                 \
        if ((kind) == FIND_PRIVATE_KEY) *key_end = to;                  \
    }

/* Adds the finds whose signs are in one block. `before` is the block before it, NULL for none: this is compiled twice.
 * `key_end` is the end of the last private key: what stands in it is not looked at again. */
static inline __attribute__((always_inline)) int find_in_block(
    uint32_t wanted, subject_t *subject, size_t base, block_t *b, const block_t *before, size_t *key_end, finds_t *finds)
{
    b->alnum = b->digit | b->letter;
    b->digit2 = b->digit & BACK(digit, 1);
    b->digit4 = b->digit2 & BACK(digit2, 2);
    b->gap = b->space | b->hyphen;
    b->sign = b->hyphen | b->slash | b->dot;
    b->digit3 = b->digit2 & BACK(digit, 2);
    b->digit5 = b->digit4 & BACK(digit, 4);
    b->digit8 = b->digit4 & BACK(digit4, 4);
    b->digit9 = b->digit8 & BACK(digit, 8);
    b->digit13 = b->digit9 & BACK(digit4, 9);
    if (b->digit) {
        if (WANTS(FIND_CARD)) {
            CHECK(FIND_CARD, b->digit13 & ~BACK(digit13, 1), check_card)
            CHECK(FIND_CARD, b->digit4 & BACK(gap, 4) & BACK(digit4, 5), check_grouped_card)
        }
        if (WANTS(FIND_IBAN))
            CHECK(FIND_IBAN, b->digit2 & BACK(letter, 2) & BACK(letter, 3) & ~BACK(alnum, 4), check_iban)
        if (WANTS(FIND_SSN)) {
            CHECK(FIND_SSN, b->digit4 & BACK(gap, 4) & BACK(digit2, 5) & BACK(gap, 7) & BACK(digit3, 8), check_ssn)
            CHECK(FIND_SSN, b->digit9 & ~BACK(digit9, 1), check_bare_ssn)
        }
        if (WANTS(FIND_PHONE)) CHECK(FIND_PHONE, b->digit & BACK(plus, 1), check_phone)
        if (WANTS(FIND_ZIP)) CHECK(FIND_ZIP, b->digit5 & ~BACK(digit5, 1), check_zip)
        if (WANTS(FIND_BIRTH_DATE)) CHECK(FIND_BIRTH_DATE, b->digit8 & ~BACK(digit8, 1), check_bare_birth_date)
    }
    if (b->dot) {
        if (WANTS(FIND_IPV4)) {
            const uint64_t octets = BACK(dot, 2) | (BACK(dot, 3) & BACK(digit, 2)) | (BACK(dot, 4) & BACK(digit2, 2));
            CHECK(FIND_IPV4, b->dot & BACK(digit, 1) & octets, check_ipv4)
        }
        if (WANTS(FIND_MAC)) CHECK(FIND_MAC, b->dot & BACK(dot, 5), check_dotted_mac)
    }
    if (WANTS(FIND_BIRTH_DATE)) {
        const uint64_t near = BACK(sign, 2) & BACK(digit, 3), far = BACK(sign, 3) & BACK(digit, 2) & BACK(digit, 4);
        CHECK(FIND_BIRTH_DATE, b->sign & BACK(digit, 1) & (near | far), check_birth_date)
    }
    if (WANTS(FIND_EMAIL)) CHECK(FIND_EMAIL, b->at, check_email)
    if (WANTS(FIND_IPV6)) {
        const uint64_t others = BACK(colon, 1) | BACK(colon, 2) | BACK(colon, 3) | BACK(colon, 4) | BACK(colon, 5);
        CHECK(FIND_IPV6, b->colon & others, check_ipv6)
    }
    if (WANTS(FIND_MAC)) {
        b->colons2 = b->colon & BACK(colon, 3);
        b->colons4 = b->colons2 & BACK(colons2, 6);
        b->hyphens2 = b->hyphen & BACK(hyphen, 3);
        b->hyphens4 = b->hyphens2 & BACK(hyphens2, 6);
        CHECK(FIND_MAC, (b->colons4 & BACK(colon, 12)) | (b->hyphens4 & BACK(hyphen, 12)), check_mac)
    }
    if (subject->length < SECRET_BYTES) return 0;
    if (WANTS(FIND_JWT)) CHECK(FIND_JWT, b->capital_j, check_jwt)
    if (WANTS(FIND_PRIVATE_KEY)) {
        b->hyphen2 = b->hyphen & BACK(hyphen, 1);
        b->hyphen4 = b->hyphen2 & BACK(hyphen2, 2);
        const uint64_t all = ~UINT64_C(0);
        const uint64_t rest = *key_end <= base ? all : *key_end - base < 64 ? all << (*key_end - base) : 0;
        CHECK(FIND_PRIVATE_KEY, b->hyphen4 & BACK(hyphen, 4) & rest, check_private_key)
    }
    if (WANTS(FIND_CREDENTIAL)) {
        b->token = b->alnum | b->hyphen | b->underscore;
        b->token2 = b->token & BACK(token, 1);
        b->token4 = b->token2 & BACK(token2, 2);
        b->token8 = b->token4 & BACK(token4, 4);
        b->token16 = b->token8 & BACK(token8, 8);
        b->token20 = b->token16 & BACK(token4, 16);
        CHECK(FIND_CREDENTIAL, b->token20 & ~BACK(token20, 1), check_credential)
        b->base = b->alnum | b->plus | b->slash;
        b->base2 = b->base & BACK(base, 1);
        b->base4 = b->base2 & BACK(base2, 2);
        b->base8 = b->base4 & BACK(base4, 4);
        b->base16 = b->base8 & BACK(base8, 8);
        b->base32 = b->base16 & BACK(base16, 16);
        b->base40 = b->base32 & BACK(base8, 32);
        CHECK(FIND_CREDENTIAL, b->base40 & ~BACK(base40, 1), check_secret)
    }
    return 0;
}

#undef CHECK
#undef WANTS
#undef BACK

/* Whether nothing can be found in a text, told at a glance: most strings are short, and have no digit and no @. */
static inline int is_barren(const uint8_t *text, size_t length, const uint8_t *readable)
{
    return length < 3 || (length < SECRET_BYTES && !has_digit_or_at(text, length, readable));
}

/* Adds what detectors of the set `wanted` find. `readable`: bytes before it may be read, also behind the text. A value
 * may be found twice. Returns -1 if there is no memory. */
static int find_all(uint32_t wanted, subject_t *subject, const uint8_t *readable, finds_t *finds)
{
    const size_t length = subject->length;
    const uint8_t *const text = subject->text;
    block_t blocks[2];
    size_t key_end = 0;
    if (is_barren(text, length, readable)) return 0;
    read_block(text, length < 64 ? length : 64, readable, blocks);
    if (find_in_block(wanted, subject, 0, blocks, NULL, &key_end, finds)) return -1;
    for (size_t base = 64; base < length; base += 64) {
        block_t *const b = blocks + (base >> 6 & 1), *const before = blocks + (~base >> 6 & 1);
        read_block(text + base, length - base < 64 ? length - base : 64, readable, b);
        if (find_in_block(wanted, subject, base, b, before, &key_end, finds)) return -1;
    }
    return 0;
}

#endif
