/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types/owned.h - a result object and all it points to, in one arena.
 */
#ifndef TKX_TYPES_OWNED_H
#define TKX_TYPES_OWNED_H

#include "base/arena.h"

/*
 * A zeroed object of size bytes and the arena its parts come from.  expected is how much
 * the parts will need (one block then holds them all); max bounds all of it.  NULL when
 * memory is short.
 */
void *tkx__owned_new(size_t size, size_t expected, size_t max, tkx__arena **arena);
/* Accepts NULL. */
void tkx__owned_free(void *object);
/* The arena of an object, for adding parts to it. */
tkx__arena *tkx__owned_arena(void *object);

/* child (may be NULL) is freed with object from now on. */
void tkx__owned_adopt(void *object, void *child);

#endif
