/* SPDX-License-Identifier: Apache-2.0 */
/*
 * span.c - what the hooks of span.h do: count, write down, give ids.
 *
 *     begin --> [phase --> [request | pause] ...] ... --> end
 *
 * What is open inside ends with what it is in, so the slices of a row always nest.  Spans
 * are kept and used again, so that a request costs no allocation.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "api/observer.h"
#include "base/mem.h"

#define ARGS_SIZE 512

/* A trace that the user gave; the spans that belong to it count it. */
typedef struct given_ids {
    atomic_size_t n_refs;
    tkx__trace_ids ids;
} given_ids;

struct tkx__observer {
    tkx__io io;
    tkx__metrics *metrics; /* NULL: nobody counts */
    tkx__trace_file *file; /* NULL: nothing is written down */
    pthread_mutex_t lock;
    given_ids *given;      /* under the lock; NULL: none */
    atomic_bool has_given; /* spares looking */
    bool generates_ids;
    uint64_t next_flow;
    tkx__span *spare;
};

struct tkx__span {
    tkx__observer *observer;
    tkx__span *next; /* spare ones */
    const char *what;
    tkx__metrics_row *row; /* NULL: not counted */
    bool is_part;
    bool has_request, has_pause;
    uint8_t phase;
    uint8_t request_kind;
    int64_t begun_us, phase_us, request_us, pause_us;
    /* the trace */
    int track; /* -1: not written */
    bool is_phase_written, is_request_written, is_pause_written;
    uint64_t flow; /* 0: none yet */
    /* the trace context; trace_text is "" without one */
    given_ids *given;
    uint64_t trace_id[2];
    uint8_t flags;
    char trace_text[33];
    char parent_text[TKX__TRACEPARENT_SIZE];
};

const char *tkx__phase_name(tkx__phase phase)
{
    static const char *const names[TKX__N_PHASES] = {
        "none",   "queued: turn", "queued: slot", "queued: limits", "queued: bytes",
        "record", "encode",       "submit",       "wait",           "wait: room",
        "fetch",  "decode",       "back off",     "billing pause"};

    return (unsigned)phase < TKX__N_PHASES ? names[phase] : "unknown";
}

static int64_t now_us(const tkx__observer *o)
{
    const tkx__io_ops *ops = o->io.ops;

    return ops->now_us ? ops->now_us(o->io.ctx) : ops->now_ms(o->io.ctx) * 1000;
}

/* --- trace ids ------------------------------------------------------------------- */

static uint64_t random_id(tkx__observer *o)
{
    uint64_t id;

    do {
        id = (uint64_t)(o->io.ops->uniform(o->io.ctx) * 4294967296.0) << 32;
        id |= (uint64_t)(o->io.ops->uniform(o->io.ctx) * 4294967296.0);
    } while (id == 0);
    return id;
}

static void unref_given(given_ids *given)
{
    if (given && atomic_fetch_sub(&given->n_refs, 1) == 1)
        tkx__free(given);
}

bool tkx__observer_set_ids(tkx__observer *o, const tkx__trace_ids *ids)
{
    given_ids *given = ids ? tkx__malloc(sizeof *given) : NULL;
    given_ids *old;

    if (ids && !given)
        return false;
    if (given) {
        atomic_init(&given->n_refs, 1);
        given->ids = *ids;
    }
    pthread_mutex_lock(&o->lock);
    old = o->given;
    o->given = given;
    atomic_store(&o->has_given, given != NULL);
    pthread_mutex_unlock(&o->lock);
    unref_given(old);
    return true;
}

static given_ids *ref_given(tkx__observer *o)
{
    given_ids *given;

    if (!atomic_load(&o->has_given))
        return NULL;
    pthread_mutex_lock(&o->lock);
    given = o->given;
    if (given)
        atomic_fetch_add(&given->n_refs, 1);
    pthread_mutex_unlock(&o->lock);
    return given;
}

