/* SPDX-License-Identifier: Apache-2.0 */
/*
 * telemetry.c - batches of events, one under way at a time.
 *
 *     queued --10 s, 100 of them, or drain--> batch --2xx--> sent
 *                                               \-- anything else --> dropped
 *
 * A server that has no such route is not bothered again; one that knows no process_uuid
 * (422) gets the next batches without it.
 */
#include "api/telemetry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "api/auth.h"
#include "api/call.h"
#include "api/telemetry_queue.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"
#include "types/telemetry.h"

#define FLUSH_MS 10000
#define TIMEOUT_MS 5000
#define MAX_BODY ((size_t)16 << 20)

struct tkx__telemetry {
    tkx__site *site;
    tkx__telemetry_queue queue;
    int64_t started_ms; /* wall */
    atomic_llong n_sent, n_refused;
    atomic_bool is_off; /* the service takes none, or it is over */
    char process[37];
    char platform[80];
    struct {
        char *session_id; /* NULL: not begun */
        tkx__timer *timer;
        tkx__call *call;
        size_t n_under_way;
        tkx__buf text;
        tkx__body body;
        bool no_process;
        int64_t n_told; /* drops that were logged */
        int64_t deadline_ms;
        void (*done)(void *arg);
        void *arg;
    } loop;
};

/* --- reporting ------------------------------------------------------------------- */

static int64_t wall_ms(const tkx__telemetry *t)
{
    return t->site->io.ops->wall_ms(t->site->io.ctx);
}

/* As a Python timedelta prints itself: that is what services get to see elsewhere. */
static void put_duration(char *out, size_t size, int64_t ms)
{
    int64_t s = ms / 1000, days = s / 86400;
    size_t n = 0;

    if (days)
        n = (size_t)snprintf(out, size, "%lld day%s, ", (long long)days,
                             days == 1 ? "" : "s");
    snprintf(out + n, size - n, "%lld:%02lld:%02lld.%03lld000",
             (long long)(s / 3600 % 24), (long long)(s / 60 % 60), (long long)(s % 60),
             (long long)(ms % 1000));
}

static bool is(const char *event, const char *name)
{
    return strcmp(event, name) == 0;
}

static void flush_now(void *arg);

tkx_status tkx__telemetry_report(tkx__telemetry *t, const tkx_telemetry_event *given,
                                 tkx_error **err)
{
    tkx_telemetry_event event = *given;
    char duration[48];

    if (atomic_load(&t->is_off))
        return TKX_OK;
    event.timestamp = wall_ms(t) * 1000;
    if (!event.event)
        event.event = "GENERIC_EVENT";
    if (!event.severity)
        event.severity = is(event.event, "UNHANDLED_EXCEPTION") ? "ERROR" : "INFO";
    if (!event.duration && is(event.event, "SESSION_END")) {
        put_duration(duration, sizeof duration, wall_ms(t) - t->started_ms);
        event.duration = duration;
    }
    size_t n = tkx__telemetry_queue_put(&t->queue, tkx__telemetry_item_new(&event));
    if (n == 0)
        return tkx__fail(err, TKX_ERR_LIMIT, "telemetry: the event was dropped");
    if (n == TKX__TELEMETRY_MAX_BATCH)
        t->site->io.ops->post(t->site->io.ctx, flush_now, t); /* else the timer will */
    return TKX_OK;
}

tkx__telemetry_counts tkx__telemetry_count(tkx__telemetry *t)
{
    tkx__telemetry_counts counts;

    pthread_mutex_lock(&t->queue.lock);
    counts.n_queued = (int64_t)t->queue.n;
    counts.n_dropped = t->queue.n_dropped;
    pthread_mutex_unlock(&t->queue.lock);
    counts.n_sent = atomic_load(&t->n_sent);
    counts.n_dropped += atomic_load(&t->n_refused);
    return counts;
}

/* --- sending --------------------------------------------------------------------- */

static void arm(tkx__telemetry *t)
{
    const tkx__io *io = &t->site->io;

    if (t->loop.timer && !atomic_load(&t->is_off))
        io->ops->timer_arm(io->ctx, t->loop.timer, FLUSH_MS);
}

static void end_drain(tkx__telemetry *t)
{
    void (*done)(void *arg) = t->loop.done;

    t->loop.done = NULL;
    if (done)
        done(t->loop.arg);
}

static void learn(tkx__telemetry *t, const tkx_error *error)
{
    int http = tkx_error_http_status(error);

    if (http == 404 || http == 405 || http == 501)
        atomic_store(&t->is_off, true);
    else if (http == 422)
        t->loop.no_process = true;
    tkx__log_write(t->site->log, TKX_LOG_DEBUG, "telemetry",
                   "%zu events were dropped: %s", t->loop.n_under_way,
                   tkx_error_message(error));
}

static void on_answer(void *arg, tkx__outcome *outcome)
{
    tkx__telemetry *t = arg;

    t->loop.call = NULL;
    if (outcome->error) {
        learn(t, outcome->error);
        atomic_fetch_add(&t->n_refused, (long long)t->loop.n_under_way);
    } else {
        atomic_fetch_add(&t->n_sent, (long long)t->loop.n_under_way);
    }
    tkx_error_free(outcome->error);
    t->loop.n_under_way = 0;
    flush_now(t);
}

/* A key that found its way into a text of the user's does not leave the house. */
static void blot_out(tkx__buf *text, tkx__secret *secret)
{
    if (secret && secret->size >= 8)
        for (char *at = text->data; (at = strstr(at, secret->text)); at += secret->size)
            memset(at, '*', secret->size);
    tkx__secret_unref(secret);
}

