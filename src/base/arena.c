/* SPDX-License-Identifier: Apache-2.0 */
/* arena.c - a chain of doubling blocks, bump-allocated. */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

#define ALIGN _Alignof(max_align_t)

struct tkx__arena_block {
    tkx__arena_block *next;
    size_t used;
    size_t size;
    max_align_t data[];
};

void tkx__arena_init(tkx__arena *arena, size_t first_size, size_t max_size)
{
    arena->head = NULL;
    arena->next_size = first_size < 64 ? 64 : first_size;
    arena->max_size = max_size;
    arena->total = 0;
}

void tkx__arena_clear(tkx__arena *arena)
{
    while (arena->head) {
        tkx__arena_block *next = arena->head->next;

        tkx__free(arena->head);
        arena->head = next;
    }
    arena->total = 0;
}

static tkx__arena_block *add_block(tkx__arena *arena, size_t at_least)
{
    size_t size = arena->next_size > at_least ? arena->next_size : at_least;
    size_t whole;
    tkx__arena_block *block;

    if (at_least > arena->max_size - arena->total)
        return NULL;
    if (size > arena->max_size - arena->total)
        size = arena->max_size - arena->total;
    if (!tkx__add(size, sizeof *block, &whole))
        return NULL;
    block = tkx__malloc(whole);
    if (!block)
        return NULL;
    block->next = arena->head;
    block->used = 0;
    block->size = size;
    arena->head = block;
    arena->total += size;
    if (arena->next_size < SIZE_MAX / 2)
        arena->next_size *= 2;
    return block;
}

void *tkx__arena_alloc(tkx__arena *arena, size_t count, size_t size)
{
    tkx__arena_block *block = arena->head;
    size_t n;
    void *ptr;

    if (!tkx__mul(count, size, &n) || !tkx__add(n, ALIGN - 1, &n))
        return NULL;
    n = n / ALIGN * ALIGN;
    if (n == 0)
        n = ALIGN;
    if (!block || n > block->size - block->used)
        block = add_block(arena, n);
    if (!block)
        return NULL;
    ptr = (char *)block->data + block->used;
    block->used += n;
    return ptr;
}

void *tkx__arena_zalloc(tkx__arena *arena, size_t count, size_t size)
{
    void *ptr = tkx__arena_alloc(arena, count, size);

    if (ptr)
        memset(ptr, 0, count * size);
    return ptr;
}

char *tkx__arena_strndup(tkx__arena *arena, const char *text, size_t n)
{
    char *copy = n == SIZE_MAX ? NULL : tkx__arena_alloc(arena, n + 1, 1);

    if (copy) {
        if (n)
            memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}
