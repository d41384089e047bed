/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/timers.h - a heap of timers, each one small block, so that thousands cost little.
 *
 * Not thread-safe; knows no clock: the caller says what time it is.
 */
#ifndef TKX_NET_TIMERS_H
#define TKX_NET_TIMERS_H

#include "net/io.h"

typedef struct tkx__timers {
    tkx__timer **heap; /* [size]; earliest first, equal deadlines in order of arming */
    size_t size;
    size_t capacity;
    size_t n_made; /* room is kept for all of them, so that arming cannot fail */
    uint64_t n_arms;
} tkx__timers;

void tkx__timers_clear(
    tkx__timers *timers); /* the array alone; timers belong to others */
tkx__timer *tkx__timers_new(tkx__timers *timers, tkx__task_fn *fn, void *arg);
void tkx__timers_arm(tkx__timers *timers, tkx__timer *timer, int64_t due_ms);
void tkx__timers_disarm(tkx__timers *timers, tkx__timer *timer);
void tkx__timers_free(tkx__timers *timers, tkx__timer *timer); /* accepts NULL */

/* When the earliest is due; INT64_MAX: none is armed. */
int64_t tkx__timers_next(const tkx__timers *timers);
/* Run what was armed before this call and is due; returns how many ran. */
size_t tkx__timers_run(tkx__timers *timers, int64_t now_ms);

#endif
