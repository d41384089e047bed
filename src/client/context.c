/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context.c - a loop, its pending futures and its closers.
 *
 * The struct is counted: the user holds one reference, each future one.  The loop inside
 * is ended by closing; what is left for late futures is a shell whose io refuses
 * everything.
 */
#include "client/context.h"

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"
#include "client/context_impl.h"
#include "client/deadline.h"

/* ---- making ---- */

static tkx_status make(const tkx_context_options *options, tkx_context **out,
                       tkx_error **err)
{
    tkx_context *context = tkx__calloc(1, sizeof *context);

    *out = context;
    if (!context)
        return tkx__fail_memory(err);
    atomic_init(&context->n_refs, 1);
    context->on_loop.ready_tail = &context->on_loop.ready;
    pthread_mutex_init(&context->shared.lock, NULL);
    pthread_mutex_init(&context->ending, NULL);
    tkx__cond_init(&context->shared.moved);
    return tkx__context_set_options(context, options, err);
}

static tkx_status make_loop(tkx_context *context, tkx_error **err)
{
    const tkx_context_options *o = &context->options;
    const tkx__loop_config config = {
        .base = o->event_base,
        .log = &context->log,
        .n_workers = o->n_workers,
        .ca_file = o->ca_file,
        .proxy = o->proxy,
        .no_proxy = o->no_proxy,
        .connect_timeout_ms = o->connect_timeout_ms,
        .max_reply_bytes = o->max_reply_bytes,
        .max_connections = o->max_connections,
        .is_http1_only = o->is_http1_only != 0,
    };
    tkx_status status = tkx__loop_new(&config, &context->loop, err);

    if (status == TKX_OK)
        context->io = *tkx__loop_io(context->loop);
    return status;
}

static tkx_status make_timers(tkx_context *context, tkx_error **err)
{
    const tkx__io *io = &context->io;

    context->on_loop.ready_timer =
        io->ops->timer_new(io->ctx, tkx__context_run_ready, context);
    context->on_loop.close_timer =
        io->ops->timer_new(io->ctx, tkx__context_close_timer, context);
    context->on_loop.stuck_timer =
        io->ops->timer_new(io->ctx, tkx__context_stuck_timer, context);
    if (context->on_loop.ready_timer && context->on_loop.close_timer &&
        context->on_loop.stuck_timer)
        return TKX_OK;
    return tkx__fail_memory(err);
}

static tkx_status observe(tkx_context *context, tkx_error **err)
{
    tkx_status status = tkx__observation_new(context, &context->observation, err);

    context->options.metrics = NULL; /* copied */
    context->options.trace = NULL;
    return status;
}

static tkx_status count_spending(tkx_context *context, tkx_error **err)
{
    tkx_spending_options options = TKX_SPENDING_OPTIONS_INIT;
    const tkx_spending_options *given = context->options.spending;
    tkx_status status = tkx__options_overlay(&options, sizeof options, given,
                                             "tkx_spending_options", err);

    context->options.spending = NULL; /* copied */
    return status == TKX_OK && given
               ? tkx__spending_new(&options, &context->spending, err)
               : status;
}

/* Also for a context whose making failed halfway. */
static void destroy(tkx_context *context)
{
    if (!context)
        return;
    tkx__context_free_tape(context);
    tkx__spending_free(context->spending);
    tkx__loop_free(context->loop);
    pthread_cond_destroy(&context->shared.moved);
    pthread_mutex_destroy(&context->shared.lock);
    pthread_mutex_destroy(&context->ending);
    tkx__context_clear_options(context);
    tkx_error_free(context->shared.trouble);
    tkx__free(context);
}

static void free_loop_things(tkx_context *context)
{
    const tkx__io *io = &context->io;

    tkx__observation_free(context->observation);
    context->observation = NULL;
    if (!io->ops)
        return;
    io->ops->timer_free(io->ctx, context->on_loop.ready_timer);
    io->ops->timer_free(io->ctx, context->on_loop.close_timer);
    io->ops->timer_free(io->ctx, context->on_loop.stuck_timer);
    context->on_loop.ready_timer = context->on_loop.close_timer = NULL;
    context->on_loop.stuck_timer = NULL;
}

static tkx_status finish(tkx_context *context, tkx_status status, tkx_context **out)
{
    if (status == TKX_OK) {
        *out = context;
        return TKX_OK;
    }
    if (context)
        free_loop_things(context);
    destroy(context);
    return status;
}

/* What stands on its io, whichever that is. */
static tkx_status furnish(tkx_context *context, tkx_error **err)
{
    tkx_status status = tkx__context_make_tape(context, err);

    if (status == TKX_OK)
        status = make_timers(context, err);
    if (status == TKX_OK)
        status = observe(context, err);
    if (status == TKX_OK)
        status = count_spending(context, err);
    return status;
}

tkx_status tkx_context_new(const tkx_context_options *options, tkx_context **out,
                           tkx_error **err)
{
    tkx_context *context;
    tkx_status status;

    if (!out)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "tkx_context_new: out is NULL");
    *out = NULL;
    status = make(options, &context, err);
    if (status == TKX_OK)
        status = make_loop(context, err);
    if (status == TKX_OK)
        status = furnish(context, err);
    if (status == TKX_OK)
        status = tkx__loop_start(context->loop, err);
    return finish(context, status, out);
}

