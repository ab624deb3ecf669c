/* The walk: one pass over each value that validates all of it, follows the automaton, and splices what is masked.
 *
 * There is no recursion: open containers stand on `frames`, and depth_limit bounds them. No byte outside the value
 * is read. A value that fails leaves nothing behind: its output, its collected inputs and its counts are taken back.
 */
#ifndef WIREMASK_JSON_WALK_H
#define WIREMASK_JSON_WALK_H

#include "json_count.h"
#include "json_emit.h"
#include "json_search.h"

/* Turns a choice into the action that is chosen; without one the leaf at hand is done with. */
#define CHOOSE(leaf_kind, text_form)                                          \
    do {                                                                      \
        if (UNLIKELY(action->kind == MASK_CHOICE)) {                          \
            action = choose(walk, action, leaf_kind, leaf, p, text_form);     \
            if (action == NULL) goto after;                                   \
        }                                                                     \
    } while (0)

/* The rest of a value up to the next byte that is no white space; the value may not end there. */
#define SKIP_SPACE()                                        \
    do {                                                    \
        if (UNLIKELY(p == end)) return FAULT_UNEXPECTED_END; \
        if (UNLIKELY(*p <= ' ')) {                          \
            p = skip_space(p, end);                         \
            if (p == end) return FAULT_UNEXPECTED_END;      \
        }                                                   \
    } while (0)

