/* What a walk writes: the arena of masked values, the inputs of collected masks, and each mask of one leaf.
 *
 * A value is emitted by splicing. `copied` is the place in the original up to which the value has been dealt with;
 * nothing is copied before the first splice, so a value that no mask touches costs no write.
 */
#ifndef WIREMASK_JSON_EMIT_H
#define WIREMASK_JSON_EMIT_H

#include <Python.h> /* for what Unicode says of a character; no call here needs the interpreter's lock */
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

typedef enum { LEAF_STRING, LEAF_NUMBER, LEAF_BOOLEAN, LEAF_SPAN /* a part of a string */, NO_LEAF } leaf_t;

/* One leaf of a collected mask: its output is still to come, and stands nowhere in the output yet. */
typedef struct {
    uint32_t input, input_length; /* in walk_t.inputs */
    uint32_t source, source_length; /* the leaf as it is written, in the value */
    uint32_t output;              /* where it belongs in walk_t.output */
    uint32_t action;
    uint32_t value;               /* index of the value */
    leaf_t leaf;
    uint32_t name_length;         /* the name of the member, as written, stands before the input if it will be searched */
    uint32_t acting;              /* a bit for each find of its search that acts on the value */
} job_t;

/* Leaves that a rule masked in a value that has jobs, to be taken back if one of them fails. */
typedef struct {
    uint32_t value, rule;
    int64_t count;
} tally_t;

typedef struct {
    uint32_t index;
    int32_t rule;
    fault_t fault;
} failure_t;

/* One container that is open. */
typedef struct {
    const state_t *state;
    int64_t index;  /* of the element at hand */
    int64_t length; /* of an array, where program_t.counts asks for it; else more than any has */
    uint8_t array;
    uint8_t taken;  /* what it holds is not copied */
    uint8_t headless; /* all items so far were dropped: the next one follows no comma */
} frame_t;

