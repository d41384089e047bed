/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail_alloc.h - make the nth allocation of the library fail, and count what is alive.
 *
 * Usage: for (n = 1;; n++) { fail_alloc_begin(n); st = call(); ended = !fail_alloc_hit();
 * ck_assert(fail_alloc_end() == 0); if (ended) break; }
 */
#ifndef TESTS_SUPPORT_FAIL_ALLOC_H
#define TESTS_SUPPORT_FAIL_ALLOC_H

#include <stddef.h>

/* Allocations succeed until the nth (from 1), which fails; all after it succeed. */
void fail_alloc_begin(size_t nth);
int fail_alloc_hit(void);
/* Restore the allocator; returns blocks allocated since begin and not freed. */
long fail_alloc_end(void);

#endif
