/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/loop_impl.h - the inside of the loop, for src/net alone.
 */
#ifndef TKX_NET_LOOP_IMPL_H
#define TKX_NET_LOOP_IMPL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdatomic.h>

#include "net/inbox.h"
#include "net/lane.h"
#include "net/timers.h"
#include "net/workers.h"

struct tkx__loop {
    tkx__io io;
    const tkx__log *log;
    tkx__loop_config config; /* strings in strings */
    char *strings;
    struct event_base *base;
    bool is_lent;
    pthread_t thread; /* when not lent */
    bool has_started, has_ended;
    atomic_bool must_stop;
    _Atomic(const void *) thread_mark; /* tells the loop thread from others */

    tkx__inbox inbox;
    tkx__workers *workers;
    tkx__workers *user_code; /* one thread, for functions of the user */

    /* Loop thread only. */
    int depth; /* above 0: inside a callback of ours, whose turn will look at
                  everything */
    struct event wake_event;
    struct event alarm_event; /* a timerfd: libevent's own clock may be 4 ms coarse */
    struct event timers_ran_event; /* due at once while n_bulk counts */
    int alarm_fd;
    int64_t alarm_ms; /* what it is set to; INT64_MAX: nothing */
    tkx__timers timers;
    tkx__lane_state lanes[TKX__N_LANES];
    tkx__sock **socks; /* by descriptor */
    size_t n_socks;
    tkx__sock *changed;   /* to be flushed */
    uint64_t n_moved;     /* bytes of bodies, both ways */
    uint64_t n_bulk;      /* those of large ones since timers were looked at */
    tkx__transfer *open;  /* all that were sent and not told */
    tkx__transfer *big;   /* of these, large uploads that have not begun, in order */
    tkx__transfer *spare; /* ready for the next request */
    size_t n_spare;
    uint64_t random;
    tkx__loop_stats stats;
};

int64_t tkx__loop_now(const tkx__loop *loop);
/* Around everything libevent calls. */
void tkx__loop_enter(tkx__loop *loop);
void tkx__loop_leave(tkx__loop *loop);

#endif