/* A part belongs to the trace of its operation. */
static void choose_ids(tkx__span *s, const tkx__span *parent)
{
    tkx__observer *o = s->observer;

    s->trace_text[0] = '\0';
    s->given = parent ? parent->given : ref_given(o);
    if (parent && s->given)
        atomic_fetch_add(&s->given->n_refs, 1);
    if (s->given) {
        memcpy(s->trace_id, s->given->ids.trace_id, sizeof s->trace_id);
        s->flags = s->given->ids.flags;
    } else if (parent && parent->trace_text[0]) {
        memcpy(s->trace_id, parent->trace_id, sizeof s->trace_id);
        s->flags = parent->flags;
    } else if (o->generates_ids) {
        s->trace_id[0] = random_id(o);
        s->trace_id[1] = random_id(o);
        s->flags = 1;
    } else {
        return;
    }
    snprintf(s->trace_text, sizeof s->trace_text, "%016" PRIx64 "%016" PRIx64,
             s->trace_id[0], s->trace_id[1]);
}

size_t tkx__span_headers(tkx__span *s, tkx__header *to)
{
    size_t n = 0;

    if (!s || !s->trace_text[0])
        return 0;
    to[n++] = (tkx__header){"traceparent", s->parent_text};
    if (s->given && s->given->ids.state[0])
        to[n++] = (tkx__header){"tracestate", s->given->ids.state};
    return n;
}

const char *tkx__span_trace_id(const tkx__span *s)
{
    return s && s->trace_text[0] ? s->trace_text : NULL;
}

/* --- spans ----------------------------------------------------------------------- */

static void begin_slice(tkx__span *s, const tkx__span_spec *spec)
{
    static const char *const groups[TKX__N_LANES] = {"session",  "train", "sample",
                                                     "retrieve", "REST",  "telemetry"};
    tkx__trace_file *f = s->observer->file;
    char args[ARGS_SIZE];
    size_t n = 0;

    s->track = f ? tkx__trace_file_take_row(f, groups[spec->lane]) : -1;
    if (s->track < 0)
        return;
    args[0] = '\0';
    if (spec->seq_id >= 0)
        n = tkx__trace_arg_int(args, sizeof args, n, "seq_id", spec->seq_id);
    if (s->trace_text[0])
        n = tkx__trace_arg(args, sizeof args, n, "trace_id", s->trace_text);
    if (!tkx__trace_file_begin(f, s->track, s->begun_us, spec->what,
                               spec->parent ? "part" : "operation", n ? args : NULL)) {
        tkx__trace_file_give_row(f, s->track);
        s->track = -1;
        return;
    }
    if (spec->parent && spec->parent->track >= 0) { /* an arrow from the whole to it */
        uint64_t id = s->observer->next_flow++;
        tkx__trace_file_flow(f, spec->parent->track, s->begun_us, 's', id);
        tkx__trace_file_flow(f, s->track, s->begun_us, 'f', id);
    }
}

tkx__span *tkx__observer_begin(tkx__observer *o, const tkx__span_spec *spec)
{
    tkx__span *s = o->spare;

    if (s)
        o->spare = s->next;
    else
        s = tkx__malloc(sizeof *s);
    if (!s)
        return NULL;
    memset(s, 0, sizeof *s);
    s->observer = o;
    s->what = spec->what;
    s->is_part = spec->parent != NULL;
    s->begun_us = now_us(o);
    choose_ids(s, spec->parent);
    s->row = o->metrics ? tkx__metrics_row_of(o->metrics, spec->what) : NULL;
    if (s->row && !s->is_part)
        tkx__count(&s->row->n_started, 1);
    begin_slice(s, spec);
    return s;
}

static void end_pause(tkx__span *s, int64_t now)
{
    if (!s->has_pause)
        return;
    s->has_pause = false;
    if (s->is_pause_written)
        tkx__trace_file_end(s->observer->file, s->track, now, NULL);
    if (s->row)
        tkx__count(&s->row->phase_us[TKX__PHASE_BACK_OFF], (uint64_t)(now - s->pause_us));
}

