/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/memory.h - where the library's memory comes from.
 *
 * One allocator per process, as in libcurl: set it before any other tkx call or never.
 */
#ifndef TKX_MEMORY_H
#define TKX_MEMORY_H

#include <stddef.h>

#include <tkx/status.h>

TKX_BEGIN_DECLS

typedef struct tkx_allocator {
    size_t struct_size; /* sizeof(tkx_allocator) */
    void *(*malloc_fn)(size_t size, void *user_data);
    void *(*realloc_fn)(void *ptr, size_t size, void *user_data);
    void (*free_fn)(void *ptr, void *user_data);
    void *user_data;
} tkx_allocator;

/**
 * Use @p allocator for every allocation of the library itself; NULL restores malloc.
 *
 * Thread:    one, before any other call.  The functions are called from any thread.
 * Ownership: copied.
 * Errors:    INVALID_ARGUMENT for a missing function or a foreign struct_size.
 */
TKX_API tkx_status tkx_set_allocator(const tkx_allocator *allocator);

TKX_END_DECLS
#endif
