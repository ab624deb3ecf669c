/* The compiled program: the automaton and its actions as flat tables, and the look-up of a name.
 *
 * jsonmask.pyx builds one from automaton.Automaton and owns its memory; a walk only reads it.
 */
#ifndef WIREMASK_JSON_PROGRAM_H
#define WIREMASK_JSON_PROGRAM_H

#include "../detect/find_list.h"
#include "json_found.h"
#include "json_text.h"
#include "sha256.h"

typedef enum {
    MASK_REDACT,
    MASK_FIXED,
    MASK_NULLIFY,
    MASK_DROP,
    MASK_PARTIAL,
    MASK_TRUNCATE,
    MASK_PATTERN,
    MASK_HASH,
    MASK_COLLECTED,
    MASK_SEARCH, /* what detectors find in a leaf, each by its own action */
    MASK_KEEP,  /* nothing is done, and no later choice counts */
    MASK_CHOICE, /* one of several actions, by what holds of the value */
    MASK_TEST    /* nothing is changed: a node is compared with some literals */
} mask_kind_t;

/* How a hash is written. */
typedef enum { HASH_HEX, HASH_BASE64URL, HASH_CROCKFORD } hash_form_t;

/* The kinds of literals that a test compares with, and how each is written in `text`: its kind, four bytes of length in
 * the machine's order, and the decoded string, or the number or word. */
enum { LITERAL_STRING = 1, LITERAL_NUMBER = 2, LITERAL_BOOLEAN = 4 };

/* A piece of program_t.pool. */
typedef struct {
    uint32_t at, length;
} piece_t;

typedef struct {
    mask_kind_t kind;
    uint8_t whole;             /* an object or array is taken as one */
    uint8_t takes_numbers;     /* partial and what follows: a number is taken, by its text */
    uint8_t redact_unmaskable; /* a leaf of another type is redacted; else the value is refused */
    int32_t rule;
    piece_t text;              /* redact: the string with its quotes; fixed: the literal; partial: one hidden character */
    piece_t number, boolean;   /* redact: the literals for these */
    uint32_t keep_first, keep_last; /* partial; truncate: keep_first is the length; test: keep_first, kinds of literals */
    uint8_t hides_ends;        /* partial: so many are hidden first and last, and what is between stays */
    uint32_t fixed_length;     /* partial: so many hidden characters, whatever the text has; 0 for as many as it has */
    uint64_t separators[2];    /* partial: the separators below U+0080, a bit each */
    piece_t wide_separators;   /* the others: four bytes each, in the machine's order */
    hmac_t hmac;               /* hash: the key */
    hash_form_t hash_form;
    uint32_t hash_length;      /* characters that are kept */
    uint32_t collected;        /* index of the collected mask */
    uint32_t search;           /* index of its search, or NO_SEARCH */
    int32_t when;              /* the condition that must hold; -1 for none */
    uint32_t choices, choices_count; /* choice: pieces of program_t.choices, in order of precedence */
} action_t;

#define NO_SEARCH UINT32_MAX

/* What some detectors find, and its action. */
typedef struct {
    uint32_t kinds; /* a bit for each built-in detector */
    uint32_t action;
    int32_t when;   /* the condition that must hold; -1 for none */
} found_t;

/* All that a leaf is searched for. */
typedef struct {
    uint32_t founds, founds_count; /* in program_t.founds, in order of precedence */
    uint32_t wanted;               /* all their kinds */
    uint32_t ranks[FIND_KINDS];    /* by kind, the position of the first that has it */
    uint8_t conditional;           /* some of them have conditions: `wanted` and `ranks` are not to be used */
    uint8_t patterns;              /* some of them have patterns, which are not run here */
} search_t;

typedef struct {
    uint32_t hash;
    uint32_t target;
    piece_t name;
} slot_t;

#define NO_NAME UINT32_MAX /* name.at of an empty slot */

typedef struct {
    int64_t index;
    uint32_t target;
} element_t;

/* One slice of RFC 9535 section 2.3.4; a bound that is not given is NO_BOUND. */
typedef struct {
    int64_t start, end, step;
    uint32_t group;
} slice_t;

#define NO_BOUND INT64_MIN