tkx_status tkx__context_new_on(const tkx_context_options *options, const tkx__io *io,
                               tkx_context **out, tkx_error **err)
{
    tkx_context *context;
    tkx_status status;

    *out = NULL;
    status = make(options, &context, err);
    if (status == TKX_OK) {
        context->io = *io;
        status = furnish(context, err);
    }
    return finish(context, status, out);
}

void tkx_context_free(tkx_context *context)
{
    if (!context)
        return;
    if (tkx_context_close(context, 0, 0, NULL) == TKX_ERR_WOULD_BLOCK) {
        tkx__log_write(&context->log, TKX_LOG_ERROR, "client",
                       "tkx_context_free on the loop thread: ignored, the context leaks");
        return;
    }
    free_loop_things(context); /* no loop uses them any more */
    tkx__context_unref(context);
}

void tkx__context_unref(tkx_context *context)
{
    if (atomic_fetch_sub_explicit(&context->n_refs, 1, memory_order_acq_rel) == 1)
        destroy(context);
}

/* ---- looking ---- */

const tkx__io *tkx__context_io(const tkx_context *context)
{
    return &context->io;
}

const tkx__log *tkx__context_log(const tkx_context *context)
{
    return &context->log;
}

const tkx_context_options *tkx__context_options(const tkx_context *context)
{
    return &context->options;
}

tkx__breakers *tkx__context_breakers(const tkx_context *context)
{
    return (tkx__breakers *)(uintptr_t)&context->breakers;
}

tkx__limiter *tkx__context_limiter(const tkx_context *context)
{
    return (tkx__limiter *)(uintptr_t)&context->limiter;
}

tkx__spending *tkx__context_spending(const tkx_context *context)
{
    return context->spending;
}

tkx__observation *tkx__context_observation(const tkx_context *context)
{
    return context->observation;
}

tkx__observer *tkx__context_observer(const tkx_context *context)
{
    return context->observation ? context->observation->observer : NULL;
}

bool tkx__context_is_closed(const tkx_context *context)
{
    tkx_context *c = (tkx_context *)context; /* only its lock changes */
    bool is_closed;

    pthread_mutex_lock(&c->shared.lock);
    is_closed = c->shared.phase != TKX__OPEN;
    pthread_mutex_unlock(&c->shared.lock);
    return is_closed;
}

int tkx_context_is_loop_thread(const tkx_context *context)
{
    return context && context->io.ops->in_loop(context->io.ctx);
}

/* ---- futures ---- */

tkx_status tkx__context_link(tkx_context *context, tkx_future *future, tkx_error **err)
{
    tkx__future_links *links = tkx__future_get_links(future);
    bool is_open;

    pthread_mutex_lock(&context->shared.lock);
    is_open = context->shared.phase == TKX__OPEN;
    if (is_open) {
        links->next = context->shared.pending;
        if (links->next)
            tkx__future_get_links(links->next)->prev = future;
        context->shared.pending = future;
        context->shared.n_pending++;
        atomic_fetch_add_explicit(&context->n_refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&context->shared.lock);
    if (is_open)
        return TKX_OK;
    return tkx__fail(err, TKX_ERR_CLOSED, "the context is closed: it takes no new work");
}

void tkx__context_unlink(tkx_context *context, tkx_future *future)
{
    tkx__future_links *links = tkx__future_get_links(future);
    bool is_drained;

    pthread_mutex_lock(&context->shared.lock);
    if (links->prev)
        tkx__future_get_links(links->prev)->next = links->next;
    else
        context->shared.pending = links->next;
    if (links->next)
        tkx__future_get_links(links->next)->prev = links->prev;
    links->prev = links->next = NULL;
    context->shared.n_pending--;
    is_drained = context->shared.phase == TKX__DRAINING && context->shared.n_pending == 0;
    pthread_mutex_unlock(&context->shared.lock);
    if (is_drained && tkx_context_is_loop_thread(context))
        tkx__context_drained(context);
}

void tkx__context_add_ready(tkx_context *context, tkx_future *future)
{
    const tkx__io *io = &context->io;

    tkx_future_ref(future);
    *context->on_loop.ready_tail = future;
    if (context->on_loop.ready == future && context->on_loop.ready_timer)
        io->ops->timer_arm(io->ctx, context->on_loop.ready_timer, 0);
    context->on_loop.ready_tail = &tkx__future_get_links(future)->next;
}

void tkx__context_run_ready(void *arg)
{
    tkx_context *context = arg;
    tkx_future *future = context->on_loop.ready;

    context->on_loop.ready = NULL;
    context->on_loop.ready_tail = &context->on_loop.ready;
    while (future) {
        tkx_future *next = tkx__future_get_links(future)->next;

        tkx__future_get_links(future)->next = NULL;
        tkx__future_run_watches(future);
        tkx_future_unref(future);
        future = next;
    }
}
