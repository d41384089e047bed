/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mem.c - the process-wide allocator and the checked calls on it.
 *
 * The allocator is set once, before any other thread of ours exists, so it has no lock.
 */
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include <tkx/memory.h>

static void *default_malloc(size_t size, void *user_data)
{
    (void)user_data;
    return malloc(size);
}

static void *default_realloc(void *ptr, size_t size, void *user_data)
{
    (void)user_data;
    return realloc(ptr, size);
}

static void default_free(void *ptr, void *user_data)
{
    (void)user_data;
    free(ptr);
}

static const tkx_allocator standard = {sizeof(tkx_allocator), default_malloc,
                                       default_realloc, default_free, NULL};
static tkx_allocator current = {sizeof(tkx_allocator), default_malloc, default_realloc,
                                default_free, NULL};

tkx_status tkx_set_allocator(const tkx_allocator *allocator)
{
    if (!allocator) {
        current = standard;
        return TKX_OK;
    }
    if (allocator->struct_size != sizeof *allocator || !allocator->malloc_fn ||
        !allocator->realloc_fn || !allocator->free_fn)
        return TKX_ERR_INVALID_ARGUMENT;
    current = *allocator;
    return TKX_OK;
}

void *tkx__malloc(size_t size)
{
    return current.malloc_fn(size ? size : 1, current.user_data);
}

void *tkx__calloc(size_t count, size_t size)
{
    size_t total;
    void *ptr;

    if (!tkx__mul(count, size, &total))
        return NULL;
    ptr = tkx__malloc(total);
    if (ptr)
        memset(ptr, 0, total);
    return ptr;
}

void *tkx__realloc(void *ptr, size_t count, size_t size)
{
    size_t total;

    if (!tkx__mul(count, size, &total))
        return NULL;
    return current.realloc_fn(ptr, total ? total : 1, current.user_data);
}

void tkx__free(void *ptr)
{
    if (ptr)
        current.free_fn(ptr, current.user_data);
}

char *tkx__strdup(const char *text)
{
    return tkx__strndup(text, strlen(text));
}

char *tkx__strndup(const char *text, size_t n)
{
    char *copy = n == SIZE_MAX ? NULL : tkx__malloc(n + 1);

    if (copy) {
        memcpy(copy, text, n);
        copy[n] = '\0';
    }
    return copy;
}

void *tkx__memdup(const void *bytes, size_t size)
{
    void *copy = tkx__malloc(size);

    if (copy && size)
        memcpy(copy, bytes, size);
    return copy;
}

void tkx__wipe(void *ptr, size_t size)
{
    if (ptr)
        explicit_bzero(ptr, size);
}
