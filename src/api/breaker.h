/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/breaker.h - one circuit breaker for each lane of a context.
 *
 *     CLOSED --n failures--> OPEN --time--> HALF OPEN --probe succeeds--> CLOSED
 *                             ^                 |
 *                             +--probe fails----+
 *
 * The state is not stored: it follows from the time until which the breaker is open, so
 * no timer is needed.  Written on the loop thread only; any thread may look.
 */
#ifndef TKX_API_BREAKER_H
#define TKX_API_BREAKER_H

#include <stdatomic.h>

#include <tkx/breaker.h>

#include "net/io.h"

typedef struct tkx__breaker {
    atomic_int n_failures; /* in a row */
    atomic_int last_http_status;
    atomic_llong open_until_ms; /* on the io's clock; 0: closed */
    atomic_ullong n_opened;
    atomic_ullong n_refused;
    int64_t first_failure_ms; /* of the row */
    int64_t cool_down_ms;     /* of the next opening */
    bool has_probe;           /* the one request of the half-open state is under way */
} tkx__breaker;

typedef struct tkx__breakers {
    tkx_breaker_options rules; /* filled in */
    tkx__breaker of[TKX__N_LANES];
} tkx__breakers;

/* options may be NULL.  INVALID_ARGUMENT for numbers below 0. */
tkx_status tkx__breakers_init(tkx__breakers *breakers, const tkx_breaker_options *options,
                              tkx_error **err);

/* What came of a request. */
typedef enum tkx__breaker_verdict {
    TKX__BREAKER_NEUTRAL = 0, /* says nothing: cancelled, a long poll that ran out */
    TKX__BREAKER_SUCCESS,
    TKX__BREAKER_FAILURE
} tkx__breaker_verdict;

tkx__breaker_verdict tkx__breaker_judge(tkx__lane lane, const tkx__reply *reply);

/*
 * May a request go out?  0: yes, and *is_probe says whether it is the probe.  Else how
 * many milliseconds to wait until asking again.  Always 0 where nothing is refused.
 */
int64_t tkx__breaker_admit(tkx__breakers *breakers, tkx__lane lane, int64_t now_ms,
                           bool *is_probe);
/* What came of it; NEUTRAL also when it was dropped. */
void tkx__breaker_note(tkx__breakers *breakers, tkx__lane lane, int64_t now_ms,
                       bool is_probe, tkx__breaker_verdict verdict, int http_status);
/* A call is failed for it: the words, "the sample endpoint is ... until ...". */
void tkx__breaker_refused(tkx__breakers *breakers, tkx__lane lane, int64_t wait_ms,
                          int64_t wall_ms, char *text, size_t size);

void tkx__breaker_look(const tkx__breakers *breakers, tkx__lane lane, int64_t now_ms,
                       tkx_breaker_info *info);

#endif
