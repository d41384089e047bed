/* SPDX-License-Identifier: Apache-2.0 */
/*
 * future.c - one cell that is written once: made, completed, given up, taken.
 *
 * The rules are in future_cell.h; waiting and callbacks in future_wait.c, what a pending
 * future tells about itself in future_progress.c.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/future_cell.h"

#define L PTHREAD_MUTEX_INITIALIZER
static pthread_mutex_t locks[16] = {L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L};
#undef L

static pthread_mutex_t *lock_of(const tkx_future *future)
{
    return &locks[((uintptr_t)future >> 6) % (sizeof locks / sizeof *locks)];
}

pthread_mutex_t *tkx__future_lock(const tkx_future *future)
{
    pthread_mutex_lock(lock_of(future));
    return lock_of(future);
}

void tkx__future_unlock(const tkx_future *future)
{
    pthread_mutex_unlock(lock_of(future));
}

static int64_t now_ms(const tkx_future *future)
{
    const tkx__io *io = tkx__context_io(future->context);

    return io->ops->now_ms(io->ctx);
}

uint32_t tkx__future_age(const tkx_future *future)
{
    int64_t age = now_ms(future) - future->born_ms;

    return age < 0 ? 0 : age > UINT32_MAX ? UINT32_MAX : (uint32_t)age;
}

/* ---- life ---- */

tkx_future *tkx__future_new(tkx_context *context, const tkx__result_type *type,
                            tkx__future_end_fn *on_end, void *arg, tkx_error **err)
{
    tkx_future *future = tkx__calloc(1, sizeof *future);

    if (!future) {
        tkx__fail_memory(err);
        return NULL;
    }
    atomic_init(&future->n_refs, 1);
    future->context = context;
    future->type = type;
    future->on_end = on_end;
    future->end_arg = arg;
    future->born_ms = now_ms(future);
    if (tkx__context_link(context, future, err) != TKX_OK) {
        tkx__free(future);
        return NULL;
    }
    return future;
}

tkx_future *tkx_future_ref(tkx_future *future)
{
    if (future)
        atomic_fetch_add_explicit(&future->n_refs, 1, memory_order_relaxed);
    return future;
}

void tkx_future_unref(tkx_future *future)
{
    if (!future ||
        atomic_fetch_sub_explicit(&future->n_refs, 1, memory_order_acq_rel) != 1)
        return;
    if (!future->is_done) /* its producer let go of it without an outcome */
        tkx__context_unlink(future->context, future);
    if (future->has_failed)
        tkx_error_free(future->outcome.error);
    else if (future->outcome.result && future->type->free_fn)
        future->type->free_fn(future->outcome.result);
    tkx__context_unref(future->context);
    tkx__free(future->queue_reason);
    tkx__free(future);
}

tkx_context *tkx__future_context(const tkx_future *future)
{
    return future->context;
}

tkx__future_links *tkx__future_get_links(tkx_future *future)
{
    return &future->links;
}

/* ---- completing ---- */

/* Split what has to be told: at once, or at the next turn. */
static bool take_watches(tkx_future *future, tkx__future_watch **now)
{
    tkx__future_watch **posted = &future->watches;

    *now = NULL;
    while (*posted) {
        tkx__future_watch *watch = *posted;

        if (watch->is_posted) {
            posted = &watch->next;
            continue;
        }
        *posted = watch->next;
        watch->next = *now;
        *now = watch;
    }
    return future->watches || future->callback;
}

static void run(tkx_future *future, tkx__future_watch *watch)
{
    while (watch) {
        tkx__future_watch *next = watch->next; /* fn frees the node */

        watch->fn(future, watch);
        watch = next;
    }
}

/* The only way to DONE; false when it was there already. */
static bool complete(tkx_future *future, void *result, tkx_error *error)
{
    uint32_t age = tkx__future_age(future);
    tkx__future_watch *at_once;
    bool is_due;

    tkx__future_lock(future);
    if (future->is_done) {
        tkx__future_unlock(future);
        return false;
    }
    future->is_done = true;
    future->has_failed = error != NULL;
    if (error)
        future->outcome.error = error;
    else
        future->outcome.result = result;
    future->on_end = NULL;
    future->state = TKX_FUTURE_DONE;
    future->state_since = future->done_at = age;
    tkx__future_add_history(future, age, TKX_FUTURE_DONE, tkx_error_http_status(error));
    is_due = take_watches(future, &at_once);
    /* Signalled under the lock: a waiter's condition is on its stack and gone once it has
       seen is_done. */
    for (tkx__waiter *w = future->waiters; w; w = w->next)
        pthread_cond_signal(&w->woken);
    tkx_future_ref(future);
    tkx__future_unlock(future);
    tkx__context_unlink(future->context, future);
    run(future, at_once);
    if (is_due)
        tkx__context_add_ready(future->context, future);
    tkx_future_unref(future);
    return true;
}

void tkx__future_succeed(tkx_future *future, void *result)
{
    if (!complete(future, result, NULL) && result && future->type->free_fn)
        future->type->free_fn(result);
}

void tkx__future_fail(tkx_future *future, tkx_error **error)
{
    tkx_error *taken = *error;

    *error = NULL;
    if (!taken)
        tkx__fail_memory(&taken);
    if (!complete(future, NULL, taken))
        tkx_error_free(taken);
}

