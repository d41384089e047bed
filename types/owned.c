/* SPDX-License-Identifier: Apache-2.0 */
/* owned.c - the arena stands before the object, in the same allocation. */
#include "types/owned.h"

#include <stddef.h>

#include "base/mem.h"

typedef union head {
    tkx__arena arena;
    max_align_t align;
} head;

void *tkx__owned_new(size_t size, size_t expected, size_t max, tkx__arena **arena)
{
    head *h;

    if (!tkx__add(size, sizeof *h, &size))
        return NULL;
    h = tkx__calloc(1, size);
    if (!h)
        return NULL;
    tkx__arena_init(&h->arena, expected, max);
    *arena = &h->arena;
    return h + 1;
}

tkx__arena *tkx__owned_arena(void *object)
{
    return &((head *)object - 1)->arena;
}

void tkx__owned_free(void *object)
{
    if (!object)
        return;
    tkx__arena_clear(tkx__owned_arena(object));
    tkx__free((head *)object - 1);
}
