/* The compiled program: the automaton and its actions as flat tables, and the look-up of a name.
 *
 * jsonmask.pyx builds one from automaton.Automaton and owns its memory; a walk only reads it.
 */
#ifndef WIREMASK_JSON_PROGRAM_H
#define WIREMASK_JSON_PROGRAM_H

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
    MASK_COLLECTED
} mask_kind_t;

/* How a hash is written. */
typedef enum { HASH_HEX, HASH_BASE64URL, HASH_CROCKFORD } hash_form_t;

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
    uint32_t keep_first, keep_last; /* partial; truncate: keep_first is the length */
    uint32_t fixed_length;     /* partial: so many hidden characters, whatever the text has; 0 for as many as it has */
    uint64_t separators[2];    /* partial: the separators below U+0080, a bit each */
    piece_t wide_separators;   /* the others: four bytes each, in the machine's order */
    hmac_t hmac;               /* hash: the key */
    hash_form_t hash_form;
    uint32_t hash_length;      /* characters that are kept */
    uint32_t collected;        /* index of the collected mask */
} action_t;

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

typedef struct {
    uint64_t lengths;    /* bit min(length, 63) is set if a name of that length is in the table */
    uint32_t fallback;   /* state of every child that no table names */
    int32_t action;      /* -1 for none */
    uint32_t slots;      /* the first of its slots */
    uint32_t slots_mask; /* number of slots - 1; the number is a power of two, and one slot at least is empty */
    uint32_t elements;   /* the first of its elements */
    uint32_t elements_count;
} state_t;

typedef struct {
    state_t *states;
    slot_t *slots;
    element_t *elements;
    action_t *actions;
    uint8_t *pool;
    uint32_t start;
    uint32_t rules;
    uint32_t depth_limit;
    uint32_t name_limit; /* length of the longest name */
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

/* The state of a member by its decoded name. */
static inline const state_t *member_state(
    const program_t *program, const state_t *state, const uint8_t *name, size_t length, const uint8_t *end)
{
    if (LIKELY(state->lengths >> (length < 63 ? length : 63) & 1)) {
        uint32_t hash = hash_name(name, length, end);
        const slot_t *slots = program->slots + state->slots;
        for (uint32_t i = hash & state->slots_mask; slots[i].name.at != NO_NAME; i = (i + 1) & state->slots_mask)
            if (slots[i].hash == hash && slots[i].name.length == length &&
                memcmp(program->pool + slots[i].name.at, name, length) == 0)
                return program->states + slots[i].target;
    }
    return program->states + state->fallback;
}

/* The state of an element by its position. */
static inline const state_t *element_state(const program_t *program, const state_t *state, int64_t index)
{
    const element_t *elements = program->elements + state->elements;
    uint32_t low = 0, high = state->elements_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (elements[middle].index < index) low = middle + 1;
        else high = middle;
    }
    if (low < state->elements_count && elements[low].index == index) return program->states + elements[low].target;
    return program->states + state->fallback;
}

#endif
