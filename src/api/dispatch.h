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

typedef struct tkx__dispatch_wait {
    struct tkx__dispatch_wait *next, *prev;
    void (*fn)(void *arg); /* admitted */
    void *arg;
    int64_t estimate; /* bytes of the prompt */
    int64_t cost;     /* what was taken of the budget */
    bool is_waiting;
    bool is_inside;
    bool is_throttled;
} tkx__dispatch_wait;

tkx__dispatch *tkx__dispatch_new(tkx__site *site); /* NULL: out of memory */
void tkx__dispatch_free(tkx__dispatch *dispatch);  /* accepts NULL */

/* True: admitted at once, fn will not run. */
bool tkx__dispatch_enter(tkx__dispatch *dispatch, tkx__dispatch_wait *wait,
                         int64_t estimate, void (*fn)(void *arg), void *arg);
/* Give back what was taken, or leave the queue; neither is fine too. */
void tkx__dispatch_leave(tkx__dispatch *dispatch, tkx__dispatch_wait *wait);

/* The service pushed back on a prompt of that size: everybody waits 1 s, or 5 s. */
void tkx__dispatch_push_back(tkx__dispatch *dispatch, int64_t estimate);
/* Milliseconds until submits may go out again; 0: now.  With a little jitter, so that
   they do not all go out in the same instant. */
int64_t tkx__dispatch_delay_ms(tkx__dispatch *dispatch);

#endif
