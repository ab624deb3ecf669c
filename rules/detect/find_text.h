/* What finders know of bytes: their classes, the neighbours of a span, and the words in front of it.
 *
 * A text is UTF-8. Finders look at ASCII; a byte of a longer character belongs to no class but WIDE. Each look around a
 * place is bounded, so that all of them together are linear in the text, whatever it holds.
 */
#ifndef WIREMASK_FIND_TEXT_H
#define WIREMASK_FIND_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "find_tables.h"

/* A text that is searched, and what it is called: the name of its member, as written; of length 0 for none.
 * What the name is about is looked up when it is first asked for. */
typedef struct {
    const uint8_t *text;
    size_t length;
    const uint8_t *name;
    size_t name_length;
    uint8_t asked[ABOUT_COUNT], named[ABOUT_COUNT];
} subject_t;

enum {
    CLASS_DIGIT = 1,
    CLASS_LOWER = 2,
    CLASS_UPPER = 4,
    CLASS_HEX_LETTER = 8,
    CLASS_ADDRESS = 16, /* what an e-mail address has before its @, beside letters and digits */
    CLASS_WIDE = 32,
    CLASS_LINK = 64, /* hyphen, underscore: tokens have them */
    CLASS_BASE64 = 128, /* plus, slash */
    CLASS_LETTER = CLASS_LOWER | CLASS_UPPER,
    CLASS_ALNUM = CLASS_LETTER | CLASS_DIGIT,
    CLASS_HEX = CLASS_DIGIT | CLASS_HEX_LETTER,
    CLASS_TOKEN = CLASS_ALNUM | CLASS_LINK,
};

static const uint8_t FIND_CLASSES[256] = {
    ['0' ... '9'] = CLASS_DIGIT,
    ['a' ... 'f'] = CLASS_LOWER | CLASS_HEX_LETTER,
    ['g' ... 'z'] = CLASS_LOWER,
    ['A' ... 'F'] = CLASS_UPPER | CLASS_HEX_LETTER,
    ['G' ... 'Z'] = CLASS_UPPER,
    ['-'] = CLASS_LINK | CLASS_ADDRESS,
    ['_'] = CLASS_LINK | CLASS_ADDRESS,
    ['+'] = CLASS_BASE64 | CLASS_ADDRESS,
    ['/'] = CLASS_BASE64,
    ['.'] = CLASS_ADDRESS,
    ['%'] = CLASS_ADDRESS,
    ['\''] = CLASS_ADDRESS,
    ['~'] = CLASS_ADDRESS,
    [0x80 ... 0xFF] = CLASS_WIDE,
};

#define CONTEXT_BYTES 32 /* so far before a span a word still speaks of it */
#define NAME_BYTES 128   /* so much of a name is read */
#define TOKEN_BYTES 64   /* so much of the token around a span is looked at */

static inline int has_class(uint8_t c, unsigned classes) { return (FIND_CLASSES[c] & classes) != 0; }

/* Whether a byte of these classes stands at `i`; no byte stands outside the text. */
static inline int class_at(const subject_t *s, size_t i, unsigned classes)
{
    return i < s->length && has_class(s->text[i], classes);
}

static inline int class_before(const subject_t *s, size_t i, unsigned classes)
{
    return i > 0 && has_class(s->text[i - 1], classes);
}

static inline int byte_at(const subject_t *s, size_t i, uint8_t c) { return i < s->length && s->text[i] == c; }

static inline int byte_before(const subject_t *s, size_t i, uint8_t c) { return i > 0 && s->text[i - 1] == c; }

/* Whether `c` and then a byte of these classes stand at `i`, as the point and the digit of a fraction do. */
static inline int joined_at(const subject_t *s, size_t i, uint8_t c, unsigned classes)
{
    return byte_at(s, i, c) && class_at(s, i + 1, classes);
}

static inline int joined_before(const subject_t *s, size_t i, uint8_t c, unsigned classes)
{
    return byte_before(s, i, c) && class_before(s, i - 1, classes);
}

/* The end of the run of these classes that begins at `i`, looked for up to `limit`. */
static inline size_t run_end(const subject_t *s, size_t i, unsigned classes, size_t limit)
{
    if (limit > s->length) limit = s->length;
    while (i < limit && has_class(s->text[i], classes)) i++;
    return i;
}

/* The beginning of the run of these classes that ends before `i`, at most `most` bytes before it. */
static inline size_t run_start(const subject_t *s, size_t i, unsigned classes, size_t most)
{
    size_t limit = i > most ? i - most : 0;
    while (i > limit && has_class(s->text[i - 1], classes)) i--;
    return i;
}

static inline int text_at(const subject_t *s, size_t i, const char *words, size_t length)
{
    return i <= s->length && s->length - i >= length && memcmp(s->text + i, words, length) == 0;
}

static inline uint8_t to_lower(uint8_t c) { return has_class(c, CLASS_UPPER) ? c | 0x20 : c; }

/* Whether [from, from + length) of a text is this word in lower case, whatever its case, and a word of its own: what
 * stands beside it is no letter, or the case changes there as in camelCase. */
static int is_word(const uint8_t *text, size_t end, size_t from, const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (to_lower(text[from + i]) != (uint8_t)word[i]) return 0;
    if (from > 0 && has_class(text[from - 1], CLASS_LETTER) &&
        !(has_class(text[from], CLASS_UPPER) && has_class(text[from - 1], CLASS_LOWER)))
        return 0;
    size_t after = from + length;
    return after == end || !has_class(text[after], CLASS_LETTER) ||
           (has_class(text[after], CLASS_UPPER) && has_class(text[after - 1], CLASS_LOWER));
}

static int has_word(const uint8_t *text, size_t begin, size_t end, const char *const *words)
{
    for (size_t i = begin; i < end; i++) {
        if (!has_class(text[i], CLASS_LETTER)) continue;
        uint8_t first = to_lower(text[i]);
        for (const char *const *word = words; *word != NULL; word++) {
            size_t length = strlen(*word);
            if ((uint8_t)**word == first && end - i >= length && is_word(text, end, i, *word, length)) return 1;
        }
    }
    return 0;
}

static int is_named(subject_t *s, about_t about)
{
    if (!s->asked[about]) {
        size_t length = s->name_length < NAME_BYTES ? s->name_length : NAME_BYTES;
        s->asked[about] = 1;
        s->named[about] = (uint8_t)has_word(s->name, 0, length, ABOUT_WORDS[about]);
    }
    return s->named[about];
}

/* Whether a word shortly before `from`, or the name, says that this is what it looks like. */
static int is_about(subject_t *s, size_t from, about_t about)
{
    size_t begin = from > CONTEXT_BYTES ? from - CONTEXT_BYTES : 0;
    return is_named(s, about) || has_word(s->text, begin, from, ABOUT_WORDS[about]);
}

/* The number that `count` digits from `i` on write. */
static inline uint32_t digits_value(const subject_t *s, size_t i, size_t count)
{
    uint32_t value = 0;
    for (size_t end = i + count; i < end; i++) value = value * 10 + (uint32_t)(s->text[i] - '0');
    return value;
}

#endif
