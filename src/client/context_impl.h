/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/context_impl.h - the inside of a context, for context*.c alone.
 */
#ifndef TKX_CLIENT_CONTEXT_IMPL_H
#define TKX_CLIENT_CONTEXT_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include <tkx/record.h>

#include "api/breaker.h"
#include "api/limiter.h"
#include "client/context_links.h"
#include "client/observe.h"
#include "client/spending.h"
#include "net/loop.h"
#include "net/tape.h"

/* How far closing has come; only ever forward. */
typedef enum tkx__close_phase {
    TKX__OPEN = 0,
    TKX__DRAINING, /* pending futures may finish */
    TKX__FAREWELL, /* closers send their last requests */
    TKX__ENDING,   /* futures fail with CLOSED, closers stop */
    TKX__ENDED     /* nothing of ours is left on the loop */
} tkx__close_phase;

struct tkx_context {
    atomic_uint n_refs;          /* the user's one, and one for each future */
    tkx_context_options options; /* resolved; strings in strings[] */
    char *strings;
    size_t strings_size;
    const char **extra_headers;
    tkx__log log;
    tkx__io io;
    tkx__loop *loop; /* NULL: on a given io */
    tkx__breakers breakers;
    tkx__limiter limiter;
    tkx__spending *spending;       /* NULL: not counted */
    tkx__observation *observation; /* NULL: nobody looks */
    tkx__tape *tape;               /* NULL: nothing is recorded or replayed */
    bool is_replay;

    struct {
        tkx_future *ready, **ready_tail;
        tkx__timer *ready_timer; /* armed with 0: callbacks at the next turn */
        tkx__timer *close_timer;
        tkx__timer *stuck_timer; /* armed while something is pending: context_watch.c */
        bool is_watching;
        tkx__closer *closers; /* latest first */
        int64_t close_at_ms;  /* when patience ends; -1: never */
        unsigned close_flags;
        int64_t close_deadline_ms; /* as given; written before close_node is posted */
        bool was_cut_short;
    } on_loop; /* loop thread only */

    struct {
        pthread_mutex_t lock;
        pthread_cond_t moved; /* phase has become ENDED */
        tkx_future *pending;
        size_t n_pending;
        tkx_error *trouble; /* the latest failed send that is repeated; NULL: none */
        int64_t trouble_ms;
        tkx__close_phase phase; /* moved on the loop thread, but for the end of OPEN */
    } shared;

    tkx__post_node close_node; /* so that closing needs no memory */
    pthread_mutex_t ending;    /* one thread ends the loop, others wait for it */
    bool is_loop_ended;        /* under ending */
};

/* Copy and resolve the options (environment, defaults, checks). */
tkx_status tkx__context_set_options(tkx_context *context, const tkx_context_options *from,
                                    tkx_error **err);
void tkx__context_clear_options(tkx_context *context);

/* record.c: what is asked for, and the layer under io. */
tkx_status tkx__context_read_record(const tkx_context_options *options,
                                    tkx_record_options *out, tkx_error **err);
tkx_status tkx__context_make_tape(tkx_context *context, tkx_error **err);
void tkx__context_free_tape(tkx_context *context);

/* The last pending future is gone while draining.  Loop thread. */
void tkx__context_drained(tkx_context *context);
/* Timers: callbacks of completed futures; patience is at an end. */
void tkx__context_run_ready(void *context);
void tkx__context_close_timer(void *context);
/* Timer: who has been in one state for long? */
void tkx__context_stuck_timer(void *context);

#endif
