/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/limiter.h - additive increase, multiplicative decrease of submits at once.
 *
 * A push-back opens an episode, which lasts until the protocol's own throttled time is
 * over; push-backs inside it belong to it.  Only an episode that follows another one
 * within memory_ms cuts.  Written on the loop thread; any thread may look.
 */
#ifndef TKX_API_LIMITER_H
#define TKX_API_LIMITER_H

#include <stdatomic.h>
#include <stdbool.h>

#include <tkx/limiter.h>

typedef struct tkx__limiter {
    tkx_limiter_options options; /* filled in */
    double window;
    int64_t episode_end_ms; /* of the latest; -1: none yet */
    atomic_int limit;       /* the window in whole submits */
    atomic_int n_in_flight;
    atomic_ullong n_push_backs, n_cuts;
} tkx__limiter;

/* options may be NULL.  INVALID_ARGUMENT for numbers that make no sense. */
tkx_status tkx__limiter_init(tkx__limiter *limiter, const tkx_limiter_options *options,
                             tkx_error **err);
/* The service pushed back; until then the protocol throttles. */
void tkx__limiter_on_push_back(tkx__limiter *limiter, int64_t now_ms, int64_t until_ms,
                               int n_inside);
/* The same, told to a submit for training or to a poll: those wait by rules of their own,
   nothing is throttled by it. */
void tkx__limiter_on_other_push_back(tkx__limiter *limiter, int64_t now_ms);
/* It took a submit. */
void tkx__limiter_on_accepted(tkx__limiter *limiter, int64_t now_ms);
static inline int tkx__limiter_limit(tkx__limiter *limiter)
{
    return atomic_load_explicit(&limiter->limit, memory_order_relaxed);
}
void tkx__limiter_note_inside(tkx__limiter *limiter, int change);

#endif
