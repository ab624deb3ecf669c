/* Exact checks of addresses: e-mail, IPv4, IPv6, MAC. As in find_numbers.h. */
#ifndef WIREMASK_FIND_NETWORK_H
#define WIREMASK_FIND_NETWORK_H

#include "find_text.h"

#define LOCAL_BYTES 64
#define DOMAIN_BYTES 255

/* The length of a character of punctuation beyond ASCII at `i`, which is no part of an address: no-break space, guillemets,
 * general punctuation, CJK and full-width punctuation; else 0. */
static size_t wide_punctuation(const subject_t *s, size_t i)
{
    const uint8_t *p = s->text + i;
    size_t left = s->length - i;
    if (left >= 2 && p[0] == 0xC2 && p[1] < 0xC0) return 2;
    if (left < 3) return 0;
    if (p[0] == 0xE2 && (p[1] == 0x80 || p[1] == 0x81)) return 3;
    if (p[0] == 0xE3 && p[1] == 0x80) return 3;
    return p[0] == 0xEF && p[1] == 0xBC && p[2] < 0x90 ? 3 : 0;
}

/* The beginning of what stands before the @: whole characters, LOCAL_BYTES at most. */
static size_t local_start(const subject_t *s, size_t at)
{
    size_t i = at, limit = at > LOCAL_BYTES ? at - LOCAL_BYTES : 0;
    while (i > limit) {
        size_t before = i - 1;
        if (has_class(s->text[before], CLASS_WIDE)) {
            while (before > 0 && (s->text[before] & 0xC0) == 0x80) before--;
            if (before < limit || wide_punctuation(s, before)) break;
        } else if (!has_class(s->text[before], CLASS_ALNUM | CLASS_ADDRESS)) {
            break;
        }
        i = before;
    }
    while (i < at && !has_class(s->text[i], CLASS_ALNUM | CLASS_WIDE) && s->text[i] != '_') i++;
    return i;
}

/* Whether [from, to) can be the last label of a domain: two letters or more, or of another script. */
static int is_top_label(const subject_t *s, size_t from, size_t to)
{
    if (to - from < 2) return 0;
    if (to - from > 4 && (text_at(s, from, "xn--", 4) || text_at(s, from, "XN--", 4))) return 1;
    for (size_t i = from; i < to; i++)
        if (!has_class(s->text[i], CLASS_LETTER | CLASS_WIDE)) return 0;
    return 1;
}

/* `at` is at the @. Source: RFC 5321 sections 4.1.2 and 4.5.3.1 (64 and 255 octets), RFC 6531 (beyond ASCII). */
static int check_email(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t end = 0, labels = 0, i = at + 1;
    if (!class_before(s, at, CLASS_ALNUM | CLASS_ADDRESS | CLASS_WIDE) || byte_before(s, at, '.')) return 0;
    while (i - at <= DOMAIN_BYTES) {
        size_t label = i;
        while (i < s->length && i - label < 63) {
            if (has_class(s->text[i], CLASS_WIDE)) {
                if (wide_punctuation(s, i)) break;
                do i++; while (i < s->length && (s->text[i] & 0xC0) == 0x80);
            } else if (has_class(s->text[i], CLASS_ALNUM) || s->text[i] == '-') {
                i++;
            } else {
                break;
            }
        }
        if (i == label) break;
        if (++labels >= 2 && is_top_label(s, label, i)) end = i;
        if (!byte_at(s, i, '.')) break;
        i++;
    }
    if (end == 0) return 0;
    size_t start = local_start(s, at);
    if (start == at) return 0;
    *from = start;
    *to = end;
    return 1;
}

/* Reads a number of 0 to 255 as an address has it; its end, or `i`. */
static size_t octet_end(const subject_t *s, size_t i)
{
    size_t end = run_end(s, i, CLASS_DIGIT, i + 4);
    if (end == i || end - i > 3 || digits_value(s, i, end - i) > 255) return i;
    return s->text[i] == '0' && end - i > 1 ? i : end;
}

/* Whether the word before `from`, over spaces and the like, is one that versions follow. */
static int is_version(subject_t *s, size_t from)
{
    size_t end = from, limit = from > 4 ? from - 4 : 0;
    if (is_named(s, ABOUT_VERSION)) return 1;
    while (end > limit && strchr(" :=/\"'#", s->text[end - 1]) && s->text[end - 1]) end--;
    size_t start = run_start(s, end, CLASS_LETTER, 16);
    return end > start && has_word(s->text, start, end, ABOUT_WORDS[ABOUT_VERSION]);
}

