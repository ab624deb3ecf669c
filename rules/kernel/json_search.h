/* Searching leaves for values: what detectors find in a string is masked where it stands, the rest keeps its bytes.
 *
 * A string with escapes is decoded to be searched; what is found is taken back to the bytes as written. The patterns of a
 * ruleset are not run here: a string that may hold one of their values is collected, and searched by searchmask.py.
 */
#ifndef WIREMASK_JSON_SEARCH_H
#define WIREMASK_JSON_SEARCH_H

#include "../detect/find_scan.h"
#include "json_emit.h"

/* The detectors that act on the value at hand, and in `ranks` the position of the first find that has each. */
static uint32_t acting_detectors(const walk_t *walk, const search_t *search, uint32_t ranks[FIND_KINDS])
{
    const found_t *founds = walk->program->founds + search->founds;
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < search->founds_count; i++) {
        if (founds[i].when >= 0 && !walk->conditions[founds[i].when]) continue;
        for (uint32_t more = founds[i].kinds & ~wanted; more; more &= more - 1) ranks[__builtin_ctz(more)] = i;
        wanted |= founds[i].kinds;
    }
    return wanted;
}

/* Masks [from, to) of a string: characters, not quotes. */
static fault_t mask_span(walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to, unsigned form)
{
    fault_t fault;
    count_masked(walk, action->rule);
    if (action->kind == MASK_REDACT || action->kind == MASK_FIXED)
        return replace(walk, from, to, walk->program->pool + action->text.at + 1, action->text.length - 2);
    size_t start = walk->output.length + (size_t)(from - walk->copied);
    fault = mask_text(walk, action, LEAF_SPAN, from, to, form);
    if (fault || action->kind == MASK_COLLECTED) return fault;
    /* Masks write strings: the quotes go again. */
    uint8_t *out = walk->output.data + start;
    size_t length = walk->output.length - start - 2;
    memmove(out, out + 1, length);
    walk->output.length -= 2;
    return FAULT_NONE;
}

/* Masks what was found in the string [text, stop), in order. */
static fault_t mask_finds(walk_t *walk, const search_t *search, const uint8_t *text, const uint8_t *stop, unsigned form)
{
    const program_t *program = walk->program;
    const uint8_t *p = text;
    size_t at = 0; /* decoded bytes before p */
    for (size_t i = 0; i < walk->finds.count; i++) {
        const find_t find = walk->finds.items[i];
        const uint8_t *from = text + find.from, *to = text + find.to;
        if (form & TEXT_ESCAPED) {
            uint32_t code;
            uint8_t wide[4];
            from = NULL;
            while (p < stop && at < find.to) {
                if (at >= find.from && from == NULL) from = p;
                p = next_character(p, stop, &code);
                at += (size_t)(write_utf8(wide, code) - wide);
            }
            to = p;
            if (UNLIKELY(from == NULL)) continue;
        }
        fault_t fault = mask_span(walk, program->actions + program->founds[search->founds + find.kind].action, from, to, form);
        if (UNLIKELY(fault)) return fault;
    }
    return FAULT_NONE;
}

static fault_t search_string(
    walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to, unsigned form)
{
    const search_t *search = walk->program->searches + action->search;
    if (search->patterns && (form & TEXT_ESCAPED || walk->suspects[walk->value]))
        return mask_collected(walk, action, LEAF_STRING, from, to, from + 1, to - 1, form);
    uint32_t chosen[FIND_KINDS] = {0}, wanted = search->wanted;
    const uint32_t *ranks = search->ranks;
    if (search->conditional) {
        wanted = acting_detectors(walk, search, chosen);
        ranks = chosen;
    }
    subject_t subject = {
        .text = from + 1,
        .length = (size_t)(to - from) - 2,
        .name = walk->member,
        .name_length = walk->member_length,
    };
    const uint8_t *readable = walk->end;
    if (form & TEXT_ESCAPED) {
        fault_t fault = decode_input(walk, from + 1, to - 1, form, &subject.text, &subject.length);
        if (UNLIKELY(fault)) return fault;
        readable = subject.text + subject.length;
    }
    walk->finds.count = 0;
    if (UNLIKELY(find_all(wanted, &subject, readable, &walk->finds))) return FAULT_NO_MEMORY;
    if (LIKELY(walk->finds.count == 0)) return FAULT_NONE;
    for (size_t i = 0; i < walk->finds.count; i++) walk->finds.items[i].kind = ranks[walk->finds.items[i].kind];
    merge_finds(&walk->finds);
    return mask_finds(walk, search, from + 1, to - 1, form);
}

/* A number is a card or nothing. */
static fault_t search_number(walk_t *walk, const action_t *action, const uint8_t *from, const uint8_t *to)
{
    const program_t *program = walk->program;
    const search_t *search = program->searches + action->search;
    uint32_t ranks[FIND_KINDS] = {0};
    if (!is_card_number(from, to)) return FAULT_NONE;
    if (!(acting_detectors(walk, search, ranks) >> FIND_CARD & 1)) return FAULT_NONE;
    const found_t *found = program->founds + search->founds + ranks[FIND_CARD];
    return mask_leaf(walk, program->actions + found->action, LEAF_NUMBER, from, to, TEXT_PLAIN);
}

static fault_t search_leaf(
    walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form)
{
    if (leaf == LEAF_STRING) return search_string(walk, action, from, to, form);
    return leaf == LEAF_NUMBER ? search_number(walk, action, from, to) : FAULT_NONE;
}

/* Whether a search of a string or number surely finds nothing: then it is not begun. */
static inline int skips_search(
    const walk_t *walk, const action_t *action, leaf_t leaf, const uint8_t *from, const uint8_t *to, unsigned form)
{
    if (action->kind != MASK_SEARCH) return 0;
    if (leaf == LEAF_NUMBER) return !is_long_number(from, to);
    if (form & TEXT_ESCAPED || walk->program->searches[action->search].patterns) return 0;
    return is_barren(from + 1, (size_t)(to - from) - 2, walk->end);
}

#endif
