/* What a walk writes: the arena of masked values, the inputs of keyed masks, and each mask of one leaf.
 *
 * A value is emitted by splicing. `copied` is the place in the original up to which the value has been dealt with;
 * nothing is copied before the first splice, so a value that no mask touches costs no write.
 */
#ifndef WIREMASK_JSON_EMIT_H
#define WIREMASK_JSON_EMIT_H

#include <stdlib.h>

#include "json_program.h"

/* Bytes that grow. `grow` makes room for at least `room` bytes, keeps those there, and sets data and room; it
 * returns 0, or -1 and leaves everything as it is. The memory is its maker's to free. */
typedef struct arena {
    uint8_t *data;
    size_t length, room, limit;
    size_t hint; /* room that will probably be needed */
    int (*grow)(struct arena *arena, size_t room);
    void *owner;
} arena_t;

/* One output of a keyed mask that is still to be filled in. */
typedef struct {
    uint32_t input, input_length; /* in walk_t.inputs */
    uint32_t output;              /* in walk_t.output; the length is the mask's */
    uint32_t keyed;
    uint32_t value;               /* index of the value */
} job_t;

typedef struct {
    uint32_t index;
    int32_t rule;
    fault_t fault;
} failure_t;

/* One container that is open. */
typedef struct {
    const state_t *state;
    int64_t index;  /* of the element at hand */
    uint8_t array;
    uint8_t taken;  /* what it holds is not copied */
    uint8_t headless; /* all items so far were dropped: the next one follows no comma */
} frame_t;

/* All that one batch needs while it is walked. Zeroed at start; only `output` outlives it. */
typedef struct {
    const program_t *program;
    arena_t output;
    arena_t inputs;
    arena_t jobs;      /* of job_t */
    arena_t failures;  /* of failure_t */
    frame_t *frames;   /* depth_limit + 1 */
    uint8_t *name;     /* name_limit bytes, for names with escapes */
    int64_t *masked;   /* for each rule */
    int64_t *pending;  /* the same, of the value at hand */
    uint32_t *touched; /* rules with something pending */
    uint32_t touched_count;
    const uint8_t *copied;
    uint8_t spliced;
    fault_t unmaskable; /* the first of the value at hand */
    int32_t unmaskable_rule;
    uint32_t value;
    int64_t changed;
    int64_t unreadable;
    int32_t marker;     /* where the marker stands in the output; -1 before it is needed */
} walk_t;

static int grow_by_realloc(arena_t *arena, size_t room)
{
    uint8_t *data = realloc(arena->data, room);
    if (data == NULL) return -1;
    arena->data = data;
    arena->room = room;
    return 0;
}

/* Makes room for `more` bytes after the length. */
static fault_t reserve_slow(arena_t *arena, size_t more)
{
    if (more > arena->limit || arena->length > arena->limit - more) return FAULT_TOO_LARGE;
    size_t need = arena->length + more;
    size_t room = arena->room < arena->limit / 2 ? arena->room * 2 : arena->limit;
    if (room < need) room = need;
    if (room < arena->hint) room = arena->hint;
    return arena->grow(arena, room) ? FAULT_NO_MEMORY : FAULT_NONE;
}

static inline fault_t reserve(arena_t *arena, size_t more)
{
    if (LIKELY(arena->room - arena->length >= more)) return FAULT_NONE;
    return reserve_slow(arena, more);
}

/* Copies what stands before `from`, leaves out [from, to), and makes room for `size` bytes in its place. */
static inline fault_t splice(walk_t *walk, const uint8_t *from, const uint8_t *to, size_t size)
{
    size_t before = (size_t)(from - walk->copied);
    fault_t fault = reserve(&walk->output, before + size);
    if (UNLIKELY(fault)) return fault;
    memcpy(walk->output.data + walk->output.length, walk->copied, before);
    walk->output.length += before;
    walk->copied = to;
    walk->spliced = 1;
    return FAULT_NONE;
}

static fault_t replace(walk_t *walk, const uint8_t *from, const uint8_t *to, const void *text, size_t size)
{
    fault_t fault = splice(walk, from, to, size);
    if (UNLIKELY(fault)) return fault;
    memcpy(walk->output.data + walk->output.length, text, size);
    walk->output.length += size;
    return FAULT_NONE;
}

static inline void count_masked(walk_t *walk, int32_t rule)
{
    if (walk->pending[rule]++ == 0) walk->touched[walk->touched_count++] = (uint32_t)rule;
}

static inline int is_separator(const program_t *program, const action_t *action, uint32_t code)
{
    if (LIKELY(code < 0x80)) return action->separators[code >> 6] >> (code & 63) & 1;
    const uint8_t *wide = program->pool + action->wide_separators.at;
    for (uint32_t i = 0; i < action->wide_separators.length; i += 4) {
        uint32_t other;
        memcpy(&other, wide + i, 4);
        if (other == code) return 1;
    }
    return 0;
}

/* The same for a byte below 0x80, the other way round. A byte that changed since it was checked harms nothing. */
static inline unsigned is_counted(const action_t *action, uint8_t c)
{
    return (unsigned)(~action->separators[c >> 6 & 1] >> (c & 63)) & 1;
}

