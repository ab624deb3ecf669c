/* Exact checks of numbers: payment cards, IBANs, US social security numbers and ZIP codes, phone numbers, dates of birth.
 *
 * Each takes the place where the scan saw a sign of one, and gives its span, or 0.
 */
#ifndef WIREMASK_FIND_NUMBERS_H
#define WIREMASK_FIND_NUMBERS_H

#include "find_text.h"

/* Whether `count` (13 to 19) digits are a card's: a brand's prefix, one of its lengths, and the check digit.
 * Source: ISO/IEC 7812-1 annex B (the check digit). */
static int is_card(const uint8_t *digits, size_t count)
{
    uint32_t prefix = 0, sum = 0;
    int known = 0;
    for (size_t i = 0; i < 6; i++) prefix = prefix * 10 + (uint32_t)(digits[i] - '0');
    for (size_t i = 0; i < COUNT(BRANDS) && !known; i++)
        known = BRANDS[i].low <= prefix && prefix <= BRANDS[i].high && BRANDS[i].lengths >> count & 1;
    if (!known) return 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t digit = (uint32_t)(digits[count - 1 - i] - '0');
        if (i & 1) digit = digit < 5 ? 2 * digit : 2 * digit - 9;
        sum += digit;
    }
    return sum % 10 == 0;
}

/* The digits of a number that is whole, whatever its form: 4111111111111111, 4111111111111111.0, 4.111111111111111e15.
 * Returns how many there are; 0 for no whole number, one with a sign, and one of more than 19 digits. */
static size_t whole_digits(const uint8_t *p, const uint8_t *end, uint8_t digits[20])
{
    size_t count = 0, point = 0, exponent = 0;
    int in_fraction = 0;
    for (; p < end && (*p | 0x20) != 'e'; p++) {
        if (*p == '-') return 0;
        if (*p == '.') {
            in_fraction = 1;
            continue;
        }
        if (count < 20) digits[count++] = *p;
        else if (!in_fraction || *p != '0') return 0;
        point += (size_t)!in_fraction;
    }
    if (p < end) {
        if (*++p == '-') return 0;
        if (*p == '+') p++;
        for (; p < end && exponent < 100; p++) exponent = exponent * 10 + (size_t)(*p - '0');
    }
    size_t whole = point + exponent;
    while (count > whole && digits[count - 1] == '0') count--;
    if (count > whole || whole > 19) return 0;
    while (count < whole) digits[count++] = '0';
    return count;
}

/* Whether a JSON number may have thirteen digits before its point: it is that long, or it has an exponent. */
static inline int is_long_number(const uint8_t *p, const uint8_t *end)
{
    if (end - p >= 13) return 1;
    if (end - p < 4) return 0;
    while (p < end && (*p | 0x20) != 'e') p++;
    return p < end;
}

/* Whether a JSON number is that of a card. */
static int is_card_number(const uint8_t *p, const uint8_t *end)
{
    uint8_t digits[20];
    if (!is_long_number(p, end)) return 0;
    size_t count = whole_digits(p, end, digits);
    return count >= 13 && is_card(digits, count);
}

/* Digits within a hexadecimal token, such as a digest, are no card: what stands beside them decides. */
static int in_hex_token(const subject_t *s, size_t from, size_t to)
{
    size_t start = run_start(s, from, CLASS_ALNUM, TOKEN_BYTES), end = run_end(s, to, CLASS_ALNUM, to + TOKEN_BYTES);
    if (start == from && end == to) return 0;
    return run_start(s, from, CLASS_HEX, TOKEN_BYTES) == start && run_end(s, to, CLASS_HEX, to + TOKEN_BYTES) == end;
}

/* A card without gaps. `at` is at the thirteenth digit of a run. */
static int check_card(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 12, end = run_end(s, at, CLASS_DIGIT, at + 8);
    if (end - start > 19 || class_before(s, start, CLASS_DIGIT)) return 0;
    if (joined_before(s, start, '.', CLASS_DIGIT) || joined_at(s, end, '.', CLASS_DIGIT)) return 0;
    if (!is_card(s->text + start, end - start) || in_hex_token(s, start, end)) return 0;
    *from = start;
    *to = end;
    return 1;
}

/* How cards are written with gaps; the longer ones first. */
static const uint8_t CARD_GROUPS[][5] = {
    {4, 4, 4, 4, 3}, {4, 4, 4, 4, 0}, {4, 6, 5, 0, 0}, {4, 6, 4, 0, 0}, {4, 4, 4, 1, 0}};

