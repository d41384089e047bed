/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/limiter.h - how many samples are submitted at once, learnt from push-backs (429).
 *
 * The protocol's own rules stay: 400 submits at once, a pause after a push-back, and 10
 * submits until ten seconds behind it.  They forget at once, so a service that cannot
 * take 400 is run into the same wall again and again.  The limiter remembers: a push-back
 * within a minute of the last one's end halves the number of submits and their bytes,
 * and each round of accepted submits adds one again.  The first push-back changes
 * nothing.  Those of training submits and of polls count, too.
 */
#ifndef TKX_LIMITER_H
#define TKX_LIMITER_H

#include <tkx/context.h>

TKX_BEGIN_DECLS

/* Given in tkx_context_options.  Start from TKX_LIMITER_OPTIONS_INIT. */
typedef struct tkx_limiter_options {
    size_t struct_size;
    int is_off;        /* 1: the protocol's rules alone */
    int min_in_flight; /* never fewer; 0: 10 */
    int max_in_flight; /* never more; 0: 400 */
    int64_t memory_ms; /* push-backs that far apart have nothing to do with each other;
                          0: 60,000 */
} tkx_limiter_options;

#define TKX_LIMITER_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_limiter_options)                                       \
    }

/* Start from TKX_LIMITER_INFO_INIT. */
typedef struct tkx_limiter_info {
    size_t struct_size;
    int max_in_flight; /* submits at once, as learnt so far */
    int n_in_flight;   /* now */
    uint64_t n_push_backs;
    uint64_t n_cuts; /* how often the number was halved */
} tkx_limiter_info;

#define TKX_LIMITER_INFO_INIT                                                            \
    {                                                                                    \
        .struct_size = sizeof(tkx_limiter_info)                                          \
    }

/**
 * What has been learnt.  Takes no lock.
 *
 * Thread:    any.
 * Errors:    INVALID_ARGUMENT (a struct without its size).
 */
TKX_API tkx_status tkx_limiter_look(const tkx_context *context, tkx_limiter_info *info,
                                    tkx_error **err);

TKX_END_DECLS
#endif
