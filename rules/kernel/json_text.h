/* Reading JSON text strictly: strings, numbers, white space.
 *
 * Every function takes the end of the value and reads no byte at or after it. A reader returns the first byte
 * after what it read, or NULL with `fault` set. Strings are skipped 16 bytes at a time where SSE2 is at hand;
 * WIREMASK_SCALAR leaves that out.
 *
 * Source: RFC 8259 (grammar), RFC 7493 section 2.1 (no lone surrogates), Unicode 15 table 3-7 (UTF-8).
 */
#ifndef WIREMASK_JSON_TEXT_H
#define WIREMASK_JSON_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(WIREMASK_SCALAR)
#include <emmintrin.h>
#define WIREMASK_SSE2 1
#endif

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Why a value was refused. The order is that of FAULTS in jsonmask.pyx. */
typedef enum {
    FAULT_NONE,
    FAULT_EMPTY,
    FAULT_BYTE_ORDER_MARK,
    FAULT_UNEXPECTED_END,
    FAULT_UNEXPECTED_BYTE,
    FAULT_TRAILING_BYTES,
    FAULT_BAD_NUMBER,
    FAULT_BAD_ESCAPE,
    FAULT_LONE_SURROGATE,
    FAULT_CONTROL_CHARACTER,
    FAULT_BAD_UTF8,
    FAULT_TOO_DEEP,
    FAULT_NUMBER_FOR_TEXT,
    FAULT_BOOLEAN_FOR_TEXT,
    FAULT_NO_MEMORY,
    FAULT_TOO_LARGE
} fault_t;

/* How a string is written. Plain: each byte is a character. */
enum { TEXT_PLAIN = 0, TEXT_ESCAPED = 1, TEXT_WIDE = 2 };

static inline int is_space(uint8_t c)
{
    return c <= ' ' && ((UINT64_C(1) << c) & ((UINT64_C(1) << ' ') | (1u << '\n') | (1u << '\r') | (1u << '\t')));
}

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_space(*p)) p++;
    return p;
}

static inline int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

/* Reads -?int frac? exp?. What may follow is the caller's to check. */
static const uint8_t *read_number(const uint8_t *p, const uint8_t *end, fault_t *fault)
{
    if (*p == '-') p++;
    if (p == end) goto cut;
    if (*p == '0') p++;
    else if (is_digit(*p)) while (p < end && is_digit(*p)) p++;
    else goto bad;
    if (p < end && *p == '.') {
        if (++p == end) goto cut;
        if (!is_digit(*p)) goto bad;
        while (p < end && is_digit(*p)) p++;
    }
    if (p < end && (*p | 0x20) == 'e') {
        if (++p == end) goto cut;
        if (*p == '+' || *p == '-') p++;
        if (p == end) goto cut;
        if (!is_digit(*p)) goto bad;
        while (p < end && is_digit(*p)) p++;
    }
    return p;
cut:
    *fault = FAULT_UNEXPECTED_END;
    return NULL;
bad:
    *fault = FAULT_BAD_NUMBER;
    return NULL;
}