/* Elements that slices select: a row of states for each combination of groups, by the bits of the groups. */
typedef struct {
    uint32_t slices, slices_count;
    uint32_t rows, rows_count; /* elements with a row of their own; `target` is the row's place in program_t.targets */
    uint32_t row;              /* the place of the row of all others */
} picks_t;

/* Names that compare without regard to case, beside those that don't. No table is empty. */
typedef struct {
    uint32_t slots, slots_mask;
    uint32_t folded, folded_mask;
} cased_t;

/* What a character beyond ASCII folds to. */
typedef struct {
    uint32_t code, folded;
} fold_t;

typedef struct {
    uint64_t lengths;    /* bit min(length, 63) is set if a name of that length is in the table */
    uint32_t fallback;   /* state of every child that no table names */
    int32_t action;      /* -1 for none */
    uint32_t slots;      /* the first of its slots */
    uint32_t slots_mask; /* number of slots - 1; the number is a power of two, and one slot at least is empty */
    uint32_t elements;   /* the first of its elements */
    uint32_t elements_count;
} state_t;

/* Rare kinds of states are told by these, so that the others do not grow by a byte. */
#define CASED UINT32_MAX  /* as slots_mask: `slots` counts in program_t.cased, and all bits of `lengths` are set */
#define PICKED UINT32_MAX /* as elements_count: `elements` counts in program_t.picks */

typedef struct {
    state_t *states;
    slot_t *slots;
    element_t *elements;
    slice_t *slices;
    picks_t *picks;
    uint32_t *targets;
    cased_t *cased;
    fold_t *folds;       /* by code */
    action_t *actions;
    found_t *founds;
    search_t *searches;
    uint32_t *choices;   /* actions */
    uint8_t *pool;
    uint32_t folds_count;
    uint32_t start;
    uint32_t rules;
    uint32_t conditions; /* number of conditions that actions ask for */
    uint32_t depth_limit;
    uint32_t name_limit; /* length of the longest name that may match, before it is folded */
    uint32_t fold_limit; /* the same, folded */
    uint8_t counts;      /* some slice counts from the end: the length of each array is found out first */
    uint8_t redact_unreadable;
    piece_t marker;
    piece_t redacted, zero, no; /* for what is unmaskable: the string with its quotes, the number, the boolean */
} program_t;

/* The first `length` (below 8) bytes as a little-endian number. `end` bounds the read of 8 bytes at once. */
static inline uint64_t load_some(const uint8_t *p, size_t length, const uint8_t *end)
{
    uint64_t word = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (LIKELY(end - p >= 8)) {
        memcpy(&word, p, 8);
        return word & ((UINT64_C(1) << 8 * length) - 1);
    }
#endif
    for (size_t i = 0; i < length; i++) word |= (uint64_t)p[i] << 8 * i;
    return word;
}

/* A hash for tables of names that the rules' author chose: quick, and not meant to resist anyone. */
static inline uint32_t hash_name(const uint8_t *p, size_t length, const uint8_t *end)
{
    const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t hash = length * factor;
    while (length >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
        p += 8;
        length -= 8;
    }
    hash = (hash ^ load_some(p, length, end)) * factor;
    return (uint32_t)(hash >> 32);
}

/* The slot of a name, or NULL. */
static inline const slot_t *find_name(
    const program_t *program, uint32_t first, uint32_t mask, const uint8_t *name, size_t length, const uint8_t *end)
{
    uint32_t hash = hash_name(name, length, end);
    const slot_t *slots = program->slots + first;
    for (uint32_t i = hash & mask; slots[i].name.at != NO_NAME; i = (i + 1) & mask)
        if (slots[i].hash == hash && slots[i].name.length == length &&
            memcmp(program->pool + slots[i].name.at, name, length) == 0)
            return slots + i;
    return NULL;
}

static uint32_t fold_code(const program_t *program, uint32_t code)
{
    if (code < 0x80) return code - 'A' < 26 ? code | 0x20 : code;
    uint32_t low = 0, high = program->folds_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (program->folds[middle].code < code) low = middle + 1;
        else high = middle;
    }
    return low < program->folds_count && program->folds[low].code == code ? program->folds[low].folded : code;
}

