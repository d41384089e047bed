/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/mem.h - allocation through the allocator of tkx/memory.h, with checked products.
 *
 * Every function returns NULL when memory is short or a product overflows.  Thread: any.
 */
#ifndef TKX_BASE_MEM_H
#define TKX_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *tkx__malloc(size_t size);
void *tkx__calloc(size_t count, size_t size);
/* realloc to count * size bytes; on failure the old block stays valid. */
void *tkx__realloc(void *ptr, size_t count, size_t size);
void tkx__free(void *ptr);
char *tkx__strdup(const char *text);
char *tkx__strndup(const char *text, size_t n);
void *tkx__memdup(const void *bytes, size_t size);

/* Overwrite a secret so that the compiler cannot leave it out; ptr may be NULL. */
void tkx__wipe(void *ptr, size_t size);

/* *out = a * b (a + b); false when it does not fit. */
static inline bool tkx__mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline bool tkx__add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

#endif
