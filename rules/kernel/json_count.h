/* The length of every array of a value, found out before the walk: slices that count from the end need it.
 *
 * One pass over the value, whatever it holds. It stops at the first byte that it cannot go on from; the walk refuses
 * the value there or earlier, so that lengths which came out too small decide nothing.
 */
#ifndef WIREMASK_JSON_COUNT_H
#define WIREMASK_JSON_COUNT_H

#include "json_emit.h"

/* Fills walk_t.lengths, in the order in which the arrays open. Uses walk_t.frames, which the walk has no use for yet. */
static fault_t count_elements(walk_t *walk, const uint8_t *p, const uint8_t *end)
{
    frame_t *const bottom = walk->frames, *const last = bottom + walk->program->depth_limit, *top = bottom;
    int64_t *lengths;
    unsigned form;
    fault_t fault;
    walk->lengths.length = walk->next_length = 0;
    bottom->array = 0;
    while (p < end) {
        switch (*p++) {
        case '"':
            p = read_string(p, end, &form, &fault);
            if (p == NULL) return FAULT_NONE;
            p++;
            break;
        case '[':
            if (top == last) return FAULT_NONE;
            fault = reserve(&walk->lengths, sizeof(int64_t));
            if (UNLIKELY(fault)) return fault;
            p = skip_space(p, end);
            (++top)->array = 1;
            top->index = (int64_t)(walk->lengths.length / sizeof(int64_t));
            lengths = (int64_t *)walk->lengths.data;
            lengths[top->index] = p < end && *p != ']';
            walk->lengths.length += sizeof(int64_t);
            break;
        case '{':
            if (top == last) return FAULT_NONE;
            (++top)->array = 0;
            break;
        case ',':
            if (top->array) ((int64_t *)walk->lengths.data)[top->index]++;
            break;
        case ']': case '}':
            if (top == bottom) return FAULT_NONE;
            top--;
            break;
        default: break;
        }
    }
    return FAULT_NONE;
}

/* The length of the next array that opens. */
static inline int64_t next_length(walk_t *walk)
{
    if (UNLIKELY(walk->next_length >= walk->lengths.length / sizeof(int64_t))) return 0;
    return ((const int64_t *)walk->lengths.data)[walk->next_length++];
}

#endif
