/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context_close.c - the way from open to ended.
 *
 *     OPEN --close--> DRAINING --none pending, or deadline--> FAREWELL
 *          --all closers done, or deadline--> ENDING --> ENDED
 *
 * The phases run on the loop thread; tkx_context_close() starts them and waits for ENDED,
 * then ends the loop.  close_timer is patience at its end, or the next turn.
 */
#include "base/error.h"
#include "client/context_impl.h"
#include "client/deadline.h"

/* Without DRAIN nobody waits longer than this for last requests. */
#define FAREWELL_MS 2000

enum { CLOSER_IDLE = 0, CLOSER_SPEAKING, CLOSER_DONE };

/* ---- closers ---- */

bool tkx__context_add_closer(tkx_context *context, tkx__closer *closer)
{
    if (tkx__context_is_closed(context))
        return false;
    closer->context = context;
    closer->state = CLOSER_IDLE;
    closer->prev = NULL;
    closer->next = context->on_loop.closers;
    if (closer->next)
        closer->next->prev = closer;
    context->on_loop.closers = closer;
    return true;
}

void tkx__context_remove_closer(tkx__closer *closer)
{
    if (!closer->context)
        return;
    tkx__closer_done(closer);
    if (closer->prev)
        closer->prev->next = closer->next;
    else
        closer->context->on_loop.closers = closer->next;
    if (closer->next)
        closer->next->prev = closer->prev;
    closer->prev = closer->next = NULL;
    closer->context = NULL;
}

static bool all_done(const tkx_context *context)
{
    for (const tkx__closer *c = context->on_loop.closers; c; c = c->next)
        if (c->state == CLOSER_SPEAKING)
            return false;
    return true;
}

static void arm(tkx_context *context, int64_t delay_ms)
{
    context->io.ops->timer_arm(context->io.ctx, context->on_loop.close_timer, delay_ms);
}

void tkx__closer_done(tkx__closer *closer)
{
    tkx_context *context = closer->context;

    if (!context || closer->state != CLOSER_SPEAKING)
        return;
    closer->state = CLOSER_DONE;
    if (context->shared.phase == TKX__FAREWELL && all_done(context))
        arm(context, 0);
}

/* ---- phases ---- */

static int64_t now_ms(const tkx_context *context)
{
    return context->io.ops->now_ms(context->io.ctx);
}

/* What is left of the deadline; -1: no limit. */
static int64_t patience_ms(const tkx_context *context)
{
    int64_t left;

    if (context->on_loop.close_at_ms < 0)
        return -1;
    left = context->on_loop.close_at_ms - now_ms(context);
    return left > 0 ? left : 0;
}

static void set_phase(tkx_context *context, tkx__close_phase phase)
{
    pthread_mutex_lock(&context->shared.lock);
    context->shared.phase = phase;
    if (phase == TKX__ENDED)
        pthread_cond_broadcast(&context->shared.moved);
    pthread_mutex_unlock(&context->shared.lock);
}

static tkx_future *first_pending(tkx_context *context)
{
    tkx_future *future;

    pthread_mutex_lock(&context->shared.lock);
    future = tkx_future_ref(context->shared.pending);
    pthread_mutex_unlock(&context->shared.lock);
    return future;
}

static void end_all(tkx_context *context)
{
    tkx_future *future;
    tkx__closer *closer;

    set_phase(context, TKX__ENDING);
    context->io.ops->timer_disarm(context->io.ctx, context->on_loop.close_timer);
    while ((future = first_pending(context))) {
        tkx__future_end(future, TKX_ERR_CLOSED);
        tkx_future_unref(future);
    }
    while ((closer = context->on_loop.closers)) {
        tkx__context_remove_closer(closer);
        if (closer->stop)
            closer->stop(closer);
    }
    while (context->on_loop.ready)
        tkx__context_run_ready(context);
    context->io.ops->timer_disarm(context->io.ctx, context->on_loop.ready_timer);
    context->io.ops->timer_disarm(context->io.ctx, context->on_loop.stuck_timer);
    set_phase(context, TKX__ENDED);
}

static void say_farewell(tkx_context *context)
{
    int64_t patience = patience_ms(context);
    tkx__closer *next;

    if (!(context->on_loop.close_flags & TKX_CLOSE_DRAIN) &&
        (patience < 0 || patience > FAREWELL_MS))
        patience = FAREWELL_MS;
    if (patience == 0) {
        end_all(context);
        return;
    }
    set_phase(context, TKX__FAREWELL);
    for (tkx__closer *c = context->on_loop.closers; c; c = next) {
        next = c->next;
        c->state = c->start ? CLOSER_SPEAKING : CLOSER_DONE;
        if (c->start)
            c->start(c, patience < 0 ? INT64_MAX : patience);
    }
    if (all_done(context))
        arm(context, 0);
    else if (patience > 0)
        arm(context, patience);
    else
        context->io.ops->timer_disarm(context->io.ctx, context->on_loop.close_timer);
}

