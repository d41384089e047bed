/* SPDX-License-Identifier: Apache-2.0 */
/* owned.c - the arena stands before the object, in the same allocation. */
#include "types/owned.h"

#include <stddef.h>

#include "base/mem.h"

typedef union head {
    struct {
        tkx__arena arena;
        union head *adopted; /* first of the objects freed with this one */
        union head *sibling; /* next of those adopted by the same object */
    } own;
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
    tkx__arena_init(&h->own.arena, expected, max);
    *arena = &h->own.arena;
    return h + 1;
}

tkx__arena *tkx__owned_arena(void *object)
{
    return &((head *)object - 1)->own.arena;
}

void tkx__owned_adopt(void *object, void *child)
{
    head *parent = (head *)object - 1;
    head *h;

    if (!child)
        return;
    h = (head *)child - 1;
    h->own.sibling = parent->own.adopted;
    parent->own.adopted = h;
}

void tkx__owned_free(void *object)
{
    head *h = object ? (head *)object - 1 : NULL;

    if (!h)
        return;
    while (h->own.adopted) {
        head *child = h->own.adopted;

        h->own.adopted = child->own.sibling;
        tkx__owned_free(child + 1); /* joined objects are one level deep */
    }
    tkx__arena_clear(&h->own.arena);
    tkx__free(h);
}