static void blot_out_keys(tkx__telemetry *t)
{
    tkx__auth *auth = t->site->auth;

    if (!auth || !tkx__buf_text(&t->loop.text))
        return;
    blot_out(&t->loop.text, tkx__auth_get_raw(auth));
    blot_out(&t->loop.text, tkx__auth_token(auth));
}

static tkx_status write_batch(tkx__telemetry *t, const tkx__telemetry_item *items,
                              size_t n)
{
    tkx_telemetry_event events[TKX__TELEMETRY_MAX_BATCH];
    const tkx_telemetry_request request = {
        .events = events,
        .n_events = n,
        .platform = t->platform,
        .sdk_version = t->site->sdk_version,
        .session_id = t->loop.session_id,
        .process_uuid = t->loop.no_process ? NULL : t->process,
    };

    for (size_t i = 0; i < n; i++, items = items->next)
        events[i] = items->event;
    tkx__buf_reset(&t->loop.text);
    tkx_status st = tkx__telemetry_request_encode_json(&request, &t->loop.text, NULL);
    if (st == TKX_OK)
        blot_out_keys(t);
    t->loop.body = (tkx__body){.bytes = tkx__buf_text(&t->loop.text),
                               .size_bytes = t->loop.text.size};
    return st;
}

static tkx_status send_batch(tkx__telemetry *t)
{
    const tkx__call_spec spec = {
        .what = "telemetry",
        .route = "telemetry",
        .lane = TKX__LANE_TELEMETRY,
        .body = &t->loop.body,
        .seq_id = -1,
        .timeout_ms = TIMEOUT_MS,
        .deadline_ms = t->loop.deadline_ms,
        .max_retries = TKX__INNER_RETRIES,
        .is_after_close = true,
    };

    return tkx__call_start(t->site, &spec, on_answer, t, &t->loop.call, NULL);
}

static void tell_drops(tkx__telemetry *t)
{
    int64_t n = tkx__telemetry_count(t).n_dropped - atomic_load(&t->n_refused);

    if (n == t->loop.n_told)
        return;
    t->loop.n_told = n;
    tkx__log_write(t->site->log, TKX_LOG_WARNING, "telemetry",
                   "%lld events have found no room so far", (long long)n);
}

static void flush_now(void *arg)
{
    tkx__telemetry *t = arg;
    tkx__telemetry_item *items;

    if (t->loop.call || !t->loop.session_id)
        return;
    tell_drops(t);
    size_t n = tkx__telemetry_queue_take(&t->queue, TKX__TELEMETRY_MAX_BATCH, &items);
    if (n > 0 && !atomic_load(&t->is_off)) {
        t->loop.n_under_way = n;
        if (write_batch(t, items, n) != TKX_OK || send_batch(t) != TKX_OK) {
            atomic_fetch_add(&t->n_refused, (long long)n);
            t->loop.n_under_way = 0;
        }
    }
    while (items) {
        tkx__telemetry_item *next = items->next;
        tkx__telemetry_item_free(items);
        items = next;
    }
    arm(t);
    if (!t->loop.call)
        end_drain(t); /* whoever waits for it may free us */
}

/* --- life ------------------------------------------------------------------------ */

tkx__telemetry *tkx__telemetry_new(tkx__site *site, bool is_sessionless)
{
    tkx__telemetry *t = tkx__calloc(1, sizeof *t);
    struct utsname un;

    if (!t)
        return NULL;
    t->site = site;
    tkx__telemetry_queue_init(&t->queue);
    tkx__buf_init(&t->loop.text, MAX_BODY);
    tkx__telemetry_uuid(t->process);
    snprintf(t->platform, sizeof t->platform, "%s",
             uname(&un) == 0 ? un.sysname : "Unknown");
    t->started_ms = wall_ms(t);
    if (!is_sessionless)
        tkx__telemetry_report(t, &(tkx_telemetry_event){.event = "SESSION_START"}, NULL);
    return t;
}

void tkx__telemetry_begin(tkx__telemetry *t, const char *session_id)
{
    const tkx__io *io = &t->site->io;
    char own[12 + 37] = "sessionless-";

    if (t->loop.session_id)
        return;
    tkx__telemetry_uuid(own + 12);
    t->loop.session_id = tkx__strdup(session_id ? session_id : own);
    t->loop.timer = io->ops->timer_new(io->ctx, flush_now, t);
    arm(t);
}

bool tkx__telemetry_drain(tkx__telemetry *t, int64_t deadline_ms, void (*done)(void *arg),
                          void *arg)
{
    if (!t->loop.session_id || atomic_load(&t->is_off))
        return false;
    t->loop.deadline_ms = deadline_ms;
    flush_now(t);
    if (!t->loop.call)
        return false;
    t->loop.done = done;
    t->loop.arg = arg;
    return true;
}

void tkx__telemetry_stop(tkx__telemetry *t)
{
    const tkx__io *io = &t->site->io;

    atomic_store(&t->is_off, true);
    t->loop.done = NULL;
    tkx__call_cancel(t->loop.call);
    t->loop.call = NULL;
    io->ops->timer_free(io->ctx, t->loop.timer);
    t->loop.timer = NULL;
}

void tkx__telemetry_free(tkx__telemetry *t)
{
    if (!t)
        return;
    tkx__telemetry_stop(t);
    tkx__telemetry_queue_clear(&t->queue);
    tkx__buf_clear(&t->loop.text);
    tkx__free(t->loop.session_id);
    tkx__free(t);
}
