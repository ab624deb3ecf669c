/* Exact checks of secrets: JSON web tokens, private keys in PEM, credentials of cloud services. As in find_numbers.h. */
#ifndef WIREMASK_FIND_SECRETS_H
#define WIREMASK_FIND_SECRETS_H

#include "find_text.h"

static inline int base64url_value(uint8_t c)
{
    if (has_class(c, CLASS_UPPER)) return c - 'A';
    if (has_class(c, CLASS_LOWER)) return c - 'a' + 26;
    return has_class(c, CLASS_DIGIT) ? c - '0' + 52 : c == '-' ? 62 : 63;
}

/* Whether the base64url of [from, to) holds the text "alg", quotes included. */
static int names_algorithm(const subject_t *s, size_t from, size_t to)
{
    const uint64_t word = UINT64_C(0x22616C6722); /* the five bytes of "alg" */
    uint64_t seen = 0;
    uint32_t bits = 0;
    unsigned held = 0;
    for (size_t i = from; i < to; i++) {
        bits = bits << 6 | (uint32_t)base64url_value(s->text[i]);
        held += 6;
        if (held < 8) continue;
        held -= 8;
        seen = (seen << 8 | (bits >> held & 0xFF)) & UINT64_C(0xFFFFFFFFFF);
        if (seen == word) return 1;
    }
    return 0;
}

/* A JSON object in base64url, with "alg" in it, and one to four parts behind it. `at` is at the J of eyJ, which is {".
 * Source: RFC 7515 section 7.1 (three parts), RFC 7516 section 7.1 (five). */
static int check_jwt(subject_t *s, size_t at, size_t *from, size_t *to)
{
    if (at < 2 || s->text[at - 1] != 'y' || s->text[at - 2] != 'e') return 0;
    size_t start = at - 2;
    if (class_before(s, start, CLASS_TOKEN)) return 0;
    size_t end = run_end(s, at, CLASS_TOKEN, s->length);
    if (!joined_at(s, end, '.', CLASS_TOKEN) || !names_algorithm(s, start, end)) return 0;
    for (int part = 0; part < 4 && byte_at(s, end, '.'); part++) end = run_end(s, end + 1, CLASS_TOKEN, s->length);
    if (s->text[end - 1] == '.') end--; /* of a sentence, or of a token without a signature */
    *from = start;
    *to = end;
    return 1;
}

static size_t find_text(const subject_t *s, size_t from, const char *words, size_t length)
{
    for (size_t i = from; s->length - i >= length && i < s->length;) {
        const uint8_t *next = memchr(s->text + i, words[0], s->length - i - length + 1);
        if (next == NULL) break;
        i = (size_t)(next - s->text);
        if (memcmp(next, words, length) == 0) return i;
        i++;
    }
    return s->length;
}

#define LABEL_BYTES 48

/* From BEGIN to END, or to the end of the text where END does not come. `at` is at the fifth hyphen.
 * Source: RFC 7468 section 2; RFC 9580 section 6.2 (PGP PRIVATE KEY BLOCK). */
static int check_private_key(subject_t *s, size_t at, size_t *from, size_t *to)
{
    static const char BEGIN[] = "BEGIN ", END[] = "-----END ", KEY[] = "PRIVATE KEY";
    if (!text_at(s, at + 1, BEGIN, sizeof BEGIN - 1)) return 0;
    size_t label = at + sizeof BEGIN, i = label;
    int is_key = 0;
    while (i < s->length && i - label < LABEL_BYTES && s->text[i] != '-') {
        is_key |= text_at(s, i, KEY, sizeof KEY - 1);
        i++;
    }
    if (!is_key || !text_at(s, i, "-----", 5)) return 0;
    size_t end = find_text(s, i + 5, END, sizeof END - 1);
    if (end < s->length) {
        end += sizeof END - 1;
        size_t limit = end + LABEL_BYTES;
        while (end < s->length && end < limit && s->text[end] != '-' && s->text[end] != '\n') end++;
        limit = end + 5;
        while (end < limit && byte_at(s, end, '-')) end++;
    }
    *from = at - 4;
    *to = end;
    return 1;
}

static int goes_on(goes_on_t how, uint8_t c)
{
    switch (how) {
    case GOES_ALNUM: return has_class(c, CLASS_ALNUM);
    case GOES_UPPER: return has_class(c, CLASS_UPPER | CLASS_DIGIT);
    case GOES_HEX: return has_class(c, CLASS_DIGIT) || (c >= 'a' && c <= 'f');
    case GOES_TOKEN: return has_class(c, CLASS_TOKEN);
    case GOES_DOTTED: return has_class(c, CLASS_TOKEN) || c == '.';
    default: return has_class(c, CLASS_ALNUM | CLASS_BASE64) || c == '=' || c == '-' || c == '_';
    }
}

