/* SPDX-License-Identifier: Apache-2.0 */
/*
 * observe.c - setting up and taking down what looks at a context.
 */
#include "client/observe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tkx/trace.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/options.h"

#define MAX_TRACE_BYTES ((uint64_t)256 << 20)
#define METRICS_EVERY_MS 15000
#define MAX_TEXT ((size_t)16 << 20)

/* --- the metrics file ------------------------------------------------------------ */

static tkx_status write_all(const char *path, const tkx__buf *text, tkx_error **err)
{
    FILE *to = fopen(path, "we");

    if (!to)
        return tkx__fail_errno(err, errno, "make %s", path);
    bool is_written = fwrite(tkx__buf_text(text), 1, text->size, to) == text->size;
    int reason = errno;
    if (fclose(to) != 0 && is_written) {
        reason = errno;
        is_written = false;
    }
    return is_written ? TKX_OK : tkx__fail_errno(err, reason, "write %s", path);
}

/* Readers see the old file or the new one, never half of it. */
static tkx_status write_metrics(tkx__observation *o, tkx_error **err)
{
    tkx__buf text, temporary;
    tkx_status st;

    tkx__buf_init(&text, MAX_TEXT);
    tkx__buf_init(&temporary, 1 << 16);
    tkx__metrics_write_text(o->context, tkx__observer_metrics(o->observer), &text);
    tkx__buf_printf(&temporary, "%s.new", o->metrics_path);
    st = text.status != TKX_OK || temporary.status != TKX_OK
             ? tkx__fail_memory(err)
             : write_all(tkx__buf_text(&temporary), &text, err);
    if (st == TKX_OK && rename(tkx__buf_text(&temporary), o->metrics_path) != 0)
        st = tkx__fail_errno(err, errno, "rename %s to %s", tkx__buf_text(&temporary),
                             o->metrics_path);
    tkx__buf_clear(&text);
    tkx__buf_clear(&temporary);
    return st;
}

static void write_or_say(tkx__observation *o)
{
    tkx_error *err = NULL;

    if (write_metrics(o, &err) != TKX_OK)
        tkx__log_write(tkx__context_log(o->context), TKX_LOG_WARNING, "metrics",
                       "cannot be written: %s", tkx_error_message(err));
    tkx_error_free(err);
}

static void on_timer(void *arg)
{
    tkx__observation *o = arg;
    const tkx__io *io = tkx__context_io(o->context);

    write_or_say(o);
    io->ops->timer_arm(io->ctx, o->timer, o->metrics_every_ms);
}

/* The first writing is now, so that a path that cannot be written is told at once. */
static tkx_status begin_metrics(tkx__observation *o, const tkx_metrics_options *options,
                                tkx_error **err)
{
    const tkx__io *io = tkx__context_io(o->context);

    if (!options->path)
        return TKX_OK;
    o->metrics_every_ms = options->every_ms > 0 ? options->every_ms : METRICS_EVERY_MS;
    o->metrics_path = tkx__strdup(options->path);
    o->timer = io->ops->timer_new(io->ctx, on_timer, o);
    if (!o->metrics_path || !o->timer)
        return tkx__fail_memory(err);
    io->ops->timer_arm(io->ctx, o->timer, o->metrics_every_ms);
    return write_metrics(o, err);
}

/* --- all of it ------------------------------------------------------------------- */

static tkx_status make_observer(tkx__observation *o, bool has_metrics,
                                const tkx_trace_options *trace, tkx_error **err)
{
    const tkx__io *io = tkx__context_io(o->context);
    tkx__observer_options options = {.io = *io,
                                     .has_metrics = has_metrics,
                                     .generates_ids = trace->generates_context != 0};
    tkx__trace_ids ids;
    tkx_status st = TKX_OK;

    if (trace->traceparent) {
        st = tkx__trace_ids_parse(trace->traceparent, trace->tracestate, &ids, err);
        options.given_ids = &ids;
    } else if (trace->tracestate) {
        st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                       "tkx_trace_options: a tracestate needs a traceparent");
    }
    if (st == TKX_OK && trace->path)
        st = tkx__trace_file_open(
            trace->path, trace->max_bytes ? trace->max_bytes : MAX_TRACE_BYTES,
            io->ops->now_us ? io->ops->now_us(io->ctx) : io->ops->now_ms(io->ctx) * 1000,
            io->ops->wall_ms(io->ctx), &options.trace_file, err);
    if (st != TKX_OK)
        return st;
    o->observer = tkx__observer_new(&options);
    if (o->observer)
        return TKX_OK;
    tkx__trace_file_close(options.trace_file, 0);
    return tkx__fail_memory(err);
}

tkx_status tkx__observation_new(tkx_context *context, tkx__observation **out,
                                tkx_error **err)
{
    const tkx_context_options *given = tkx__context_options(context);
    tkx_metrics_options metrics = TKX_METRICS_OPTIONS_INIT;
    tkx_trace_options trace = TKX_TRACE_OPTIONS_INIT;
    tkx_status st = tkx__options_overlay(&metrics, sizeof metrics, given->metrics,
                                         "tkx_metrics_options", err);

    if (st == TKX_OK)
        st = tkx__options_overlay(&trace, sizeof trace, given->trace, "tkx_trace_options",
                                  err);
    if (st != TKX_OK || (!given->metrics && !given->trace))
        return st;
    tkx__observation *o = tkx__calloc(1, sizeof *o);
    if (!o)
        return tkx__fail_memory(err);
    o->context = context;
    pthread_mutex_init(&o->lock, NULL);
    st = make_observer(o, given->metrics != NULL, &trace, err);
    if (st == TKX_OK)
        st = begin_metrics(o, &metrics, err);
    if (st != TKX_OK) {
        tkx__free(o->metrics_path); /* not to be written again */
        o->metrics_path = NULL;
        tkx__observation_free(o);
        return st;
    }
    *out = o;
    return TKX_OK;
}

void tkx__observation_free(tkx__observation *o)
{
    if (!o)
        return;
    const tkx__io *io = tkx__context_io(o->context);
    if (o->timer)
        io->ops->timer_free(io->ctx, o->timer);
    if (o->metrics_path)
        write_or_say(o);
    tkx__observer_free(o->observer);
    for (size_t i = 0; i < TKX__MAX_METRICS_ROWS; i++)
        tkx__free(o->seen[i]);
    pthread_mutex_destroy(&o->lock);
    tkx__free(o->metrics_path);
    tkx__free(o);
}

/* --- trace context --------------------------------------------------------------- */

tkx_status tkx_trace_set_parent(tkx_context *context, const char *traceparent,
                                const char *tracestate, tkx_error **err)
{
    tkx__observer *observer = tkx__context_observer(context);
    tkx__trace_ids ids;
    tkx_status st = TKX_OK;

    if (!observer)
        return tkx__fail(err, TKX_ERR_INVALID_STATE,
                         "tkx_trace_set_parent: the context was made without trace "
                         "options");
    if (traceparent)
        st = tkx__trace_ids_parse(traceparent, tracestate, &ids, err);
    if (st == TKX_OK && !tkx__observer_set_ids(observer, traceparent ? &ids : NULL))
        st = tkx__fail_memory(err);
    return st;
}
