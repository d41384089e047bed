/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/arena.h - many small allocations, freed at once.
 *
 * Blocks double from a first size, so n bytes cost O(log n) heap allocations.  Memory is
 * aligned for any type and not zeroed.  Not thread-safe.
 */
#ifndef TKX_BASE_ARENA_H
#define TKX_BASE_ARENA_H

#include <stddef.h>

typedef struct tkx__arena_block tkx__arena_block;

typedef struct tkx__arena {
    tkx__arena_block *head;
    size_t next_size; /* of the next block */
    size_t max_size;  /* of all blocks together */
    size_t total;
} tkx__arena;

void tkx__arena_init(tkx__arena *arena, size_t first_size, size_t max_size);
void tkx__arena_clear(tkx__arena *arena);

/* NULL when memory is short, max_size would be passed, or count * size overflows. */
void *tkx__arena_alloc(tkx__arena *arena, size_t count, size_t size);
void *tkx__arena_zalloc(tkx__arena *arena, size_t count, size_t size);
char *tkx__arena_strndup(tkx__arena *arena, const char *text, size_t n);

#endif