/* `at` is at the second point. Source: RFC 3986 section 3.2.2 (dotted decimal). */
static int check_ipv4(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t first = run_start(s, at, CLASS_DIGIT, 3);
    if (!byte_before(s, first, '.')) return 0;
    size_t start = run_start(s, first - 1, CLASS_DIGIT, 3), i = start;
    if (class_before(s, start, CLASS_ALNUM) || byte_before(s, start, '.') || byte_before(s, start, '_')) return 0;
    for (int part = 0; part < 4; part++) {
        if (part && !byte_at(s, i++, '.')) return 0;
        size_t end = octet_end(s, i);
        if (end == i) return 0;
        i = end;
    }
    if (class_at(s, i, CLASS_ALNUM) || joined_at(s, i, '.', CLASS_ALNUM) || joined_at(s, i, '-', CLASS_LETTER)) return 0;
    if (is_version(s, start)) return 0;
    *from = start;
    *to = i;
    return 1;
}

#define IPV6_BYTES 45

/* Whether [i, end) is an address. Source: RFC 4291 section 2.2. */
static int is_ipv6(const subject_t *s, size_t i, size_t end)
{
    int groups = 0, gap = 0, digits = 0;
    if (end - i < 3) return 0;
    if (s->text[i] == ':') {
        if (s->text[i + 1] != ':') return 0;
        gap = 1;
        i += 2;
    }
    while (i < end) {
        size_t stop = run_end(s, i, CLASS_HEX, i + 5 < end ? i + 5 : end);
        if (stop == i || stop - i > 4) return 0;
        if (stop < end && s->text[stop] == '.') {
            for (int part = 0; part < 4; part++) {
                if (part && (i >= end || s->text[i++] != '.')) return 0;
                stop = octet_end(s, i);
                if (stop == i || stop > end) return 0;
                i = stop;
            }
            if (i != end) return 0;
            groups += 2;
            digits = 1;
            break;
        }
        for (; i < stop; i++) digits |= has_class(s->text[i], CLASS_DIGIT);
        groups++;
        if (i == end) break;
        if (s->text[i++] != ':' || i == end) return 0;
        if (s->text[i] == ':') {
            if (gap++) return 0;
            i++;
        }
    }
    return digits && (gap ? groups < 8 : groups == 8);
}

/* `at` is at a colon that is not the first. */
static int check_ipv6(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at, end = at, low = at > IPV6_BYTES ? at - IPV6_BYTES : 0;
    while (start > low && (has_class(s->text[start - 1], CLASS_HEX) || s->text[start - 1] == ':')) start--;
    while (end < s->length && end - start <= IPV6_BYTES &&
           (has_class(s->text[end], CLASS_HEX) || s->text[end] == ':' || s->text[end] == '.'))
        end++;
    if (class_at(s, end, CLASS_ALNUM) || byte_at(s, end, '_')) return 0;
    while (end > at + 1 && s->text[end - 1] == '.') end--; /* of a sentence */
    if (end > at && s->text[end - 1] == ':' && !(end > 1 && s->text[end - 2] == ':')) end--;
    int joined = class_before(s, start, CLASS_ALNUM) || byte_before(s, start, '.') || byte_before(s, start, '_');
    if (joined || end - start > IPV6_BYTES || !is_ipv6(s, start, end)) {
        /* Perhaps a label stands before it, such as `id:`. */
        while (start < end && s->text[start] != ':') start++;
        if (++start >= end || end - start > IPV6_BYTES || !is_ipv6(s, start, end)) return 0;
    }
    *from = start;
    *to = end;
    return 1;
}

/* Six pairs with one sign between. `at` is at the fifth sign. */
static int check_mac(subject_t *s, size_t at, size_t *from, size_t *to)
{
    if (at < 14 || at + 3 > s->length) return 0;
    size_t start = at - 14, end = at + 3;
    uint8_t sign = s->text[at];
    for (size_t i = start; i < end; i++)
        if ((i - start) % 3 == 2 ? s->text[i] != sign : !has_class(s->text[i], CLASS_HEX)) return 0;
    if (class_before(s, start, CLASS_ALNUM) || class_at(s, end, CLASS_ALNUM)) return 0;
    if (joined_at(s, end, sign, CLASS_ALNUM)) return 0;
    /* One more pair before is no address; a label is, such as `id:`. */
    if (joined_before(s, start, sign, CLASS_HEX) && class_before(s, start - 2, CLASS_HEX) &&
        !class_before(s, start - 3, CLASS_ALNUM))
        return 0;
    *from = start;
    *to = end;
    return 1;
}

/* aabb.ccdd.eeff, as switches write them, with a letter at least. `at` is at the second point. */
static int check_dotted_mac(subject_t *s, size_t at, size_t *from, size_t *to)
{
    if (at < 9 || at + 5 > s->length) return 0;
    size_t start = at - 9, end = at + 5;
    int letters = 0;
    for (size_t i = start; i < end; i++) {
        if ((i - start) % 5 == 4 ? s->text[i] != '.' : !has_class(s->text[i], CLASS_HEX)) return 0;
        letters |= has_class(s->text[i], CLASS_HEX_LETTER);
    }
    if (!letters || class_before(s, start, CLASS_ALNUM) || class_at(s, end, CLASS_ALNUM)) return 0;
    if (joined_before(s, start, '.', CLASS_ALNUM) || joined_at(s, end, '.', CLASS_ALNUM)) return 0;
    *from = start;
    *to = end;
    return 1;
}

#endif
