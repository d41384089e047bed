/* SPDX-License-Identifier: Apache-2.0 */
/*
 * context_watch.c - what a context knows of trouble: the latest send that failed, and the
 * futures that stand still.
 *
 * The watchdog's timer runs only while something is pending.  It looks four times in
 * stuck_after_ms for futures of that age, and again at twice that, four times, ...
 */
#include <string.h>

#include "base/error.h"
#include "client/context_impl.h"

/* ---- the latest trouble ---- */

static int64_t now_ms(const tkx_context *context)
{
    return context->io.ops->now_ms(context->io.ctx);
}

void tkx__context_note_trouble(tkx_context *context, const tkx_error *error)
{
    tkx_error *copy = tkx__error_copy(error);
    int64_t now = now_ms(context);
    tkx_error *old;

    pthread_mutex_lock(&context->shared.lock);
    old = context->shared.trouble;
    context->shared.trouble = copy;
    context->shared.trouble_ms = now;
    pthread_mutex_unlock(&context->shared.lock);
    tkx_error_free(old);
}

tkx_error *tkx__context_last_trouble(tkx_context *context, int64_t since_ms)
{
    tkx_error *copy = NULL;

    pthread_mutex_lock(&context->shared.lock);
    if (context->shared.trouble && context->shared.trouble_ms >= since_ms)
        copy = tkx__error_copy(context->shared.trouble);
    pthread_mutex_unlock(&context->shared.lock);
    return copy;
}

/* ---- who stands still ---- */

#define BATCH 32

static void arm(tkx_context *context)
{
    int64_t quarter = context->options.stuck_after_ms / 4;

    context->on_loop.is_watching = true;
    context->io.ops->timer_arm(context->io.ctx, context->on_loop.stuck_timer,
                               quarter > 0 ? quarter : 1);
}

void tkx__context_watch(tkx_context *context)
{
    if (!context->on_loop.is_watching && context->options.stuck_after_ms > 0 &&
        context->on_loop.stuck_timer && !tkx__context_is_closed(context))
        arm(context);
}

/* The next few that nobody was told of, counted. */
static size_t gather(tkx_context *context, tkx_future **out)
{
    int64_t now = now_ms(context);
    size_t n = 0;

    pthread_mutex_lock(&context->shared.lock);
    for (tkx_future *f = context->shared.pending; f && n < BATCH;
         f = tkx__future_get_links(f)->next)
        if (tkx__future_is_stuck(f, now, context->options.stuck_after_ms))
            out[n++] = tkx_future_ref(f);
    pthread_mutex_unlock(&context->shared.lock);
    return n;
}

/* One line, for the first of them. */
static void say(tkx_context *context, tkx_future *future)
{
    char text[512];

    tkx_future_describe(future, text, sizeof text);
    tkx__log_write(&context->log, TKX_LOG_WARNING, "client", "stuck? %s", text);
}

static bool is_idle(tkx_context *context)
{
    bool is_idle;

    pthread_mutex_lock(&context->shared.lock);
    is_idle = context->shared.n_pending == 0 || context->shared.phase > TKX__DRAINING;
    pthread_mutex_unlock(&context->shared.lock);
    return is_idle;
}

void tkx__context_stuck_timer(void *arg)
{
    tkx_context *context = arg;
    const tkx_context_options *o = &context->options;
    tkx_future *stuck[BATCH];
    size_t n, total = 0;

    context->on_loop.is_watching = false;
    while ((n = gather(context, stuck)) > 0) {
        if (total == 0)
            say(context, stuck[0]);
        total += n;
        for (size_t i = 0; i < n; i++) {
            if (o->on_stuck)
                o->on_stuck(stuck[i], o->stuck_user_data);
            tkx_future_unref(stuck[i]);
        }
    }
    if (total > 1) /* one line for all of them: there may be thousands */
        tkx__log_write(&context->log, TKX_LOG_WARNING, "client",
                       "stuck? and %zu more operations wait as long", total - 1);
    if (!is_idle(context) && !context->on_loop.is_watching)
        arm(context);
}