static inline int hex_value(uint8_t c)
{
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads the four digits of \uXXXX from p on; -1 when they are cut short or no digits. */
static inline int32_t read_hex4(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 4) return -1;
    int a = hex_value(p[0]), b = hex_value(p[1]), c = hex_value(p[2]), d = hex_value(p[3]);
    return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

static inline int is_high_surrogate(int32_t unit) { return (unit & 0xFC00) == 0xD800; }
static inline int is_low_surrogate(int32_t unit) { return (unit & 0xFC00) == 0xDC00; }

/* Reads one escape (a surrogate pair is one) from its backslash on, as a code point. */
static const uint8_t *read_escape(const uint8_t *p, const uint8_t *end, uint32_t *code, fault_t *fault)
{
    *fault = FAULT_UNEXPECTED_END;
    if (end - p < 2) return NULL;
    switch (p[1]) {
    case '"': case '\\': case '/': *code = p[1]; return p + 2;
    case 'b': *code = '\b'; return p + 2;
    case 'f': *code = '\f'; return p + 2;
    case 'n': *code = '\n'; return p + 2;
    case 'r': *code = '\r'; return p + 2;
    case 't': *code = '\t'; return p + 2;
    case 'u': break;
    default: *fault = FAULT_BAD_ESCAPE; return NULL;
    }
    int32_t unit = read_hex4(p + 2, end);
    if (unit < 0) {
        *fault = FAULT_BAD_ESCAPE;
        return NULL;
    }
    p += 6;
    if (LIKELY((unit & 0xF800) != 0xD800)) {
        *code = (uint32_t)unit;
        return p;
    }
    *fault = FAULT_LONE_SURROGATE;
    if (!is_high_surrogate(unit) || end - p < 6 || p[0] != '\\' || p[1] != 'u') return NULL;
    int32_t low = read_hex4(p + 2, end);
    if (low < 0 || !is_low_surrogate(low)) return NULL;
    *code = 0x10000 + ((uint32_t)(unit & 0x3FF) << 10 | (uint32_t)(low & 0x3FF));
    return p + 6;
}

/* Reads one character of two to four bytes: no overlong form, no surrogate, nothing above U+10FFFF. */
static inline const uint8_t *read_wide(const uint8_t *p, const uint8_t *end, uint32_t *code)
{
    uint8_t a = p[0];
    ptrdiff_t left = end - p;
    if (a < 0xE0) {
        if (a < 0xC2 || left < 2 || (p[1] & 0xC0) != 0x80) return NULL;
        *code = (uint32_t)(a & 0x1F) << 6 | (p[1] & 0x3F);
        return p + 2;
    }
    if (a < 0xF0) {
        if (left < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80) return NULL;
        *code = (uint32_t)(a & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
        return *code < 0x800 || (*code & 0xF800) == 0xD800 ? NULL : p + 3;
    }
    if (a > 0xF4 || left < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80) return NULL;
    *code = (uint32_t)(a & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    return *code < 0x10000 || *code > 0x10FFFF ? NULL : p + 4;
}

/* Reads one character of a string that read_string found sound, escaped or not. Text that changed since is read
 * within its bounds all the same. */
static inline const uint8_t *next_character(const uint8_t *p, const uint8_t *end, uint32_t *code)
{
    const uint8_t *next;
    fault_t fault;
    if (*p == '\\') next = read_escape(p, end, code, &fault);
    else if (*p >= 0x80) next = read_wide(p, end, code);
    else {
        *code = *p;
        return p + 1;
    }
    if (UNLIKELY(next == NULL)) {
        *code = '?';
        return p + 1;
    }
    return next;
}

/* Reads a string from after its opening quote on; returns its closing quote. */
static inline const uint8_t *read_string(const uint8_t *p, const uint8_t *end, unsigned *form, fault_t *fault)
{
    uint32_t code;
    *form = TEXT_PLAIN;
    for (;;) {
#ifdef WIREMASK_SSE2
        while (LIKELY(end - p >= 16)) {
            __m128i x = _mm_loadu_si128((const __m128i *)p);
            __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
            __m128i slash = _mm_cmpeq_epi8(x, _mm_set1_epi8('\\'));
            __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1F)), x);
            /* x itself: the top bit of each byte tells the wide characters. */
            int found = _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(quote, slash), _mm_or_si128(control, x)));
            if (found) {
                p += __builtin_ctz((unsigned)found);
                goto found;
            }
            p += 16;
        }
#endif
        while (p < end && *p != '"' && *p != '\\' && (uint8_t)(*p - 0x20) < 0x60) p++;
        if (p == end) {
            *fault = FAULT_UNEXPECTED_END;
            return NULL;
        }
#ifdef WIREMASK_SSE2
    found:
#endif
        if (LIKELY(*p == '"')) return p;
        if (*p == '\\') {
            *form |= TEXT_ESCAPED;
            p = read_escape(p, end, &code, fault);
            if (p == NULL) return NULL;
        } else if (*p < 0x20) {
            *fault = FAULT_CONTROL_CHARACTER;
            return NULL;
        } else {
            *form |= TEXT_WIDE;
            do {
                p = read_wide(p, end, &code);
                if (p == NULL) {
                    *fault = FAULT_BAD_UTF8;
                    return NULL;
                }
                if (p < end && *p == ' ') p++; /* between words of wide characters, 16 bytes at once do not pay */
            } while (p < end && *p >= 0x80);
        }
    }
}

/* Writes a code point as UTF-8; 1 to 4 bytes. */
static inline uint8_t *write_utf8(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (uint8_t)code;
    } else if (code < 0x800) {
        *out++ = (uint8_t)(0xC0 | code >> 6);
        *out++ = (uint8_t)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (uint8_t)(0xE0 | code >> 12);
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code & 0x3F));
    } else {
        *out++ = (uint8_t)(0xF0 | code >> 18);
        *out++ = (uint8_t)(0x80 | (code >> 12 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (code & 0x3F));
    }
    return out;
}

/* Decodes a sound string into at most `room` bytes of UTF-8; returns their number, or SIZE_MAX when they do not fit.
 * The decoded form is never longer than the written one. */
static size_t decode_string(const uint8_t *p, const uint8_t *end, uint8_t *out, size_t room)
{
    uint8_t *to = out, *full = out + room, wide[4];
    uint32_t code;
    while (p < end) {
        if (*p == '\\') {
            p = next_character(p, end, &code);
            size_t size = (size_t)(write_utf8(wide, code) - wide);
            if ((size_t)(full - to) < size) return SIZE_MAX;
            memcpy(to, wide, size);
            to += size;
        } else {
            if (to == full) return SIZE_MAX;
            *to++ = *p++;
        }
    }
    return (size_t)(to - out);
}

#endif
