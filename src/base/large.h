/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/large.h - memory of tables that are read all over: on large pages where the system
 * has them.  A page fault for each 4 KiB of a fresh table and a walk through the page
 * tables for each read of it cost more than the reads themselves.
 *
 * Thread: any.
 */
#ifndef TKX_BASE_LARGE_H
#define TKX_BASE_LARGE_H

#include <stdbool.h>
#include <stddef.h>

/* size bytes at the start of a cache line, of a large page from 1 MiB on; NULL when memory
   is short.  *block is what tkx__free() takes. */
void *tkx__large_alloc(size_t size, bool is_zeroed, void **block);

/* Have memory on large pages that was not used yet; small memory stays as it is. */
void tkx__large_advise(void *memory, size_t size);

#endif