/* All that one batch needs while it is walked. Zeroed at start; only `output` outlives it. */
typedef struct {
    const program_t *program;
    arena_t output;
    arena_t inputs;
    arena_t jobs;      /* of job_t, in the order of the output */
    arena_t tallies;   /* of tally_t */
    arena_t failures;  /* of failure_t */
    arena_t lengths;   /* int64_t for each array of the value at hand, in the order in which they open */
    size_t next_length;
    frame_t *frames;   /* depth_limit + 1 */
    uint8_t *name;     /* name_limit bytes, for names with escapes */
    uint8_t *folded;   /* fold_limit bytes, for names without regard to case */
    uint8_t found;     /* by tests in the value at hand */
    uint8_t *findings; /* the same for each value; NULL if nobody asks */
    const uint8_t *conditions; /* of the value at hand: for each condition whether it holds */
    int64_t *masked;   /* for each rule */
    int64_t *pending;  /* the same, of the value at hand */
    uint32_t *touched; /* rules with something pending */
    uint32_t touched_count;
    const uint8_t *begin; /* of the value at hand */
    const uint8_t *copied;
    uint8_t spliced;
    fault_t unmaskable; /* the first of the value at hand */
    int32_t unmaskable_rule;
    uint32_t value;
    const uint8_t *end;            /* of the value at hand */
    const uint8_t *member;         /* the name of the member at hand, as written */
    size_t member_length;
    const uint8_t *suspects;       /* for each value, whether a pattern of the ruleset may have a match in it */
    finds_t finds;                 /* in the string at hand */
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
    unsigned ends = action->hides_ends; /* what is hidden: the ends, or what is between */
    if (countable <= first + last) ends = 0, first = last = 0;
    last = countable - last; /* where the second end begins */

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
            uint8_t hide = (uint8_t)-(counts & ((at - first < last - first) ^ ends));
            *out++ = (uint8_t)((mark & hide) | (*p & ~hide));
            at += counts;
        }
    } else {
        for (const uint8_t *p = text; p < stop;) {
            const uint8_t *next = next_character(p, stop, &code);
            int counts = !is_separator(program, action, code);
            const uint8_t *source = counts && ((at >= first && at < last) ^ (int)ends) ? hidden : p;
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

/* Partial with a fixed length: what is hidden, separators in it too, becomes that many characters. What is hidden
 * whole becomes as many as there would be otherwise, kept ones counted in: it must not be told by its length. */
static fault_t mask_partial_fixed(
    walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to, const uint8_t *text,
    const uint8_t *stop)
{
    const program_t *program = walk->program;
    const uint8_t *head = text, *tail = stop; /* [text, head) and [tail, stop) are kept */
    uint64_t countable = 0, at = 0;
    uint64_t hidden = action->fixed_length, kept = (uint64_t)action->keep_first + action->keep_last;
    uint32_t code;
    for (const uint8_t *p = text; p < stop;) {
        p = next_character(p, stop, &code);
        countable += !is_separator(program, action, code);
    }
    if (countable <= kept) {
        hidden += kept;
    } else {
        for (const uint8_t *p = text; p < stop;) {
            const uint8_t *next = next_character(p, stop, &code);
            if (!is_separator(program, action, code)) {
                at++;
                if (at == action->keep_first) head = next;
                if (at == countable - action->keep_last + 1) tail = p;
            }
            p = next;
        }
    }
    size_t hidden_size = action->text.length, before = (size_t)(head - text), after = (size_t)(stop - tail);
    fault_t fault = splice(walk, from, to, before + hidden * hidden_size + after + 2);
    if (UNLIKELY(fault)) return fault;
    uint8_t *out = walk->output.data + walk->output.length;
    *out++ = '"';
    memcpy(out, text, before);
    out += before;
    for (uint64_t i = 0; i < hidden; i++, out += hidden_size)
        memcpy(out, program->pool + action->text.at, hidden_size);
    memcpy(out, tail, after);
    out += after;
    *out++ = '"';
    walk->output.length = (size_t)(out - walk->output.data);
    return FAULT_NONE;
}

/* Truncate: the first characters, with their bytes, escaped or not. */
static fault_t mask_truncate(
    walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to, const uint8_t *text,
    const uint8_t *stop, unsigned form)
{
    const uint8_t *p = text;
    uint32_t code;
    if (form == TEXT_PLAIN) p = (size_t)(stop - text) > action->keep_first ? text + action->keep_first : stop;
    else for (uint32_t i = 0; i < action->keep_first && p < stop; i++) p = next_character(p, stop, &code);
    size_t size = (size_t)(p - text);
    fault_t fault = splice(walk, from, to, size + 2);
    if (UNLIKELY(fault)) return fault;
    uint8_t *out = walk->output.data + walk->output.length;
    *out++ = '"';
    memcpy(out, text, size);
    out[size] = '"';
    walk->output.length += size + 2;
    return FAULT_NONE;
}

/* The class of a character, as one that stands for it; 0 for those that are kept. Beyond ASCII only white space is
 * kept: what is neither a digit nor has a case counts as a lower-case letter. */
static inline uint8_t class_of(uint32_t code)
{
    if (code < 0x80) return code - 'A' < 26 ? 'X' : code - 'a' < 26 ? 'x' : code - '0' < 10 ? '9' : 0;
    if (Py_UNICODE_ISSPACE(code)) return 0;
    if (Py_UNICODE_ISNUMERIC(code)) return '9';
    return Py_UNICODE_ISUPPER(code) || Py_UNICODE_ISTITLE(code) ? 'X' : 'x';
}

/* Pattern: each character by its class. None is longer than it was. */
static fault_t mask_pattern(
    walk_t *walk, const uint8_t *from, const uint8_t *to, const uint8_t *text, const uint8_t *stop)
{
    uint32_t code;
    fault_t fault = splice(walk, from, to, (size_t)(stop - text) + 2);
    if (UNLIKELY(fault)) return fault;
    uint8_t *out = walk->output.data + walk->output.length;
    *out++ = '"';
    for (const uint8_t *p = text; p < stop;) {
        const uint8_t *next = next_character(p, stop, &code);
        uint8_t class = class_of(code);
        if (class) {
            *out++ = class;
        } else {
            memcpy(out, p, (size_t)(next - p));
            out += next - p;
        }
        p = next;
    }
    *out++ = '"';
    walk->output.length = (size_t)(out - walk->output.data);
    return FAULT_NONE;
}

/* Makes room for the decoded text at the end of the inputs; it stands there until the next call, or for good once
 * their length is raised. */
static fault_t decode_input(
    walk_t *walk, const uint8_t *text, const uint8_t *stop, unsigned form, const uint8_t **decoded, size_t *length)
{
    *length = (size_t)(stop - text);
    fault_t fault = reserve(&walk->inputs, *length);
    if (UNLIKELY(fault)) return fault;
    uint8_t *input = walk->inputs.data + walk->inputs.length;
    if (form & TEXT_ESCAPED) *length = decode_string(text, stop, input, *length);
    else if (*length) memcpy(input, text, *length);
    *decoded = input;
    return FAULT_NONE;
}

/* Writes `length` characters of 32 bytes: RFC 4648 sections 8 and 5, or Crockford's base 32 from the left. */
static void write_hash(hash_form_t form, const uint8_t digest[SHA256_SIZE], uint8_t *out, uint32_t length)
{
    static const char *const ALPHABETS[] = {
        [HASH_HEX] = "0123456789abcdef",
        [HASH_BASE64URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        [HASH_CROCKFORD] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ",
    };
    const char *alphabet = ALPHABETS[form];
    unsigned width = form == HASH_HEX ? 4 : form == HASH_CROCKFORD ? 5 : 6, held = 0;
    uint32_t bits = 0;
    const uint8_t *next = digest, *end = digest + SHA256_SIZE;
    for (uint32_t i = 0; i < length; i++) {
        if (held < width) {
            bits = bits << 8 | (next < end ? *next++ : 0);
            held += 8;
        }
        held -= width;
        out[i] = (uint8_t)alphabet[bits >> held & ((1u << width) - 1)];
    }
}

static fault_t mask_hash(
    walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to, const uint8_t *text,
    const uint8_t *stop, unsigned form)
{
    uint8_t digest[SHA256_SIZE];
    size_t length = (size_t)(stop - text);
    if (form & TEXT_ESCAPED) {
        fault_t fault = decode_input(walk, text, stop, form, &text, &length);
        if (UNLIKELY(fault)) return fault;
    }
    hmac_text(&action->hmac, text, length, digest);
    fault_t fault = splice(walk, from, to, (size_t)action->hash_length + 2);
    if (UNLIKELY(fault)) return fault;
    uint8_t *out = walk->output.data + walk->output.length;
    *out = '"';
    write_hash(action->hash_form, digest, out + 1, action->hash_length);
    out[action->hash_length + 1] = '"';
    walk->output.length += (size_t)action->hash_length + 2;
    return FAULT_NONE;
}

/* A bit for each find of a search whose condition holds. */
static uint32_t acting_finds(const walk_t *walk, const action_t *action)
{
    const search_t *search = walk->program->searches + action->search;
    uint32_t acting = 0;
    for (uint32_t i = 0; i < search->founds_count; i++) {
        int32_t when = walk->program->founds[search->founds + i].when;
        if (when < 0 || walk->conditions[when]) acting |= UINT32_C(1) << i;
    }
    return acting;
}

/* Collected: the decoded text goes to the inputs, and nothing stands in its place until all outputs are known. */
static fault_t mask_collected(
    walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, const uint8_t *text,
    const uint8_t *stop, unsigned form)
{
    const uint8_t *input;
    size_t length, name_length = 0;
    fault_t fault = FAULT_NONE;
    if (action->search != NO_SEARCH && walk->member_length) {
        name_length = walk->member_length;
        fault = reserve(&walk->inputs, name_length);
        if (UNLIKELY(fault)) return fault;
        memcpy(walk->inputs.data + walk->inputs.length, walk->member, name_length);
        walk->inputs.length += name_length;
    }
    fault = decode_input(walk, text, stop, form, &input, &length);
    if (!fault) fault = reserve(&walk->jobs, sizeof(job_t));
    if (!fault) fault = splice(walk, from, to, 0);
    if (UNLIKELY(fault)) return fault;
    job_t job = {
        .input = (uint32_t)walk->inputs.length,
        .input_length = (uint32_t)length,
        .source = (uint32_t)(from - walk->begin),
        .source_length = (uint32_t)(to - from),
        .output = (uint32_t)walk->output.length,
        .action = (uint32_t)(action - walk->program->actions),
        .value = walk->value,
        .leaf = leaf,
        .name_length = (uint32_t)name_length,
        .acting = action->search == NO_SEARCH ? 0 : acting_finds(walk, action),
    };
    memcpy(walk->jobs.data + walk->jobs.length, &job, sizeof job);
    walk->jobs.length += sizeof job;
    walk->inputs.length += length;
    return FAULT_NONE;
}

static fault_t redact(
    walk_t *walk, leaf_t leaf, piece_t text, piece_t number, piece_t boolean, const uint8_t *from, const uint8_t *to)
{
    piece_t piece = leaf == LEAF_STRING ? text : leaf == LEAF_NUMBER ? number : boolean;
    return replace(walk, from, to, walk->program->pool + piece.at, piece.length);
}

/* What of several actions is done; NULL for nothing.
 *
 * Each is asked in order of precedence whether it acts on this leaf [from, to), or on this container. An action that
 * depends on the leaf's text (a finder of card numbers, say) has its place here: it acts if it finds something, and
 * otherwise the next one is asked. */
static const action_t *choose(
    const walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form)
{
    const program_t *program = walk->program;
    const uint32_t *choices = program->choices + action->choices;
    (void)leaf, (void)from, (void)to, (void)form;
    for (uint32_t i = 0; i < action->choices_count; i++) {
        const action_t *choice = program->actions + choices[i];
        if (choice->when < 0 || walk->conditions[choice->when]) return choice->kind == MASK_KEEP ? NULL : choice;
    }
    return NULL;
}

/* A mask that takes text, and numbers if it says so. */
static fault_t mask_text(
    walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form)
{
    const uint8_t *text = leaf == LEAF_STRING ? from + 1 : from;
    const uint8_t *stop = leaf == LEAF_STRING ? to - 1 : to;
    switch (action->kind) {
    case MASK_PARTIAL:
        if (action->fixed_length) return mask_partial_fixed(walk, action, from, to, text, stop);
        return mask_partial(walk, action, from, to, text, stop, form);
    case MASK_TRUNCATE: return mask_truncate(walk, action, from, to, text, stop, form);
    case MASK_PATTERN: return mask_pattern(walk, from, to, text, stop);
    case MASK_HASH: return mask_hash(walk, action, from, to, text, stop, form);
    default: return mask_collected(walk, action, leaf, from, to, text, stop, form);
    }
}

/* Masks what is found in one leaf: json_search.h has it. */
static fault_t search_leaf(
    walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form);

/* Compares a leaf with the literals of a test. A number counts as equal or not if it is written as a plain whole number,
 * as the literals are: 1.0 and 1e0 are OTHER. */
static fault_t test_leaf(
    walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form)
{
    uint8_t kind = leaf == LEAF_STRING ? LITERAL_STRING : leaf == LEAF_NUMBER ? LITERAL_NUMBER : LITERAL_BOOLEAN;
    const uint8_t *text = from;
    size_t length = (size_t)(to - from);
    int other = !(action->keep_first & kind);
    if (leaf == LEAF_STRING) {
        fault_t fault = decode_input(walk, from + 1, to - 1, form, &text, &length);
        if (UNLIKELY(fault)) return fault;
    } else if (leaf == LEAF_NUMBER) {
        for (size_t i = text[0] == '-'; i < length; i++) other |= !is_digit(text[i]);
        other |= length == 2 && text[0] == '-' && text[1] == '0';
    }
    if (other) {
        walk->found |= FOUND_OTHER;
        return FAULT_NONE;
    }
    const uint8_t *p = walk->program->pool + action->text.at, *end = p + action->text.length;
    while (p < end) {
        uint32_t size;
        memcpy(&size, p + 1, sizeof size);
        if (*p == kind && size == length && memcmp(p + 5, text, length) == 0) {
            walk->found |= FOUND_EQUAL;
            return FAULT_NONE;
        }
        p += 5 + size;
    }
    walk->found |= FOUND_UNEQUAL;
    return FAULT_NONE;
}

/* Masks one leaf [from, to), quotes included. null and dropped leaves never come here. */
static fault_t mask_leaf(
    walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form)
{
    const program_t *program = walk->program;
    fault_t fault;
    switch (action->kind) {
    case MASK_TEST: return test_leaf(walk, action, leaf, from, to, form);
    case MASK_REDACT:
        fault = redact(walk, leaf, action->text, action->number, action->boolean, from, to);
        break;
    case MASK_FIXED:
        fault = replace(walk, from, to, program->pool + action->text.at, action->text.length);
        break;
    case MASK_NULLIFY:
        fault = replace(walk, from, to, "null", 4);
        break;
    case MASK_SEARCH: return search_leaf(walk, action, leaf, from, to, form);
    default:
        if (leaf == LEAF_STRING || (leaf == LEAF_NUMBER && action->takes_numbers)) {
            fault = mask_text(walk, action, leaf, from, to, form);
        } else if (action->redact_unmaskable) {
            fault = redact(walk, leaf, program->redacted, program->zero, program->no, from, to);
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