/* Folds a sound name of UTF-8 into at most fold_limit bytes; returns their number, or SIZE_MAX if they do not fit. */
static size_t fold_name(const program_t *program, const uint8_t *name, size_t length, uint8_t *out)
{
    const uint8_t *end = name + length;
    uint8_t *to = out, wide[4];
    while (name < end) {
        uint32_t code = *name;
        const uint8_t *next = code < 0x80 ? name + 1 : read_wide(name, end, &code);
        name = next == NULL ? name + 1 : next;
        size_t size = (size_t)(write_utf8(wide, fold_code(program, code)) - wide);
        if (program->fold_limit - (size_t)(to - out) < size) return SIZE_MAX;
        memcpy(to, wide, size);
        to += size;
    }
    return (size_t)(to - out);
}

static const state_t *cased_state(
    const program_t *program, const state_t *state, const uint8_t *name, size_t length, const uint8_t *end,
    uint8_t *folded)
{
    const cased_t *cased = program->cased + state->slots;
    const slot_t *slot = find_name(program, cased->slots, cased->slots_mask, name, length, end);
    if (slot == NULL) {
        size_t size = fold_name(program, name, length, folded);
        if (size != SIZE_MAX)
            slot = find_name(program, cased->folded, cased->folded_mask, folded, size, folded + size);
    }
    return program->states + (slot == NULL ? state->fallback : slot->target);
}

/* The state of a member by its decoded name; `folded` has fold_limit bytes to work in. */
static inline const state_t *member_state(
    const program_t *program, const state_t *state, const uint8_t *name, size_t length, const uint8_t *end,
    uint8_t *folded)
{
    if (LIKELY(state->lengths >> (length < 63 ? length : 63) & 1)) {
        if (UNLIKELY(state->slots_mask == CASED)) return cased_state(program, state, name, length, end, folded);
        const slot_t *slot = find_name(program, state->slots, state->slots_mask, name, length, end);
        if (slot != NULL) return program->states + slot->target;
    }
    return program->states + state->fallback;
}

/* The element of a sorted table at a position, or NULL. */
static inline const element_t *find_element(const element_t *elements, uint32_t count, int64_t index)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (elements[middle].index < index) low = middle + 1;
        else high = middle;
    }
    return low < count && elements[low].index == index ? elements + low : NULL;
}

/* A bound within `lowest` and `highest`, counted from the end if it is negative. */
static inline int64_t clamp_bound(int64_t bound, int64_t length, int64_t lowest, int64_t highest)
{
    if (bound < 0) bound += length;
    return bound < lowest ? lowest : bound > highest ? highest : bound;
}

static int slice_selects(const slice_t *slice, int64_t index, int64_t length)
{
    if (slice->step > 0) {
        int64_t start = slice->start == NO_BOUND ? 0 : clamp_bound(slice->start, length, 0, length);
        int64_t end = slice->end == NO_BOUND ? length : clamp_bound(slice->end, length, 0, length);
        return index >= start && index < end && (index - start) % slice->step == 0;
    }
    int64_t start = slice->start == NO_BOUND ? length - 1 : clamp_bound(slice->start, length, -1, length - 1);
    int64_t end = slice->end == NO_BOUND ? -1 : clamp_bound(slice->end, length, -1, length - 1);
    return index <= start && index > end && (start - index) % -slice->step == 0;
}

static const state_t *picked_state(const program_t *program, const state_t *state, int64_t index, int64_t length)
{
    const picks_t *picks = program->picks + state->elements;
    uint32_t groups = 0;
    for (uint32_t i = 0; i < picks->slices_count; i++) {
        const slice_t *slice = program->slices + picks->slices + i;
        groups |= (uint32_t)slice_selects(slice, index, length) << slice->group;
    }
    const element_t *row = find_element(program->elements + picks->rows, picks->rows_count, index);
    return program->states + program->targets[(row == NULL ? picks->row : row->target) + groups];
}

/* The state of an element by its position; `length` is the array's, where program_t.counts asks for it. */
static inline const state_t *element_state(
    const program_t *program, const state_t *state, int64_t index, int64_t length)
{
    if (UNLIKELY(state->elements_count == PICKED)) return picked_state(program, state, index, length);
    const element_t *element = find_element(program->elements + state->elements, state->elements_count, index);
    return program->states + (element == NULL ? state->fallback : element->target);
}

#endif
