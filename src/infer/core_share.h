/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/core_share.h - giving the core away at a good moment.
 *
 * A thread that shares its core with another process loses it at the end of its time
 * slice, wherever it is, and whoever waits for the piece it holds waits for a whole slice
 * of the other process.  A thread that has seen that happen therefore yields between two
 * pieces, a little before it would lose the core again.
 */
#ifndef TKX_INFER_CORE_SHARE_H
#define TKX_INFER_CORE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tkx__core_share {
    int64_t since; /* when the thread got its core, as far as it knows */
    int64_t seen;  /* when it last looked */
    int64_t most;  /* ns to run before yielding; 0: nobody else wants the core */
    long n_lost;   /* times the kernel has taken the core */
    int n_in_vain; /* yields in a row that nobody took */
} tkx__core_share;

int64_t tkx__core_now(void); /* ns */

/* The thread holds no work now.  May yield. */
void tkx__core_share_look(tkx__core_share *share);

/* The core is given to whoever wants it, at once. */
void tkx__core_yield(void);

static inline bool tkx__core_is_contested(const tkx__core_share *share)
{
    return share->most != 0;
}

#endif
