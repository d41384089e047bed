/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types/list.h - a list that grows inside a reader's arena.
 *
 * Old copies stay behind until the arena goes, at most as much again as the list.
 */
#ifndef TKX_TYPES_LIST_H
#define TKX_TYPES_LIST_H

#include <string.h>

#include "json/reader.h"

typedef struct tkx__list {
    char *items;
    size_t count;
    size_t capacity;
} tkx__list;

/* Place for one more zeroed element; NULL after a failure, which the reader keeps. */
static inline void *tkx__list_add(tkx__json_reader *r, tkx__list *l, size_t size)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? l->capacity * 2 : 4;
        char *items = (char *)tkx__arena_zalloc(r->arena, capacity, size);

        if (!items) {
            tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a list");
            return NULL;
        }
        if (l->count)
            memcpy(items, l->items, l->count * size);
        l->items = items;
        l->capacity = capacity;
    }
    return l->items + l->count++ * size;
}

/* Lists in structs are a pointer and a size_t side by side. */
static inline void tkx__list_store(void *at, const tkx__list *l)
{
    void *items = l->items;

    memcpy(at, &items, sizeof items);
    memcpy((char *)at + sizeof items, &l->count, sizeof l->count);
}

#endif
