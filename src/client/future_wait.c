/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future_wait.c - the audience of a future: callbacks on the loop thread, threads that
 * block.
 */
#include <errno.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/deadline.h"
#include "client/future_cell.h"

/* ---- the user's callbacks ---- */

typedef struct callback {
    tkx__future_watch watch; /* first */
    tkx_future_fn *fn;
    void *user_data;
    tkx_future *future; /* counted, when posted by itself */
} callback;

static void run_callback(tkx_future *future, tkx__future_watch *watch)
{
    callback *c = (callback *)watch;

    c->fn(future, c->user_data);
    tkx__free(c);
}

static void run_late_callback(void *arg)
{
    callback *c = arg;
    tkx_future *future = c->future;

    run_callback(future, &c->watch);
    tkx_future_unref(future);
}

/* The first callback finds its place in the future. */
static bool be_first(tkx_future *future, tkx_future_fn *fn, void *user_data)
{
    bool is_first;

    tkx__future_lock(future);
    is_first = !future->is_done && !future->callback;
    if (is_first) {
        future->callback = fn;
        future->callback_data = user_data;
    }
    tkx__future_unlock(future);
    return is_first;
}

tkx_status tkx_future_on_complete(tkx_future *future, tkx_future_fn *fn, void *user_data,
                                  tkx_error **err)
{
    const tkx__io *io;
    callback *c;

    if (!future || !fn)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "tkx_future_on_complete: future and function are both needed");
    if (be_first(future, fn, user_data))
        return TKX_OK;
    c = tkx__calloc(1, sizeof *c);
    if (!c)
        return tkx__fail_memory(err);
    *c =
        (callback){.watch = {run_callback, true, NULL}, .fn = fn, .user_data = user_data};
    if (tkx__future_add_watch(future, &c->watch))
        return TKX_OK;
    io = tkx__context_io(future->context);
    c->future = tkx_future_ref(future);
    if (io->ops->post(io->ctx, run_late_callback, c))
        return TKX_OK;
    tkx_future_unref(future);
    tkx__free(c);
    if (tkx__context_is_closed(future->context))
        return tkx__fail(err, TKX_ERR_CLOSED,
                         "the future has completed and its context is closed: no loop is "
                         "left to call back from");
    return tkx__fail_memory(err);
}

/* ---- waiting ---- */

int tkx_future_is_done(const tkx_future *future)
{
    int is_done;

    tkx__future_lock(future);
    is_done = future->is_done;
    tkx__future_unlock(future);
    return is_done;
}

/* Lock held. */
static void enlist(tkx_future *future, tkx__waiter *waiter)
{
    waiter->next = future->waiters;
    future->waiters = waiter;
}

/* Lock held.  True when it completed in time. */
static bool block(tkx_future *future, pthread_mutex_t *mutex, int64_t timeout_ms)
{
    tkx__waiter self;
    struct timespec deadline;
    int rc = 0;

    tkx__cond_init(&self.woken);
    enlist(future, &self);
    if (timeout_ms >= 0)
        tkx__deadline_after(timeout_ms, &deadline);
    while (!future->is_done && rc != ETIMEDOUT)
        rc = timeout_ms < 0 ? pthread_cond_wait(&self.woken, mutex)
                            : pthread_cond_timedwait(&self.woken, mutex, &deadline);
    for (tkx__waiter **at = &future->waiters; *at; at = &(*at)->next)
        if (*at == &self) {
            *at = self.next;
            break;
        }
    pthread_cond_destroy(&self.woken);
    return future->is_done;
}

static tkx_status say_timeout(const tkx_future *future, int64_t timeout_ms,
                              tkx_error **err)
{
    tkx_future_progress_info p = TKX_FUTURE_PROGRESS_INIT;

    if (!err)
        return TKX_ERR_TIMEOUT;
    tkx_future_progress(future, &p, NULL);
    tkx_error *cause = tkx__context_last_trouble(future->context, future->born_ms);
    return tkx__fail_cause(
        err, TKX_ERR_TIMEOUT, NULL, &cause,
        "waited %lld ms for the %s: it is %s since %lld ms (age %lld ms, %u "
        "attempts, %u polls, last HTTP status %d%s%s); it goes on, wait again "
        "or cancel it",
        (long long)timeout_ms, future->type->name, tkx_future_state_name(p.state),
        (long long)p.state_age_ms, (long long)p.age_ms, p.n_attempts, p.n_polls,
        p.last_http_status, p.queue_reason[0] ? "; the service says: " : "",
        p.queue_reason);
}

tkx_status tkx_future_wait(tkx_future *future, int64_t timeout_ms, tkx_error **err)
{
    const tkx__io *io;
    pthread_mutex_t *mutex;
    bool is_done;

    if (!future)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "tkx_future_wait: no future");
    if (tkx_future_is_done(future))
        return TKX_OK;
    io = tkx__context_io(future->context);
    if (timeout_ms != 0 && io->ops->in_loop(io->ctx))
        return tkx__fail(
            err, TKX_ERR_WOULD_BLOCK,
            "tkx_future_wait on the loop thread would stop the loop that "
            "completes the %s: use tkx_future_on_complete, or wait on another "
            "thread",
            future->type->name);
    mutex = tkx__future_lock(future);
    is_done = future->is_done || (timeout_ms != 0 && block(future, mutex, timeout_ms));
    tkx__future_unlock(future);
    return is_done ? TKX_OK : say_timeout(future, timeout_ms, err);
}

const tkx_error *tkx_future_error(const tkx_future *future)
{
    const tkx_error *error;

    if (!future)
        return NULL;
    tkx__future_lock(future);
    /* set once, freed with the future */
    error = future->has_failed ? future->outcome.error : NULL;
    tkx__future_unlock(future);
    return error;
}
