/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future_deadline.c - an end to waiting: limits of single operations, and the watchdog
 * that names those in one state for long.
 *
 * A limit is a timer with a watch: whichever comes first, time or outcome, frees it.
 */
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/context_impl.h"
#include "client/future_cell.h"

/* ---- limits ---- */

typedef struct limit {
    tkx__future_watch watch; /* first */
    tkx_future *future;      /* counted until the timer runs, then the watch's */
    tkx__timer *timer;
    int64_t at_ms;
    int64_t timeout_ms;
} limit;

static void free_limit(limit *l)
{
    const tkx__io *io = tkx__context_io(l->future->context);

    io->ops->timer_free(io->ctx, l->timer);
    tkx__free(l);
}

static void on_outcome(tkx_future *future, tkx__future_watch *watch)
{
    (void)future;
    free_limit((limit *)watch);
}

static void on_due(void *arg)
{
    limit *l = arg;
    tkx_future *future = l->future;
    tkx_error *error = NULL;
    tkx_error *cause = tkx__context_last_trouble(future->context, future->born_ms);
    char text[512];

    tkx_future_describe(future, text, sizeof text);
    tkx__fail_cause(&error, TKX_ERR_TIMEOUT, NULL, &cause, "gave up after %.1f s; %s",
                    (double)l->timeout_ms / 1000, text);
    tkx__future_give_up(future, &error); /* frees l */
}

/* Loop thread; l is taken. */
static bool arm(limit *l)
{
    tkx_future *future = l->future;
    const tkx__io *io = tkx__context_io(future->context);
    int64_t left = l->at_ms - io->ops->now_ms(io->ctx);

    l->timer = io->ops->timer_new(io->ctx, on_due, l);
    if (!l->timer || !tkx__future_add_watch(future, &l->watch)) {
        bool has_memory = l->timer != NULL;
        free_limit(l);
        return has_memory;
    }
    io->ops->timer_arm(io->ctx, l->timer, left > 0 ? left : 0);
    return true;
}

static void arm_posted(void *arg)
{
    limit *l = arg;
    tkx_future *future = l->future;
    tkx_error *error = NULL;

    if (!arm(l)) { /* the caller was told that there is a limit */
        tkx__fail_memory(&error);
        tkx__future_give_up(future, &error);
    }
    tkx_future_unref(future);
}

static limit *new_limit(tkx_future *future, int64_t timeout_ms, int64_t from_ms)
{
    limit *l = tkx__calloc(1, sizeof *l);

    if (l)
        *l = (limit){.watch = {.fn = on_outcome},
                     .future = future,
                     .timeout_ms = timeout_ms,
                     .at_ms = timeout_ms < INT64_MAX / 2 ? from_ms + timeout_ms
                                                         : INT64_MAX / 2};
    return l;
}

bool tkx__future_limit(tkx_future *future, int64_t timeout_ms)
{
    limit *l;

    if (timeout_ms <= 0)
        timeout_ms = tkx__context_options(future->context)->call_timeout_ms;
    if (timeout_ms <= 0)
        return true;
    l = new_limit(future, timeout_ms, future->born_ms);
    return l && arm(l);
}

tkx_status tkx_future_set_deadline(tkx_future *future, int64_t timeout_ms,
                                   tkx_error **err)
{
    const tkx__io *io;
    limit *l;

    if (!future)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_future_set_deadline: no "
                         "future");
    if (tkx_future_is_done(future))
        return TKX_OK;
    io = tkx__context_io(future->context);
    l = new_limit(future, timeout_ms > 0 ? timeout_ms : 0, io->ops->now_ms(io->ctx));
    if (!l)
        return tkx__fail_memory(err);
    tkx_future_ref(future);
    if (io->ops->post(io->ctx, arm_posted, l))
        return TKX_OK;
    tkx_future_unref(future);
    tkx__free(l);
    if (tkx__context_is_closed(future->context))
        return tkx__fail(err, TKX_ERR_CLOSED, "the context is closed");
    return tkx__fail_memory(err);
}
