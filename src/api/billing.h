/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/billing.h - the pause after HTTP 402: a long job should survive until the account
 * is topped up, but not hang for ever.  One state for all calls of a site.  Loop thread
 * only.
 */
#ifndef TKX_API_BILLING_H
#define TKX_API_BILLING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

#define TKX__BILLING_SLEEP_MS 5000

typedef struct tkx__billing {
    const tkx__log *log;
    int64_t max_pause_ms; /* server-set; 0 fails the first 402 */
    int64_t since_ms;     /* first 402 of the incident; -1: none */
    int64_t logged_ms;    /* last warning; -1: none */
    /* Told when an incident begins (paused) and when a paused call gets through; may be
     * NULL. */
    void (*changed)(void *arg, bool is_paused, int64_t since_ms);
    void *arg;
} tkx__billing;

void tkx__billing_init(tkx__billing *billing, const tkx__log *log);

/* A 402 came: true = pause and repeat, false = the window has passed, let it fail. */
bool tkx__billing_on_402(tkx__billing *billing, int64_t now_ms);

/* A call that was paused got another answer.  The incident itself ends only after five
   minutes without a 402: other routes may answer all the while. */
void tkx__billing_on_recovery(tkx__billing *billing);

#endif