static fault_t walk_value(walk_t *walk, const uint8_t *const begin, const uint8_t *const end)
{
    const program_t *const program = walk->program;
    const state_t *state = program->states + program->start;
    frame_t *const bottom = walk->frames, *const last = bottom + program->depth_limit;
    frame_t *top = bottom;
    const uint8_t *p = begin;
    const uint8_t *item = begin;  /* where the member or element at hand begins */
    const uint8_t *comma = NULL;  /* the comma before it; NULL for the first that is kept */
    const uint8_t *leaf;
    const action_t *action;
    unsigned form;
    fault_t fault = FAULT_NONE;
    bottom->state = program->states;
    bottom->array = 0;
    bottom->taken = bottom->headless = 0;

    if (begin == end) return FAULT_EMPTY;
    if (UNLIKELY(*p == 0xEF) && end - p >= 3 && p[1] == 0xBB && p[2] == 0xBF) return FAULT_BYTE_ORDER_MARK;
    SKIP_SPACE();

value: /* p is at the first byte of a value whose state is `state` */
    action = state->action < 0 ? NULL : program->actions + state->action;
    leaf = p;
    switch (*p) {
    case '"':
        p = read_string(p + 1, end, &form, &fault);
        if (UNLIKELY(p == NULL)) return fault;
        p++;
        if (action == NULL) goto after;
        CHOOSE(LEAF_STRING, form);
        if (action->kind == MASK_DROP) goto drop;
        if (skips_search(walk, action, LEAF_STRING, leaf, p, form)) goto after;
        fault = mask_leaf(walk, action, LEAF_STRING, leaf, p, form);
        if (UNLIKELY(fault)) return fault;
        goto after;

    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        p = read_number(p, end, &fault);
        if (UNLIKELY(p == NULL)) return fault;
        if (action == NULL) goto after;
        CHOOSE(LEAF_NUMBER, TEXT_PLAIN);
        if (action->kind == MASK_DROP) goto drop;
        if (skips_search(walk, action, LEAF_NUMBER, leaf, p, TEXT_PLAIN)) goto after;
        fault = mask_leaf(walk, action, LEAF_NUMBER, leaf, p, TEXT_PLAIN);
        if (UNLIKELY(fault)) return fault;
        goto after;

    case 't': case 'f': case 'n': {
        size_t length = *p == 'f' ? 5 : 4, left = (size_t)(end - p);
        const char *word = *p == 't' ? "true" : *p == 'f' ? "false" : "null";
        if (UNLIKELY(memcmp(p, word, left < length ? left : length) != 0)) return FAULT_UNEXPECTED_BYTE;
        if (UNLIKELY(left < length)) return FAULT_UNEXPECTED_END;
        p += length;
        if (action == NULL) goto after;
        CHOOSE(LEAF_BOOLEAN, TEXT_PLAIN);
        if (action->kind == MASK_DROP) goto drop;
        if (*leaf == 'n') {
            if (UNLIKELY(action->kind == MASK_TEST)) walk->found |= FOUND_OTHER;
            goto after;
        }
        fault = mask_leaf(walk, action, LEAF_BOOLEAN, leaf, p, TEXT_PLAIN);
        if (UNLIKELY(fault)) return fault;
        goto after;
    }

    case '{': case '[':
        if (UNLIKELY(top == last)) return FAULT_TOO_DEEP;
        if (UNLIKELY(action != NULL && action->kind == MASK_CHOICE))
            action = choose(walk, action, NO_LEAF, p, p, TEXT_PLAIN);
        if (UNLIKELY(action != NULL && action->kind == MASK_TEST)) {
            walk->found |= FOUND_OTHER;
            state = program->states; /* what is in it is not looked at */
            action = NULL;
        }
        if (UNLIKELY(action != NULL && action->whole)) {
            /* Its replacement is written now; where it ends is known when it closes. */
            if (action->kind == MASK_DROP) {
                fault = splice(walk, comma == NULL ? item : comma, p, 0);
                top->headless = comma == NULL;
            } else if (action->kind == MASK_NULLIFY) {
                fault = replace(walk, p, p, "null", 4);
            } else {
                fault = replace(walk, p, p, program->pool + action->text.at, action->text.length);
            }
            if (UNLIKELY(fault)) return fault;
            count_masked(walk, action->rule);
            state = program->states;
            (++top)->taken = 1;
        } else {
            (++top)->taken = 0;
        }
        top->state = state;
        top->array = *p == '[';
        top->headless = 0;
        top->index = -1;
        comma = NULL;
        p++;
        SKIP_SPACE();
        if (top->array) {
            top->length = UNLIKELY(program->counts) ? next_length(walk) : INT64_MAX;
            if (*p == ']') goto close;
            goto element;
        }
        if (*p == '}') goto close;
        goto member;

    default:
        return FAULT_UNEXPECTED_BYTE;
    }

drop: /* [leaf, p) is the value of an item that goes with its comma */
    fault = splice(walk, comma == NULL ? item : comma, p, 0);
    if (UNLIKELY(fault)) return fault;
    top->headless = comma == NULL;
    count_masked(walk, action->rule);
    goto after;

member: { /* p is at the first byte of a member */
    const uint8_t *name = p + 1;
    item = p;
    if (UNLIKELY(top->headless)) {
        walk->copied = p;
        comma = NULL;
        top->headless = 0;
    }
    if (UNLIKELY(*p != '"')) return FAULT_UNEXPECTED_BYTE;
    p = read_string(name, end, &form, &fault);
    if (UNLIKELY(p == NULL)) return fault;
    walk->member = name;
    walk->member_length = (size_t)(p - name);
    state = top->state;
    if (state->lengths == 0) {
        state = program->states + state->fallback;
    } else if (LIKELY(!(form & TEXT_ESCAPED))) {
        state = member_state(program, state, name, (size_t)(p - name), end, walk->folded);
    } else {
        size_t length = decode_string(name, p, walk->name, program->name_limit);
        state = length == SIZE_MAX ? program->states + state->fallback
                                   : member_state(program, state, walk->name, length, walk->name + length,
                                                  walk->folded);
    }
    p++;
    SKIP_SPACE();
    if (UNLIKELY(*p != ':')) return FAULT_UNEXPECTED_BYTE;
    p++;
    SKIP_SPACE();
    goto value;
}

element: /* p is at the first byte of an element */
    item = p;
    if (UNLIKELY(top->headless)) {
        walk->copied = p;
        comma = NULL;
        top->headless = 0;
    }
    top->index++;
    state = element_state(program, top->state, top->index, top->length);
    goto value;

after: /* p is behind a value */
    if (UNLIKELY(top == bottom)) return skip_space(p, end) == end ? FAULT_NONE : FAULT_TRAILING_BYTES;
    SKIP_SPACE();
    if (LIKELY(*p == ',')) {
        comma = p++;
        SKIP_SPACE();
        if (top->array) goto element;
        goto member;
    }
    if (UNLIKELY(*p != (top->array ? ']' : '}'))) return FAULT_UNEXPECTED_BYTE;

close: /* p is at the closing bracket */
    p++;
    if (UNLIKELY(top->taken)) walk->copied = p;
    top--;
    goto after;
}

#undef CHOOSE
#undef SKIP_SPACE

