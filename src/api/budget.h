/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/budget.h - a byte budget with a first-come queue.  Loop thread only.
 *
 * An item waits only while the balance is negative, and may push it below zero.  So one
 * item larger than the whole budget gets through, and the next waits until it is back.
 */
#ifndef TKX_API_BUDGET_H
#define TKX_API_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct tkx__budget_wait {
    struct tkx__budget_wait *next, *prev;
    void (*fn)(void *arg); /* the bytes are taken */
    void *arg;
    int64_t cost;
    bool is_waiting;
} tkx__budget_wait;

typedef struct tkx__budget {
    int64_t balance;
    tkx__budget_wait *head, *tail;
    bool is_waking;
} tkx__budget;

void tkx__budget_init(tkx__budget *budget, int64_t size);

/* True: taken at once, fn will not run.  False: queued; fn runs inside a later give. */
bool tkx__budget_take(tkx__budget *budget, tkx__budget_wait *wait, int64_t cost,
                      void (*fn)(void *arg), void *arg);
void tkx__budget_give(tkx__budget *budget, int64_t cost);
/* Leave the queue; nothing was taken. */
void tkx__budget_leave(tkx__budget *budget, tkx__budget_wait *wait);

#endif
