/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/core_share.h - threads of a pool on cores that other processes want, too.
 *
 * A thread that shares its core loses it at the end of its time slice, wherever it is,
 * and whoever waits for the piece it holds waits for a whole slice of the other process.
 * A thread that has seen that happen therefore yields between two pieces, a little before
 * it would lose the core again.  And two threads of a pool that the kernel has put on one
 * core, so that the other process has one for itself, part.
 */
#ifndef TKX_INFER_CORE_SHARE_H
#define TKX_INFER_CORE_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tkx__core_share {
    int64_t since;     /* when the thread got its core, as far as it knows */
    int64_t seen;      /* when it last looked */
    int64_t most;      /* ns to run before yielding; 0: nobody else wants the core */
    long n_lost;       /* times the kernel has taken the core */
    int n_in_vain;     /* yields in a row that nobody took */
    int n_stacked;     /* looks in a row that found another thread of the pool here */
    _Atomic int place; /* the core where it was seen last, plus 1; others read it */
} tkx__core_share;

int64_t tkx__core_now(void); /* ns */

/* Thread `mine` of n, which holds no piece now.  May yield, or move to another core. */
void tkx__core_share_look(tkx__core_share *all, size_t n, size_t mine);

/* The core is given to whoever wants it, at once. */
void tkx__core_yield(void);

static inline bool tkx__core_is_contested(const tkx__core_share *share)
{
    return share->most != 0;
}

#endif