static void end_request(tkx__span *s, int64_t now, tkx__answer_class class, int http,
                        size_t bytes)
{
    char args[ARGS_SIZE] = "";
    size_t n;

    if (!s->has_request)
        return;
    s->has_request = false;
    if (s->row) {
        tkx__count(&s->row->request[s->request_kind].n_answers[class], 1);
        tkx__count(&s->row->request[s->request_kind].bytes_received, bytes);
        if (class != TKX__ANSWER_DROPPED)
            tkx__histogram_add(&s->row->request[s->request_kind].duration,
                               now - s->request_us);
    }
    if (!s->is_request_written)
        return;
    n = tkx__trace_arg_int(args, sizeof args, 0, "status", http);
    if (class == TKX__ANSWER_DROPPED)
        tkx__trace_arg(args, sizeof args, n, "end", "dropped");
    else
        tkx__trace_arg_int(args, sizeof args, n, "bytes_received", (int64_t)bytes);
    tkx__trace_file_end(s->observer->file, s->track, now, args);
}

static void end_inside(tkx__span *s, int64_t now)
{
    end_request(s, now, TKX__ANSWER_DROPPED, 0, 0);
    end_pause(s, now);
}

static void end_phase(tkx__span *s, int64_t now)
{
    end_inside(s, now);
    if (s->phase == TKX__PHASE_NONE)
        return;
    if (s->is_phase_written)
        tkx__trace_file_end(s->observer->file, s->track, now, NULL);
    s->is_phase_written = false;
    if (s->row)
        tkx__count(&s->row->phase_us[s->phase], (uint64_t)(now - s->phase_us));
    s->phase = TKX__PHASE_NONE;
}

void tkx__span_do_enter(tkx__span *s, tkx__phase phase)
{
    if (s->phase == phase)
        return;
    int64_t now = now_us(s->observer);
    end_phase(s, now);
    s->phase = (uint8_t)phase;
    s->phase_us = now;
    if (s->track >= 0)
        s->is_phase_written = tkx__trace_file_begin(
            s->observer->file, s->track, now, tkx__phase_name(phase), "phase", NULL);
}

static void count_end(tkx__span *s, int64_t now, const tkx_error *error, bool is_well)
{
    if (!s->row || s->is_part)
        return;
    if (!is_well && (!error || tkx_error_status(error) == TKX_ERR_CANCELLED)) {
        tkx__count(&s->row->n_dropped, 1);
        return;
    }
    tkx__count(is_well ? &s->row->n_ok : &s->row->n_failed, 1);
    tkx__histogram_add(&s->row->duration, now - s->begun_us);
}

void tkx__span_do_end(tkx__span *s, const tkx_error *error, bool is_well)
{
    tkx__observer *o = s->observer;
    int64_t now = now_us(o);
    char args[ARGS_SIZE] = "";
    size_t n;

    end_phase(s, now);
    count_end(s, now, error, is_well);
    if (s->track >= 0) {
        n = tkx__trace_arg(args, sizeof args, 0, "outcome",
                           is_well ? "ok"
                           : error ? "failed"
                                   : "dropped");
        if (error)
            n = tkx__trace_arg(args, sizeof args, n, "status",
                               tkx_status_name(tkx_error_status(error)));
        tkx__trace_file_end(o->file, s->track, now, n ? args : NULL);
        tkx__trace_file_give_row(o->file, s->track);
    }
    unref_given(s->given);
    s->next = o->spare;
    o->spare = s;
}

/* --- requests -------------------------------------------------------------------- */

static void begin_request_slice(tkx__span *s, int64_t now, const char *route,
                                size_t bytes, int n_sends)
{
    tkx__trace_file *f = s->observer->file;
    char args[ARGS_SIZE] = "";
    size_t n = tkx__trace_arg_int(args, sizeof args, 0, "bytes_sent", (int64_t)bytes);

    n = tkx__trace_arg_int(args, sizeof args, n, "attempt", n_sends);
    if (s->trace_text[0])
        tkx__trace_arg(args, sizeof args, n, "traceparent", s->parent_text);
    /* Routes hold ids; what matters for a name is the first word. */
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(route, "/?"), route);
    s->is_request_written =
        tkx__trace_file_begin(f, s->track, now, name, "request", args);
    if (s->is_request_written && s->flow && s->request_kind == TKX__REQUEST_POLL)
        tkx__trace_file_flow(f, s->track, now, 't', s->flow);
}