void tkx__context_drained(tkx_context *context)
{
    if (context->on_loop.close_flags & TKX_CLOSE_DRAIN)
        arm(context, 0); /* not from inside the completion of the last future */
}

static bool has_pending(tkx_context *context)
{
    bool has;

    pthread_mutex_lock(&context->shared.lock);
    has = context->shared.n_pending > 0;
    pthread_mutex_unlock(&context->shared.lock);
    return has;
}

void tkx__context_close_timer(void *arg)
{
    tkx_context *context = arg;

    if (context->shared.phase == TKX__DRAINING) {
        context->on_loop.was_cut_short = has_pending(context);
        say_farewell(context);
    } else if (context->shared.phase == TKX__FAREWELL) {
        end_all(context);
    }
}

static void begin(void *arg)
{
    tkx_context *context = arg;
    int64_t deadline_ms = context->on_loop.close_deadline_ms;

    context->on_loop.close_at_ms = deadline_ms < 0 ? -1 : now_ms(context) + deadline_ms;
    if (!(context->on_loop.close_flags & TKX_CLOSE_DRAIN) || !has_pending(context))
        say_farewell(context);
    else if (deadline_ms >= 0)
        arm(context, deadline_ms);
}

/* ---- the caller's side ---- */

/* The first closer of a context gets true, and has to start the phases. */
static bool leave_open(tkx_context *context, unsigned flags, int64_t deadline_ms)
{
    bool was_open;

    pthread_mutex_lock(&context->shared.lock);
    was_open = context->shared.phase == TKX__OPEN;
    if (was_open) {
        context->shared.phase = TKX__DRAINING;
        context->on_loop.close_flags = flags;
        context->on_loop.close_deadline_ms = deadline_ms;
    }
    pthread_mutex_unlock(&context->shared.lock);
    return was_open;
}

void tkx__context_begin_close(tkx_context *context, unsigned flags, int64_t deadline_ms)
{
    if (leave_open(context, flags, deadline_ms))
        begin(context);
}

bool tkx__context_is_ended(const tkx_context *context)
{
    tkx_context *c = (tkx_context *)context; /* only its lock changes */
    bool is_ended;

    pthread_mutex_lock(&c->shared.lock);
    is_ended = c->shared.phase == TKX__ENDED;
    pthread_mutex_unlock(&c->shared.lock);
    return is_ended;
}

static bool is_ended(void *arg)
{
    return tkx__context_is_ended(arg);
}

/* False: not from here. */
static bool wait_for_end(tkx_context *context)
{
    if (!tkx__loop_has_thread(context->loop))
        return tkx__loop_run_until(context->loop, is_ended, context);
    pthread_mutex_lock(&context->shared.lock);
    while (context->shared.phase != TKX__ENDED)
        pthread_cond_wait(&context->shared.moved, &context->shared.lock);
    pthread_mutex_unlock(&context->shared.lock);
    return true;
}

static void end_loop(tkx_context *context)
{
    pthread_mutex_lock(&context->ending);
    if (!context->is_loop_ended)
        tkx__loop_end(context->loop);
    context->is_loop_ended = true;
    pthread_mutex_unlock(&context->ending);
}

static bool is_all_over(tkx_context *context)
{
    bool is_over;

    pthread_mutex_lock(&context->ending);
    is_over = context->is_loop_ended;
    pthread_mutex_unlock(&context->ending);
    return is_over;
}

static tkx_status refuse(tkx_error **err)
{
    return tkx__fail(
        err, TKX_ERR_WOULD_BLOCK,
        "a context cannot be closed from inside its own loop: close it on the "
        "thread that made it");
}

tkx_status tkx_context_close(tkx_context *context, unsigned flags, int64_t deadline_ms,
                             tkx_error **err)
{
    if (!context)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "tkx_context_close: no context");
    if (!context->loop) {
        tkx__context_begin_close(context, 0, 0);
        if (!is_ended(context))
            end_all(context);
        return TKX_OK;
    }
    if (is_all_over(context))
        return TKX_OK;
    if (!tkx__loop_may_wait(context->loop))
        return refuse(err);
    if (leave_open(context, flags, deadline_ms)) {
        context->close_node = (tkx__post_node){.fn = begin, .arg = context};
        tkx__loop_post_node(context->loop, &context->close_node);
    }
    if (!wait_for_end(context))
        return refuse(err);
    end_loop(context);
    if (context->on_loop.was_cut_short)
        return tkx__fail(
            err, TKX_ERR_TIMEOUT,
            "closed, but not drained: operations were still pending after %lld "
            "ms and ended with CLOSED",
            (long long)deadline_ms);
    return TKX_OK;
}