/* A card with gaps. `at` is at the fourth digit after the first gap. */
static int check_grouped_card(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 8;
    uint8_t gap = s->text[at - 4], digits[20];
    if (class_before(s, start, CLASS_DIGIT)) return 0;
    for (size_t form = 0; form < COUNT(CARD_GROUPS); form++) {
        size_t i = start, count = 0, group = 0;
        for (; group < 5 && CARD_GROUPS[form][group]; group++) {
            size_t end = i + (group > 0) + CARD_GROUPS[form][group];
            if (group > 0 && !byte_at(s, i++, gap)) break;
            if (run_end(s, i, CLASS_DIGIT, end) != end) break;
            while (i < end) digits[count++] = s->text[i++];
        }
        if (group < 5 && CARD_GROUPS[form][group]) continue;
        if (class_at(s, i, CLASS_DIGIT) || !is_card(digits, count) || in_hex_token(s, start, i)) continue;
        *from = start;
        *to = i;
        return 1;
    }
    return 0;
}

static int iban_length(uint8_t a, uint8_t b)
{
    size_t low = 0, high = COUNT(IBANS);
    uint32_t country = (uint32_t)(a & 0xDF) << 8 | (b & 0xDF);
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t other = (uint32_t)IBANS[middle].country[0] << 8 | (uint32_t)IBANS[middle].country[1];
        if (other == country) return IBANS[middle].length;
        if (other < country) low = middle + 1;
        else high = middle;
    }
    return 0;
}

/* An IBAN, in one piece or in groups of four. `at` is at its second check digit.
 * Source: ISO 13616-1 (structure), ISO/IEC 7064 MOD 97-10 (check digits). */
static int check_iban(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 3, i = start;
    uint8_t characters[36];
    if (class_before(s, start, CLASS_ALNUM)) return 0;
    int length = iban_length(s->text[start], s->text[start + 1]);
    if (!length) return 0;
    uint8_t gap = byte_at(s, start + 4, ' ') ? ' ' : byte_at(s, start + 4, '-') ? '-' : 0;
    for (int count = 0; count < length; count++, i++) {
        if (gap && count && count % 4 == 0 && !byte_at(s, i++, gap)) return 0;
        if (!class_at(s, i, CLASS_ALNUM)) return 0;
        characters[count] = s->text[i];
    }
    if (class_at(s, i, CLASS_ALNUM)) return 0;
    uint32_t rest = 0;
    for (int k = 0; k < length; k++) {
        uint8_t c = characters[(k + 4) % length];
        rest = has_class(c, CLASS_DIGIT) ? (rest * 10 + (uint32_t)(c - '0')) % 97
                                         : (rest * 100 + (uint32_t)((c & 0xDF) - 'A') + 10) % 97;
    }
    if (rest != 1) return 0;
    *from = start;
    *to = i;
    return 1;
}

/* Whether these nine digits are ever given out, and not known from advertisements.
 * Source: Social Security Administration, POMS RM 10201.035 (invalid numbers). */
static int is_ssn(uint32_t area, uint32_t group, uint32_t serial)
{
    uint32_t number = (area * 100 + group) * 10000 + serial;
    return area != 0 && area != 666 && area < 900 && group != 0 && serial != 0 && number != 78051120 &&
           number != 219099999 && number != 457555462;
}

/* 123-45-6789 or 123 45 6789. `at` is at the last digit. */
static int check_ssn(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 10;
    uint8_t gap = s->text[start + 3];
    if (s->text[start + 6] != gap || class_at(s, at + 1, CLASS_ALNUM) || class_before(s, start, CLASS_ALNUM)) return 0;
    if (joined_at(s, at + 1, gap, CLASS_DIGIT) || joined_before(s, start, gap, CLASS_DIGIT)) return 0;
    if (!is_ssn(digits_value(s, start, 3), digits_value(s, start + 4, 2), digits_value(s, start + 7, 4))) return 0;
    *from = start;
    *to = at + 1;
    return 1;
}

/* Nine digits in a row where the text says that they are one. `at` is at the last of them. */
static int check_bare_ssn(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 8;
    if (class_at(s, at + 1, CLASS_ALNUM) || class_before(s, start, CLASS_ALNUM)) return 0;
    if (!is_ssn(digits_value(s, start, 3), digits_value(s, start + 3, 2), digits_value(s, start + 5, 4))) return 0;
    if (!is_about(s, start, ABOUT_SSN)) return 0;
    *from = start;
    *to = at + 1;
    return 1;
}

/* Zones of country codes that are not assigned.
 * Source: ITU-T E.164, list of assigned codes. */
static int is_country_code(const uint8_t digits[2])
{
    int zone = (digits[0] - '0') * 10 + digits[1] - '0';
    return zone >= 10 && zone != 28 && zone != 83 && zone != 89;
}

/* Numbers that begin with a plus. `at` is at the first digit. Digits may stand apart by one of `- . /` or a space, and
 * in brackets. Too many digits end at the last gap that leaves a number.
 * Source: ITU-T E.164 (at most 15 digits), E.123 (how they are written). */