/* Partial: [from, to) is the leaf, [text, stop) its characters. A kept character keeps its bytes, escaped or not. */
static fault_t mask_partial(
    walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to, const uint8_t *text,
    const uint8_t *stop, unsigned form)
{
    const program_t *program = walk->program;
    const uint8_t *hidden = program->pool + action->text.at;
    size_t hidden_size = action->text.length;
    uint64_t countable = 0;
    uint32_t code;
    if (form == TEXT_PLAIN)
        for (const uint8_t *p = text; p < stop; p++) countable += is_counted(action, *p);
    else
        for (const uint8_t *p = text; p < stop;) {
            p = next_character(p, stop, &code);
            countable += !is_separator(program, action, code);
        }
    uint64_t first = action->keep_first, last = action->keep_last;
    if (countable <= first + last) first = last = 0;
    last = countable - last; /* from here on characters are kept again */

    /* Each countable character becomes at most its own size or the hidden one's, and so at most their sum. */
    size_t most = (size_t)(stop - text);
    if (hidden_size > 1) most += (size_t)countable * hidden_size;
    fault_t fault = splice(walk, from, to, most + 2);
    if (UNLIKELY(fault)) return fault;
    uint8_t *out = walk->output.data + walk->output.length;
    *out++ = '"';
    uint64_t at = 0;
    if (form == TEXT_PLAIN && hidden_size == 1) {
        /* No branch depends on the text: what is kept and what is not would be guessed wrong all the time. */
        const uint8_t mark = *hidden;
        for (const uint8_t *p = text; p < stop; p++) {
            unsigned counts = is_counted(action, *p);
            uint8_t hide = (uint8_t)-(counts & (at - first < last - first));
            *out++ = (uint8_t)((mark & hide) | (*p & ~hide));
            at += counts;
        }
    } else {
        for (const uint8_t *p = text; p < stop;) {
            const uint8_t *next = next_character(p, stop, &code);
            int counts = !is_separator(program, action, code);
            const uint8_t *source = counts && at >= first && at < last ? hidden : p;
            size_t size = source == p ? (size_t)(next - p) : hidden_size;
            memcpy(out, source, size);
            out += size;
            at += (unsigned)counts;
            p = next;
        }
    }
    *out++ = '"';
    walk->output.length = (size_t)(out - walk->output.data);
    return FAULT_NONE;
}

/* Keyed: the decoded text goes to the inputs, and room for the output is left between quotes. */
static fault_t mask_keyed(
    walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to, const uint8_t *text,
    const uint8_t *stop, unsigned form)
{
    size_t length = (size_t)(stop - text);
    fault_t fault = reserve(&walk->inputs, length);
    if (!fault) fault = reserve(&walk->jobs, sizeof(job_t));
    if (!fault) fault = splice(walk, from, to, (size_t)action->keyed_length + 2);
    if (UNLIKELY(fault)) return fault;
    if (length) {
        uint8_t *input = walk->inputs.data + walk->inputs.length;
        if (form & TEXT_ESCAPED) length = decode_string(text, stop, input, length);
        else memcpy(input, text, length);
    }
    job_t job = {
        .input = (uint32_t)walk->inputs.length,
        .input_length = (uint32_t)length,
        .output = (uint32_t)walk->output.length + 1,
        .keyed = action->keyed,
        .value = walk->value,
    };
    memcpy(walk->jobs.data + walk->jobs.length, &job, sizeof job);
    walk->jobs.length += sizeof job;
    walk->inputs.length += length;
    uint8_t *out = walk->output.data + walk->output.length;
    memset(out, '"', (size_t)action->keyed_length + 2); /* the quotes; what is between is overwritten */
    walk->output.length += (size_t)action->keyed_length + 2;
    return FAULT_NONE;
}

typedef enum { LEAF_STRING, LEAF_NUMBER, LEAF_BOOLEAN } leaf_t;

static fault_t redact(
    walk_t *walk, leaf_t leaf, piece_t text, const uint8_t *from, const uint8_t *to)
{
    if (leaf == LEAF_NUMBER) return replace(walk, from, to, "0", 1);
    if (leaf == LEAF_BOOLEAN) return replace(walk, from, to, "false", 5);
    return replace(walk, from, to, walk->program->pool + text.at, text.length);
}

/* Masks one leaf [from, to), quotes included. null and dropped leaves never come here. */
static fault_t mask_leaf(
    walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form)
{
    const program_t *program = walk->program;
    fault_t fault;
    switch (action->kind) {
    case MASK_REDACT:
        fault = redact(walk, leaf, action->text, from, to);
        break;
    case MASK_FIXED:
        fault = replace(walk, from, to, program->pool + action->text.at, action->text.length);
        break;
    case MASK_NULLIFY:
        fault = replace(walk, from, to, "null", 4);
        break;
    default:
        if (leaf == LEAF_STRING || (leaf == LEAF_NUMBER && action->as_string)) {
            const uint8_t *text = leaf == LEAF_STRING ? from + 1 : from;
            const uint8_t *stop = leaf == LEAF_STRING ? to - 1 : to;
            if (action->kind == MASK_PARTIAL) fault = mask_partial(walk, action, from, to, text, stop, form);
            else fault = mask_keyed(walk, action, from, to, text, stop, form);
        } else if (action->redact_unmaskable) {
            fault = redact(walk, leaf, program->redacted, from, to);
        } else {
            /* The walk goes on: a value that is also unreadable must count as unreadable. */
            if (!walk->unmaskable) {
                walk->unmaskable = leaf == LEAF_NUMBER ? FAULT_NUMBER_FOR_TEXT : FAULT_BOOLEAN_FOR_TEXT;
                walk->unmaskable_rule = action->rule;
            }
            return FAULT_NONE;
        }
    }
    count_masked(walk, action->rule);
    return fault;
}

#endif
