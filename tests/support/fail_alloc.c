/* SPDX-License-Identifier: Apache-2.0 */
/* fail_alloc.c - an allocator that fails on request and counts what it gave out. */
#include "support/fail_alloc.h"

#include <stdatomic.h>
#include <stdlib.h>

#include <tkx/memory.h>

static atomic_size_t countdown;
static atomic_long alive;
static atomic_int hit;

static int fails_now(void)
{
    if (atomic_load(&countdown) == 0 || atomic_fetch_sub(&countdown, 1) != 1)
        return 0;
    atomic_store(&hit, 1);
    return 1;
}

static void *failing_malloc(size_t size, void *user_data)
{
    void *ptr = fails_now() ? NULL : malloc(size);

    (void)user_data;
    if (ptr)
        atomic_fetch_add(&alive, 1);
    return ptr;
}

static void *failing_realloc(void *old, size_t size, void *user_data)
{
    int was_null = !old;
    void *ptr = fails_now() ? NULL : realloc(old, size);

    (void)user_data;
    if (ptr && was_null)
        atomic_fetch_add(&alive, 1);
    return ptr;
}

static void counting_free(void *ptr, void *user_data)
{
    (void)user_data;
    atomic_fetch_sub(&alive, 1);
    free(ptr);
}

void fail_alloc_begin(size_t nth)
{
    static const tkx_allocator failing = {sizeof(tkx_allocator), failing_malloc,
                                          failing_realloc, counting_free, NULL};

    atomic_store(&countdown, nth);
    atomic_store(&alive, 0);
    atomic_store(&hit, 0);
    tkx_set_allocator(&failing);
}

int fail_alloc_hit(void)
{
    return atomic_load(&hit);
}

long fail_alloc_end(void)
{
    tkx_set_allocator(NULL);
    return atomic_load(&alive);
}