/* Masks one value; its span in the output, or (-1, 0) for unchanged. */
static fault_t mask_value(walk_t *walk, const uint8_t *begin, const uint8_t *end, int32_t *span)
{
    size_t start = walk->output.length, jobs = walk->jobs.length;
    walk->begin = walk->copied = begin;
    walk->spliced = 0;
    walk->end = end;
    walk->member_length = 0;
    if (UNLIKELY(walk->program->counts)) {
        fault_t fault = count_elements(walk, begin, end);
        if (UNLIKELY(fault)) return fault;
    }
    fault_t fault = walk_value(walk, begin, end);
    if (UNLIKELY(fault)) return fault;
    if (UNLIKELY(walk->unmaskable)) return walk->unmaskable;
    if (!walk->spliced) return FAULT_NONE;
    fault = replace(walk, end, end, "", 0);
    if (UNLIKELY(fault)) return fault;
    size_t length = walk->output.length - start;
    /* What collected masks write is not there yet: those values are compared when it is. */
    if (jobs == walk->jobs.length && length == (size_t)(end - begin) &&
        memcmp(walk->output.data + start, begin, length) == 0) {
        walk->output.length = start;
        return FAULT_NONE;
    }
    span[0] = (int32_t)start;
    span[1] = (int32_t)length;
    walk->changed++;
    return FAULT_NONE;
}

/* Remembers what a rule masked in the value at hand; room for it is there. */
static void add_tally(walk_t *walk, uint32_t rule)
{
    tally_t tally = {.value = walk->value, .rule = rule, .count = walk->pending[rule]};
    memcpy(walk->tallies.data + walk->tallies.length, &tally, sizeof tally);
    walk->tallies.length += sizeof tally;
}

static fault_t use_marker(walk_t *walk, int32_t *span)
{
    piece_t marker = walk->program->marker;
    if (walk->marker < 0) {
        fault_t fault = reserve(&walk->output, marker.length);
        if (fault) return fault;
        walk->marker = (int32_t)walk->output.length;
        memcpy(walk->output.data + walk->output.length, walk->program->pool + marker.at, marker.length);
        walk->output.length += marker.length;
    }
    span[0] = walk->marker;
    span[1] = (int32_t)marker.length;
    walk->changed++;
    walk->unreadable++;
    return FAULT_NONE;
}

/* Masks a batch: `values` and `spans` hold (start, length) a value; length -1 is null. The caller has checked that
 * all values lie in the buffer, and that `conditions` has program_t.conditions bytes for each. Returns FAULT_NONE, FAULT_NO_MEMORY or FAULT_TOO_LARGE. */
static fault_t mask_batch(
    walk_t *walk, const uint8_t *buffer, const int32_t *values, const uint8_t *conditions, size_t count, int32_t *spans)
{
    for (size_t i = 0; i < count; i++, values += 2, spans += 2) {
        size_t output = walk->output.length, inputs = walk->inputs.length, jobs = walk->jobs.length;
        spans[0] = -1;
        spans[1] = 0;
        walk->found = 0;
        if (walk->findings != NULL) walk->findings[i] = 0;
        if (values[1] < 0) continue;
        walk->value = (uint32_t)i;
        walk->conditions = conditions + i * walk->program->conditions;
        walk->touched_count = 0;
        walk->unmaskable = FAULT_NONE;
        const uint8_t *begin = buffer + values[0];
        fault_t fault = mask_value(walk, begin, begin + values[1], spans);
        if (walk->findings != NULL && !fault) walk->findings[i] = walk->found;
        int collected = jobs != walk->jobs.length;
        if (collected && !fault) fault = reserve(&walk->tallies, walk->touched_count * sizeof(tally_t));
        for (uint32_t k = 0; k < walk->touched_count; k++) {
            uint32_t rule = walk->touched[k];
            if (LIKELY(!fault)) {
                walk->masked[rule] += walk->pending[rule];
                if (collected) add_tally(walk, rule);
            }
            walk->pending[rule] = 0;
        }
        if (LIKELY(!fault)) continue;
        if (fault == FAULT_NO_MEMORY || fault == FAULT_TOO_LARGE) return fault;
        walk->output.length = output;
        walk->inputs.length = inputs;
        walk->jobs.length = jobs;
        int unmaskable = fault == FAULT_NUMBER_FOR_TEXT || fault == FAULT_BOOLEAN_FOR_TEXT;
        if (!unmaskable && walk->program->redact_unreadable) {
            fault = use_marker(walk, spans);
            if (fault) return fault;
            continue;
        }
        spans[0] = -2;
        failure_t failure = {(uint32_t)i, unmaskable ? walk->unmaskable_rule : -1, fault};
        fault = reserve(&walk->failures, sizeof failure);
        if (fault) return fault;
        memcpy(walk->failures.data + walk->failures.length, &failure, sizeof failure);
        walk->failures.length += sizeof failure;
    }
    return FAULT_NONE;
}

#endif
