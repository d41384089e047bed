/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/dispatch.h - how many samples may be on their way to the service at once.
 *
 * Shared by all sampling clients of a site: 400 submits, 10 of them while the service has
 * pushed back lately, and a budget of prompt bytes.  First come, first served.  Loop
 * thread only.
 */
#ifndef TKX_API_DISPATCH_H
#define TKX_API_DISPATCH_H

#include "api/site.h"

#define TKX__DISPATCH_SLOTS 400
#define TKX__DISPATCH_THROTTLED_SLOTS 10

typedef struct tkx__dispatch tkx__dispatch;

/* Embedded in who waits; zeroed but for the estimate before it enters. */
typedef struct tkx__dispatch_wait {
    struct tkx__dispatch_wait *next, *prev;
    uint32_t estimate; /* bytes of the prompt */
    bool is_waiting;
    bool is_inside;
    bool is_throttled;
} tkx__dispatch_wait;

typedef void tkx__dispatch_fn(tkx__dispatch_wait *wait);

/* admitted is told of everybody who had to wait.  NULL: out of memory. */
tkx__dispatch *tkx__dispatch_new(tkx__site *site, tkx__dispatch_fn *admitted);
void tkx__dispatch_free(tkx__dispatch *dispatch); /* accepts NULL */

/* True: inside at once, and nobody is told. */
bool tkx__dispatch_enter(tkx__dispatch *dispatch, tkx__dispatch_wait *wait);
/* Give back what was taken, or leave the queue; neither is fine too. */
void tkx__dispatch_leave(tkx__dispatch *dispatch, tkx__dispatch_wait *wait);

/* The service pushed back on a prompt of that size: everybody waits 1 s, or 5 s. */
void tkx__dispatch_push_back(tkx__dispatch *dispatch, int64_t estimate);
/* It took a submit. */
void tkx__dispatch_accepted(tkx__dispatch *dispatch);
/* Milliseconds until submits may go out again; 0: now.  With a little jitter, so that
   they do not all go out in the same instant. */
int64_t tkx__dispatch_delay_ms(tkx__dispatch *dispatch);

#endif