void tkx__span_do_send(tkx__span *s, tkx__lane lane, const char *route, size_t bytes,
                       int n_sends)
{
    int64_t now = now_us(s->observer);

    end_inside(s, now);
    s->has_request = true;
    s->is_request_written = false;
    s->request_us = now;
    s->request_kind = s->phase != TKX__PHASE_NONE && lane == TKX__LANE_RETRIEVE
                          ? TKX__REQUEST_POLL
                          : TKX__REQUEST_SUBMIT;
    if (s->trace_text[0])
        tkx__traceparent_write(s->trace_id, random_id(s->observer), s->flags,
                               s->parent_text);
    if (s->row) {
        tkx__count(&s->row->request[s->request_kind].bytes_sent, bytes);
        tkx__count(&s->row->request[s->request_kind].n_resent, n_sends > 1);
    }
    if (s->track >= 0)
        begin_request_slice(s, now, route, bytes, n_sends);
}

static tkx__answer_class class_of(const tkx__reply *reply)
{
    int http = reply->error ? 0 : reply->http_status;

    return http == 429   ? TKX__ANSWER_429
           : http >= 500 ? TKX__ANSWER_5XX
           : http >= 400 ? TKX__ANSWER_4XX
           : http >= 300 ? TKX__ANSWER_3XX
           : http >= 200 ? TKX__ANSWER_2XX
                         : TKX__ANSWER_NONE;
}

void tkx__span_do_reply(tkx__span *s, const tkx__reply *reply)
{
    if (reply)
        end_request(s, now_us(s->observer), class_of(reply), reply->http_status,
                    reply->body_size);
    else
        end_inside(s, now_us(s->observer));
}

void tkx__span_do_pause(tkx__span *s, const tkx__reply *why, int64_t delay_ms)
{
    int64_t now = now_us(s->observer);
    char args[ARGS_SIZE] = "";
    char reason[32] = "circuit breaker";

    end_inside(s, now);
    s->has_pause = true;
    s->is_pause_written = false;
    s->pause_us = now;
    if (s->track < 0)
        return;
    if (why && why->http_status)
        snprintf(reason, sizeof reason, "HTTP %d", why->http_status);
    else if (why)
        snprintf(reason, sizeof reason, "no answer");
    size_t n = tkx__trace_arg(args, sizeof args, 0, "reason", reason);
    tkx__trace_arg_int(args, sizeof args, n, "delay_ms", delay_ms);
    s->is_pause_written =
        tkx__trace_file_begin(s->observer->file, s->track, now, "pause", "pause", args);
}

void tkx__span_do_promise(tkx__span *s, const char *request_id)
{
    int64_t now = now_us(s->observer);
    char args[ARGS_SIZE] = "";

    if (s->track < 0 || !s->is_phase_written)
        return;
    tkx__trace_arg(args, sizeof args, 0, "request_id", request_id);
    tkx__trace_file_point(s->observer->file, s->track, now, "promise", args);
    s->flow = s->observer->next_flow++;
    tkx__trace_file_flow(s->observer->file, s->track, now, 's', s->flow);
}

/* --- the observer ---------------------------------------------------------------- */

tkx__observer *tkx__observer_new(const tkx__observer_options *options)
{
    tkx__observer *o = tkx__calloc(1, sizeof *o);

    if (!o)
        return NULL;
    o->io = options->io;
    o->generates_ids = options->generates_ids;
    o->next_flow = 1;
    if (options->has_metrics && !(o->metrics = tkx__metrics_new())) {
        tkx__free(o);
        return NULL;
    }
    pthread_mutex_init(&o->lock, NULL);
    if (!tkx__observer_set_ids(o, options->given_ids)) {
        tkx__observer_free(o);
        return NULL;
    }
    o->file = options->trace_file;
    return o;
}

void tkx__observer_free(tkx__observer *o)
{
    if (!o)
        return;
    while (o->spare) {
        tkx__span *s = o->spare;
        o->spare = s->next;
        tkx__free(s);
    }
    tkx__trace_file_close(o->file, now_us(o));
    tkx__metrics_free(o->metrics);
    unref_given(o->given);
    pthread_mutex_destroy(&o->lock);
    tkx__free(o);
}

tkx__metrics *tkx__observer_metrics(tkx__observer *o)
{
    return o ? o->metrics : NULL;
}