static int check_phone(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t count = 0, end = 0, i = at;
    uint8_t digits[16];
    if (class_before(s, at - 1, CLASS_ALNUM) || byte_before(s, at - 1, '+')) return 0;
    for (;;) {
        while (class_at(s, i, CLASS_DIGIT) && count < 16) digits[count++] = s->text[i++];
        if (count > 15) break;
        if (count >= 8 && (digits[0] != '1' || count == 11) && !class_at(s, i, CLASS_ALNUM)) end = i;
        if (digits[0] == '1' && count >= 11) break;
        size_t next = i;
        if (byte_at(s, next, ')')) next++;
        if (next < s->length && (s->text[next] == ' ' || s->text[next] == '-' || s->text[next] == '.' ||
                                 s->text[next] == '/'))
            next++;
        if (byte_at(s, next, '(')) next++;
        if (next == i || !class_at(s, next, CLASS_DIGIT)) break;
        i = next;
    }
    if (end == 0 || !is_country_code(digits)) return 0;
    if (digits[0] == '1' && (digits[1] < '2' || digits[4] < '2')) return 0;
    *from = at - 1;
    *to = end;
    return 1;
}

static int is_state(uint8_t a, uint8_t b)
{
    for (size_t i = 0; i + 1 < sizeof STATES - 1; i += 2)
        if ((uint8_t)STATES[i] == a && (uint8_t)STATES[i + 1] == b) return 1;
    return 0;
}

/* Whether a state's two capitals and a space stand before `at`. */
static int is_after_state(const subject_t *s, size_t at)
{
    return at >= 3 && s->text[at - 1] == ' ' && is_state(s->text[at - 3], s->text[at - 2]) &&
           !class_before(s, at - 3, CLASS_ALNUM);
}

/* 02139 or 02139-4307 where the text says that it is one. `at` is at the fifth digit. */
static int check_zip(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 4, end = at + 1;
    if (class_before(s, start, CLASS_ALNUM) || class_at(s, end, CLASS_ALNUM)) return 0;
    if (joined_before(s, start, '.', CLASS_DIGIT) || joined_at(s, end, '.', CLASS_DIGIT)) return 0;
    if (joined_at(s, end, '-', CLASS_DIGIT)) {
        end = run_end(s, end + 1, CLASS_DIGIT, end + 7);
        if (end - start != 10 || class_at(s, end, CLASS_ALNUM)) return 0;
    }
    uint32_t zip = digits_value(s, start, 5);
    if (zip < 501 || zip > 99950 || !(is_after_state(s, start) || is_about(s, start, ABOUT_ZIP))) return 0;
    *from = start;
    *to = end;
    return 1;
}

static int is_day(uint32_t year, uint32_t month, uint32_t day)
{
    return year >= 1850 && year < 2100 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* 1984-07-23, 7/23/1984, 23.07.84, ... where the text says that it is a birth. `at` is at the second `- . /`. */
static int check_birth_date(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t first = run_start(s, at, CLASS_DIGIT, 2), end = run_end(s, at + 1, CLASS_DIGIT, at + 6);
    if (!byte_before(s, first, s->text[at])) return 0;
    size_t start = run_start(s, first - 1, CLASS_DIGIT, 5);
    size_t a = first - 1 - start, b = at - first, c = end - at - 1;
    if (class_before(s, start, CLASS_ALNUM) || class_at(s, end, CLASS_DIGIT)) return 0;
    if (joined_before(s, start, s->text[at], CLASS_DIGIT) || joined_at(s, end, s->text[at], CLASS_DIGIT)) return 0;
    uint32_t x = digits_value(s, start, a), y = digits_value(s, first, b), z = digits_value(s, at + 1, c);
    if (a == 4 && (c == 1 || c == 2)) {
        if (!is_day(x, y, z)) return 0;
    } else if ((a == 1 || a == 2) && (c == 4 || c == 2)) {
        uint32_t year = c == 4 ? z : 1900 + z;
        if (!is_day(year, x, y) && !is_day(year, y, x)) return 0;
    } else {
        return 0;
    }
    if (!is_about(s, start, ABOUT_BIRTH)) return 0;
    *from = start;
    *to = end;
    return 1;
}

/* 19840723 likewise. `at` is at the eighth digit. */
static int check_bare_birth_date(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 7;
    if (class_before(s, start, CLASS_ALNUM) || class_at(s, at + 1, CLASS_ALNUM)) return 0;
    if (!is_day(digits_value(s, start, 4), digits_value(s, start + 4, 2), digits_value(s, start + 6, 2))) return 0;
    if (!is_about(s, start, ABOUT_BIRTH)) return 0;
    *from = start;
    *to = at + 1;
    return 1;
}

#endif
