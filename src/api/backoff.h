/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/backoff.h - how long to wait before a request is sent again, and whether to.
 *
 * Pure functions: the caller passes clock and randomness.  @u is uniform in [0, 1).
 */
#ifndef TKX_API_BACKOFF_H
#define TKX_API_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "net/io.h"

#define TKX__OUTER_BUDGET_MS 300000

/* Inner layer, before resend number n_retries + 1: min(0.5 s * 2^n, 10 s) * (1 - u/4). */
int64_t tkx__backoff_inner_ms(unsigned n_retries, double u);

/* Outer layer: full jitter over min(2^n s, 30 s), n = failures so far. */
int64_t tkx__backoff_outer_ms(unsigned n_failures, double u);

/* Polling without a link, or after a 429: min(2^n s, 30 s), n from 0. */
int64_t tkx__backoff_link_ms(unsigned n_failures);

/* Floor under polls that come back too fast: min(0.25 s * 2^n, 5 s), half of it
   jittered. */
int64_t tkx__backoff_floor_ms(unsigned n_fast, double u);

/* Sampling retry handler, before attempt n + 1: base * 2^(n-1), +-25 %, in [0, max]. */
int64_t tkx__backoff_sample_ms(unsigned n_attempts, int64_t base_ms, int64_t max_ms,
                               double jitter, double u);

/* The wait that an answer asks for: retry-after-ms, else retry-after as seconds or as a
   date.  -1 when it says none, or one outside (0, 60] seconds. */
int64_t tkx__backoff_asked_ms(const tkx__reply *reply, int64_t wall_ms);

bool tkx__status_is_retryable(int http_status); /* 408, 409, 429, >= 500 */
/* The same, but x-should-retry decides where it is given. */
bool tkx__reply_should_retry(const tkx__reply *reply);

/* "Sun, 06 Nov 1994 08:49:37 GMT" in ms since 1970; -1 for anything else. */
int64_t tkx__http_date_ms(const char *text);

#endif