void tkx__future_run_watches(tkx_future *future)
{
    tkx__future_watch *watches, *in_order = NULL;
    tkx_future_fn *callback;

    tkx__future_lock(future);
    callback = future->callback;
    future->callback = NULL;
    watches = future->watches;
    future->watches = NULL;
    tkx__future_unlock(future);
    if (callback)
        callback(future, future->callback_data);
    while (watches) { /* they were pushed at the front */
        tkx__future_watch *next = watches->next;

        watches->next = in_order;
        in_order = watches;
        watches = next;
    }
    run(future, in_order);
}

bool tkx__future_add_watch(tkx_future *future, tkx__future_watch *watch)
{
    bool is_pending;

    tkx__future_lock(future);
    is_pending = !future->is_done;
    if (is_pending) {
        watch->next = future->watches;
        future->watches = watch;
    }
    tkx__future_unlock(future);
    return is_pending;
}

/* ---- giving up ---- */

void tkx__future_end(tkx_future *future, tkx_status reason)
{
    tkx__future_end_fn *on_end;
    tkx_error *error = NULL;
    void *arg;

    tkx__future_lock(future);
    on_end = future->is_done ? NULL : future->on_end;
    arg = future->end_arg;
    future->on_end = NULL;
    tkx__future_unlock(future);
    if (on_end)
        on_end(future, reason, arg);
    if (tkx_future_is_done(future))
        return;
    tkx__fail(&error, reason,
              reason == TKX_ERR_CLOSED ? "the context was closed before the %s came"
                                       : "the %s was cancelled",
              future->type->name);
    tkx__future_fail(future, &error);
}

void tkx__future_give_up(tkx_future *future, tkx_error **error)
{
    tkx__future_end_fn *on_end;
    void *arg;

    tkx_future_ref(future);
    tkx__future_lock(future);
    on_end = future->is_done ? NULL : future->on_end;
    arg = future->end_arg;
    future->on_end = NULL;
    future->is_cancelled = true;
    tkx__future_unlock(future);
    tkx__future_fail(future, error);
    if (on_end)
        on_end(future, TKX_ERR_CANCELLED, arg);
    tkx_future_unref(future);
}

static void end_cancelled(void *arg)
{
    tkx_future *future = arg;

    tkx__future_end(future, TKX_ERR_CANCELLED);
    tkx_future_unref(future);
}

tkx_cancel_outcome tkx_future_cancel(tkx_future *future)
{
    static const tkx_cancel_outcome outcomes[] = {
        [TKX__CANCEL_DETACH] = TKX_CANCEL_DETACHED,
        [TKX__CANCEL_REMOVE] = TKX_CANCEL_REMOVED,
        [TKX__CANCEL_TELL] = TKX_CANCEL_SENT,
    };
    tkx_cancel_outcome outcome = TKX_CANCEL_TOO_LATE;
    const tkx__io *io;

    if (!future)
        return outcome;
    io = tkx__context_io(future->context);
    tkx__future_lock(future);
    tkx_future_ref(future);
    /* Posted under the lock, so that the flag is set before the loop can look. */
    if (!future->is_done && !future->is_cancelled &&
        io->ops->post(io->ctx, end_cancelled, future)) {
        future->is_cancelled = true;
        outcome = outcomes[future->cancel_mode];
    }
    tkx__future_unlock(future);
    if (outcome == TKX_CANCEL_TOO_LATE)
        tkx_future_unref(future);
    return outcome;
}

bool tkx__future_set_cancel_mode(tkx_future *future, tkx__cancel_mode mode)
{
    bool is_wanted;

    tkx__future_lock(future);
    is_wanted = !future->is_cancelled;
    if (is_wanted)
        future->cancel_mode = (uint8_t)mode;
    tkx__future_unlock(future);
    return is_wanted;
}

bool tkx__future_is_cancelled(const tkx_future *future)
{
    bool is_cancelled;

    tkx__future_lock(future);
    is_cancelled = future->is_cancelled;
    tkx__future_unlock(future);
    return is_cancelled;
}

void tkx__future_forget_owner(tkx_future *future)
{
    tkx__future_lock(future);
    future->on_end = NULL;
    future->end_arg = NULL;
    tkx__future_unlock(future);
}

/* ---- taking ---- */

tkx_status tkx__future_take(tkx_future *future, const tkx__result_type *type, void **out,
                            tkx_error **err)
{
    tkx_status status = TKX_OK;
    bool is_done, was_taken;

    if (!future || !out)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "take: no future or no place for "
                         "its result");
    if (future->type != type)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "this future's result: %s; asked for: %s", future->type->name,
                         type->name);
    tkx__future_lock(future);
    is_done = future->is_done;
    was_taken = future->is_taken;
    if (is_done && !future->has_failed && !was_taken) {
        *out = future->outcome.result;
        future->outcome.result = NULL;
        future->is_taken = true;
    }
    tkx__future_unlock(future);
    if (!is_done)
        return tkx__fail(err, TKX_ERR_INVALID_STATE,
                         "the %s has not come yet: wait for the future first",
                         type->name);
    if (future->has_failed) {
        status = tkx_error_status(future->outcome.error);
        if (err)
            tkx__fail_with(err, tkx__error_copy(future->outcome.error));
    } else if (was_taken) {
        status =
            tkx__fail(err, TKX_ERR_INVALID_STATE, "the %s was taken before", type->name);
    }
    return status;
}