/* The end of the credential that begins at `start`, or `start`. */
static size_t credential_end(const subject_t *s, size_t start)
{
    const credentials_t *const credentials = CREDENTIALS + s->text[start];
    for (size_t row = 0; row < credentials->count; row++) {
        const credential_t *known = credentials->rows + row;
        size_t length = strlen(known->prefix), i = start + length;
        if (!text_at(s, start, known->prefix, length)) continue;
        while (i < s->length && goes_on(known->goes_on, s->text[i])) i++;
        size_t more = i - start - length;
        if (more < known->least || (known->most && more > known->most)) continue;
        if (known->most && class_at(s, i, CLASS_ALNUM)) continue;
        return i;
    }
    return start;
}

#define HOOK_BYTES 64

/* Whether the path before `start` is that of a web hook, whose last part is its secret. */
static int is_hook(const subject_t *s, size_t start, size_t *from)
{
    static const char *const PATHS[] = {"hooks.slack.com/services/", "/api/webhooks/", "webhook.office.com/"};
    size_t low = start > HOOK_BYTES ? start - HOOK_BYTES : 0;
    if (!byte_before(s, start, '/')) return 0;
    for (size_t path = 0; path < COUNT(PATHS); path++) {
        size_t length = strlen(PATHS[path]);
        for (size_t i = low; i + length <= start; i++) {
            if (s->text[i] != (uint8_t)PATHS[path][0] || !text_at(s, i, PATHS[path], length)) continue;
            size_t rest = run_end(s, i + length, CLASS_TOKEN | CLASS_BASE64, start);
            if (rest != start) continue;
            *from = i + length;
            return 1;
        }
    }
    return 0;
}

/* A client secret of Microsoft Entra whose last run begins at `start`: three characters, a digit, Q~, and 31 to 34 more. */
static int is_entra_secret(const subject_t *s, size_t start, size_t *from, size_t *to)
{
    size_t end = start;
    if (!byte_before(s, start, '~') || !byte_before(s, start - 1, 'Q') || !class_before(s, start - 2, CLASS_DIGIT)) return 0;
    while (end < s->length && end - start < 35 && (goes_on(GOES_DOTTED, s->text[end]) || s->text[end] == '~')) end++;
    if (end - start < 31 || end - start > 34) return 0;
    *from = run_start(s, start - 3, CLASS_TOKEN, 3);
    *to = end;
    return 1;
}

/* A credential by how it begins. `at` is at the twentieth character of a run of letters, digits, hyphens, underscores;
 * it begins there, behind a hyphen or underscore of it, or before the point that the run follows. */
static int check_credential(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 19, end;
    if (byte_before(s, start, '.')) {
        size_t word = run_start(s, start - 1, CLASS_TOKEN, 8);
        end = credential_end(s, word);
        if (end > start) {
            *from = word;
            *to = end;
            return 1;
        }
    }
    if (is_entra_secret(s, start, from, to)) return 1;
    if (is_hook(s, start, from)) {
        *to = run_end(s, start, CLASS_TOKEN | CLASS_BASE64, s->length);
        return 1;
    }
    for (size_t i = start; i < s->length && has_class(s->text[i], CLASS_TOKEN); i++) {
        if (i > start && !has_class(s->text[i - 1], CLASS_LINK)) continue;
        end = credential_end(s, i);
        if (end > i) {
            *from = i;
            *to = end;
            return 1;
        }
    }
    return 0;
}

static int follows_ignoring_case(const subject_t *s, size_t at, const char *words)
{
    size_t length = strlen(words);
    if (at < length) return 0;
    for (size_t i = 0; i < length; i++)
        if (to_lower(s->text[at - length + i]) != (uint8_t)words[i]) return 0;
    return 1;
}

/* A secret of AWS (40 characters of base64 where the text speaks of a secret) or Azure (behind AccountKey= and the
 * like). `at` is at the fortieth character of a run of base64. */
static int check_secret(subject_t *s, size_t at, size_t *from, size_t *to)
{
    size_t start = at - 39, end = run_end(s, at + 1, CLASS_ALNUM | CLASS_BASE64, s->length);
    size_t padding = end;
    while (padding < end + 2 && byte_at(s, padding, '=')) padding++;
    int azure = follows_ignoring_case(s, start, "accountkey=") || follows_ignoring_case(s, start, "sharedaccesskey=");
    if (!azure && (end - start != 40 || padding != end || !is_about(s, start, ABOUT_SECRET))) return 0;
    *from = start;
    *to = padding;
    return 1;
}

#endif
