/* What was found in a text: spans with the number of their detector, put in order and made one where they overlap. */
#ifndef WIREMASK_FIND_LIST_H
#define WIREMASK_FIND_LIST_H

#include <stdint.h>
#include <stdlib.h>

/* In the order of DETECTORS in detectors.py; a ruleset's own patterns follow from FIND_KINDS on. */
typedef enum {
    FIND_CARD,
    FIND_IBAN,
    FIND_SSN,
    FIND_EMAIL,
    FIND_PHONE,
    FIND_IPV4,
    FIND_IPV6,
    FIND_MAC,
    FIND_JWT,
    FIND_PRIVATE_KEY,
    FIND_CREDENTIAL,
    FIND_ZIP,
    FIND_BIRTH_DATE,
    FIND_KINDS
} find_kind_t;

typedef struct {
    uint32_t from, to;
    uint32_t kind;
} find_t;

/* The finds of one text; the memory is kept for the next one, and freed by its owner. */
typedef struct {
    find_t *items;
    size_t count, room;
} finds_t;

/* Returns -1 if there is no memory. */
static int add_find(finds_t *finds, size_t from, size_t to, uint32_t kind)
{
    if (finds->count == finds->room) {
        size_t room = finds->room ? 2 * finds->room : 16;
        find_t *items = realloc(finds->items, room * sizeof(find_t));
        if (items == NULL) return -1;
        finds->items = items;
        finds->room = room;
    }
    finds->items[finds->count++] = (find_t){(uint32_t)from, (uint32_t)to, kind};
    return 0;
}

/* Sorts the finds, and makes one of those that overlap: were the later one left out, the rest of it would stay in clear.
 * It gets the lowest kind among them, which the caller has made ranks of. Each comes near to its place already: a find is added when its sign
 * is seen, and signs come in order. */
static void merge_finds(finds_t *finds)
{
    find_t *items = finds->items;
    size_t kept = 0;
    for (size_t i = 1; i < finds->count; i++) {
        find_t item = items[i];
        size_t k = i;
        for (; k > 0 && items[k - 1].from > item.from; k--) items[k] = items[k - 1];
        items[k] = item;
    }
    for (size_t i = 1; i < finds->count; i++) {
        find_t *last = items + kept;
        if (items[i].from >= last->to) {
            items[++kept] = items[i];
            continue;
        }
        if (items[i].to > last->to) last->to = items[i].to;
        if (items[i].kind < last->kind) last->kind = items[i].kind;
    }
    if (finds->count) finds->count = kept + 1;
}

#endif
