/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - one session with the service.
 *
 *     CONFIG -> DYNAMIC -> CREATE -> LIVE --404, 410--> DEAD
 *        \________\__________\-- failure --> FAILED
 *
 * Start-up is strictly in order, since each answer may change how the next request goes
 * (credentials above all).  While LIVE, a beat goes out 10 s after the last one ended and
 * the dynamic configuration is asked for again at the service's interval.
 */
#include "api/session.h"

#include <stdio.h>
#include <string.h>

#include "api/auth.h"
#include "api/call.h"
#include "api/scan.h"
#include "api/session_config.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define BEAT_MS 10000
#define BEAT_TIMEOUT_MS 10000
#define WARN_AFTER_MS 120000
#define WARN_EVERY_MS 60000
#define MAX_BODY ((size_t)4 << 20)
#define NUMBERS_PER_LIFE 1000 /* models and samplers made in one life, at most */

struct tkx__session {
    tkx__site *site;
    tkx__session_fn *fn;
    void *arg;
    tkx__session_state state;
    bool is_sessionless;
    bool is_adopted; /* somebody else's session, who also finishes it */
    char *id;
    char *resume_id;    /* NULL: none, or the service has it no more */
    tkx__call *call;    /* of the start-up, one at a time */
    tkx__call *beat;    /* heartbeat under way */
    tkx__call *refresh; /* dynamic configuration under way */
    tkx__call *finish;
    void (*finish_fn)(void *arg, const tkx_error *error);
    void *finish_arg;
    tkx__timer *beat_timer;
    tkx__timer *refresh_timer;
    int64_t last_beat_ms; /* -1: none */
    atomic_llong *shown_beat_ms;
    int64_t warned_ms; /* -1: not in this row of failures */
    tkx__buf version_body, create_body, beat_body, finish_body;
    tkx__body version, create, beat_request, finish_request;
    tkx_error *death; /* why it is dead */
    atomic_llong next_model, next_sampler, next_custom_loss;
};

static void fix_body(tkx__body *body, const tkx__buf *buf)
{
    *body = (tkx__body){.bytes = tkx__buf_text(buf), .size_bytes = buf->size};
}

static void report(tkx__session *s, tkx_error *error)
{
    tkx__session_fn *fn = s->fn;

    s->state = error ? TKX__SESSION_FAILED : TKX__SESSION_LIVE;
    s->fn = NULL;
    if (fn)
        fn(s->arg, error);
    else
        tkx_error_free(error);
}

static void start_call(tkx__session *s, const tkx__call_spec *spec, tkx__call_fn *fn)
{
    tkx_error *error = NULL;

    if (tkx__call_start(s->site, spec, fn, s, &s->call, &error) != TKX_OK)
        report(s, error);
}

/* --- while it lives -------------------------------------------------------------- */

static void arm(tkx__session *s, tkx__timer *timer, int64_t delay_ms)
{
    s->site->io.ops->timer_arm(s->site->io.ctx, timer, delay_ms);
}

static void note_beat(tkx__session *s)
{
    s->last_beat_ms = tkx__site_now(s->site);
    if (s->shown_beat_ms)
        atomic_store(s->shown_beat_ms, s->last_beat_ms);
}

static void die(tkx__session *s, const tkx_error *error)
{
    s->state = TKX__SESSION_DEAD;
    s->death = tkx__error_copy(error);
    tkx__log_write(s->site->log, TKX_LOG_ERROR, "session",
                   "the service has ended session %s (HTTP %d); nothing more can be "
                   "submitted in it",
                   s->id, tkx_error_http_status(error));
}

static void warn_of_silence(tkx__session *s, const tkx_error *error)
{
    int64_t now = tkx__site_now(s->site);
    int64_t silent = now - s->last_beat_ms;

    if (silent <= WARN_AFTER_MS ||
        (s->warned_ms >= 0 && now - s->warned_ms < WARN_EVERY_MS))
        return;
    s->warned_ms = now;
    tkx__log_write(
        s->site->log, TKX_LOG_WARNING, "session",
        "no heartbeat of session %s has got through for %lld s (last: %s); the "
        "service will end the session if this goes on",
        s->id, (long long)(silent / 1000), tkx_error_message(error));
}

static void on_beat(void *arg, tkx__outcome *outcome)
{
    tkx__session *s = arg;
    int http = tkx_error_http_status(outcome->error);

    s->beat = NULL;
    if (!outcome->error) {
        note_beat(s);
        s->warned_ms = -1;
    } else if (http == 404 || http == 410) {
        die(s, outcome->error);
    } else {
        warn_of_silence(s, outcome->error);
    }
    tkx_error_free(outcome->error);
    if (s->state == TKX__SESSION_LIVE)
        arm(s, s->beat_timer, BEAT_MS);
}

/* The body of the first beat, and of all that follow. */
static bool write_beat(tkx__session *s, const char *id)
{
    tkx__buf_reset(&s->beat_body);
    tkx__buf_puts(&s->beat_body, "{\"session_id\":");
    tkx__put_quoted(&s->beat_body, id);
    tkx__buf_puts(&s->beat_body, ",\"type\":\"session_heartbeat\"}");
    fix_body(&s->beat_request, &s->beat_body);
    return s->beat_body.status == TKX_OK;
}

static tkx__call_spec beat_spec(const tkx__session *s)
{
    return (tkx__call_spec){
        .what = "session_heartbeat",
        .route = "session_heartbeat",
        .lane = TKX__LANE_SESSION,
        .body = &s->beat_request,
        .seq_id = -1,
        .timeout_ms = BEAT_TIMEOUT_MS,
    };
}

static void send_beat(void *arg)
{
    tkx__session *s = arg;
    const tkx__call_spec spec = beat_spec(s);

    if (tkx__call_start(s->site, &spec, on_beat, s, &s->beat, NULL) != TKX_OK)
        arm(s, s->beat_timer, BEAT_MS);
}

static void on_refreshed(void *arg, tkx__outcome *outcome)
{
    tkx__session *s = arg;
    tkx__dynamic_config config = s->site->dynamic;

    s->refresh = NULL;
    if (!outcome->error &&
        tkx__dynamic_config_read(&config, outcome->reply->body, outcome->reply->body_size,
                                 &outcome->error) == TKX_OK)
        s->site->dynamic = config;
    if (outcome->error)
        tkx__log_write(s->site->log, TKX_LOG_DEBUG, "session",
                       "dynamic configuration kept, since the refresh failed: %s",
                       tkx_error_message(outcome->error));
    tkx_error_free(outcome->error);
    arm(s, s->refresh_timer, s->site->dynamic.refresh_interval_ms);
}

static tkx__call_spec dynamic_spec(tkx__session *s)
{
    return (tkx__call_spec){
        .what = "client/dynamic_config",
        .route = "client/dynamic_config",
        .lane = TKX__LANE_SESSION,
        .body = &s->version,
        .seq_id = -1,
        .timeout_ms = 10000,
    };
}

static void send_refresh(void *arg)
{
    tkx__session *s = arg;
    tkx__call_spec spec = dynamic_spec(s);

    if (tkx__call_start(s->site, &spec, on_refreshed, s, &s->refresh, NULL) != TKX_OK)
        arm(s, s->refresh_timer, s->site->dynamic.refresh_interval_ms);
}

/* --- start-up, last step first --------------------------------------------------- */

static void go_live(tkx__session *s)
{
    tkx_error *error = NULL;
    const tkx__io *io = &s->site->io;

    s->refresh_timer = io->ops->timer_new(io->ctx, send_refresh, s);
    if (!s->is_sessionless)
        s->beat_timer = io->ops->timer_new(io->ctx, send_beat, s);
    if (!s->refresh_timer || (!s->is_sessionless && !s->beat_timer)) {
        tkx__fail_memory(&error);
        report(s, error);
        return;
    }
    note_beat(s); /* creating it counts as a sign of life */
    arm(s, s->refresh_timer, s->site->dynamic.refresh_interval_ms);
    if (s->beat_timer)
        arm(s, s->beat_timer, BEAT_MS);
    report(s, NULL);
}

static void log_message(tkx__session *s, tkx_log_level level, tkx__span value)
{
    char *text = tkx__span_dup(value);

    if (text && *text)
        tkx__log_write(s->site->log, level, "service", "%s", text);
    tkx__free(text);
}

enum { K_ID, K_INFO, K_WARNING, K_ERROR, N_KEYS };
static const char *const keys[N_KEYS] = {"session_id", "info_message", "warning_message",
                                         "error_message"};

/* It has an id; the rest is the same for old and new. */
static void begin_life(tkx__session *s)
{
    tkx_error *error = NULL;

    if (write_beat(s, s->id)) {
        go_live(s);
        return;
    }
    tkx__fail_memory(&error);
    report(s, error);
}

static void on_created(void *arg, tkx__outcome *outcome)
{
    tkx__session *s = arg;
    tkx_error *error = outcome->error;
    tkx__span v[N_KEYS] = {0};

    s->call = NULL;
    if (!error &&
        tkx__scan_pick(outcome->reply->body, outcome->reply->body_size, keys, N_KEYS, v))
        s->id = tkx__span_dup(v[K_ID]);
    if (!error && (!s->id || !*s->id))
        tkx__fail(&error, TKX_ERR_PROTOCOL,
                  "create_session answered without a session_id");
    if (error) {
        report(s, error);
        return;
    }
    log_message(s, TKX_LOG_INFO, v[K_INFO]);
    log_message(s, TKX_LOG_WARNING, v[K_WARNING]);
    log_message(s, TKX_LOG_ERROR, v[K_ERROR]);
    begin_life(s);
}

static void create(tkx__session *s)
{
    const tkx__call_spec spec = {
        .what = "create_session",
        .route = "create_session",
        .lane = TKX__LANE_SESSION,
        .body = &s->create,
        .seq_id = -1,
        .max_retries = TKX__INNER_RETRIES,
    };

    if (s->is_sessionless || s->is_adopted)
        go_live(s);
    else
        start_call(s, &spec, on_created);
}

static void on_resumed(void *arg, tkx__outcome *outcome)
{
    tkx__session *s = arg;
    tkx_error *error = outcome->error;
    int http = tkx_error_http_status(error);

    s->call = NULL;
    if (!error) {
        s->id = s->resume_id;
        s->resume_id = NULL;
        begin_life(s);
    } else if (http == 404 || http == 410) {
        tkx__log_write(s->site->log, TKX_LOG_INFO, "session",
                       "session %s has ended (HTTP %d); a new one is made", s->resume_id,
                       http);
        tkx_error_free(error);
        atomic_store(&s->next_model, 0);
        atomic_store(&s->next_sampler, 0);
        create(s);
    } else {
        report(s, error);
    }
}

/* Does the service still have the session of before? */
static void ask_resumed(tkx__session *s)
{
    tkx__call_spec spec = beat_spec(s);
    tkx_error *error = NULL;

    if (!write_beat(s, s->resume_id)) {
        tkx__fail_memory(&error);
        report(s, error);
        return;
    }
    spec.max_retries = TKX__INNER_RETRIES;
    spec.is_outer = true;
    start_call(s, &spec, on_resumed);
}

static void on_dynamic(void *arg, tkx__outcome *outcome)
{
    tkx__session *s = arg;
    tkx_error *error = outcome->error;

    s->call = NULL;
    if (error && tkx_error_http_status(error) == 404) { /* an older server: defaults */
        tkx_error_free(error);
        error = NULL;
    } else if (!error) {
        tkx__dynamic_config_read(&s->site->dynamic, outcome->reply->body,
                                 outcome->reply->body_size, &error);
    }
    if (error)
        report(s, error);
    else if (s->resume_id)
        ask_resumed(s);
    else
        create(s);
}

static void ask_dynamic(tkx__session *s)
{
    tkx__call_spec spec = dynamic_spec(s);

    spec.is_outer = true;
    start_call(s, &spec, on_dynamic);
}

static void on_config(void *arg, tkx__outcome *outcome)
{
    tkx__session *s = arg;
    tkx_error *error = outcome->error;
    tkx__config config;

    s->call = NULL;
    tkx__config_default(&config);
    if (error && tkx_error_http_status(error) == 404) {
        tkx__log_write(s->site->log, TKX_LOG_INFO, "session",
                       "the service has no client/config; defaults are used");
        tkx_error_free(error);
        error = NULL;
    } else if (!error) {
        tkx__config_read(&config, outcome->reply->body, outcome->reply->body_size,
                         &error);
    }
    if (error) {
        report(s, error);
        return;
    }
    tkx__site_configure(s->site, &config);
    if (s->site->auth)
        tkx__auth_configure(s->site->auth, config.pjwt_auth_enabled,
                            config.needs_credential_cmd);
    ask_dynamic(s);
}

tkx_status tkx__session_start(tkx__site *site, const tkx__session_options *options,
                              tkx__session_fn *fn, void *arg, tkx__session **out,
                              tkx_error **err)
{
    tkx__session *s = tkx__calloc(1, sizeof *s);
    const tkx__call_spec spec = {
        .what = "client/config",
        .route = "client/config",
        .lane = TKX__LANE_SESSION,
        .body = s ? &s->version : NULL,
        .seq_id = -1,
        .max_retries = TKX__INNER_RETRIES,
        .is_outer = true,
        .uses_raw_credential = true,
    };

    if (!s)
        return tkx__fail_memory(err);
    s->site = site;
    s->fn = fn;
    s->arg = arg;
    s->is_sessionless = options->is_sessionless;
    s->is_adopted = options->session_id != NULL;
    s->id = options->session_id ? tkx__strdup(options->session_id) : NULL;
    s->shown_beat_ms = options->last_beat_ms;
    s->last_beat_ms = s->warned_ms = -1;
    tkx__buf_init(&s->version_body, MAX_BODY);
    tkx__buf_init(&s->create_body, MAX_BODY);
    tkx__buf_init(&s->beat_body, MAX_BODY);
    tkx__buf_init(&s->finish_body, MAX_BODY);
    if (options->resume_id && !s->is_sessionless) {
        s->resume_id = tkx__strdup(options->resume_id);
        s->version_body.status = s->resume_id ? TKX_OK : TKX_ERR_NO_MEMORY;
        atomic_store(&s->next_model, options->n_resumed * NUMBERS_PER_LIFE);
        atomic_store(&s->next_sampler, options->n_resumed * NUMBERS_PER_LIFE);
    }
    tkx__buf_puts(&s->version_body, "{\"sdk_version\":");
    tkx__put_quoted(&s->version_body, site->sdk_version);
    tkx__buf_putc(&s->version_body, '}');
    tkx__put_create_session(&s->create_body, options, site->sdk_version);
    fix_body(&s->version, &s->version_body);
    fix_body(&s->create, &s->create_body);
    bool has_id = !s->is_adopted || (s->id && write_beat(s, s->id));
    tkx_status st =
        !has_id || s->version_body.status != TKX_OK || s->create_body.status != TKX_OK
            ? tkx__fail_memory(err)
            : tkx__call_start(site, &spec, on_config, s, &s->call, err);
    if (st != TKX_OK) {
        tkx__session_free(s);
        return st;
    }
    *out = s;
    return TKX_OK;
}

/* --- the end --------------------------------------------------------------------- */

static void on_finished(void *arg, tkx__outcome *outcome)
{
    tkx__session *s = arg;

    s->finish = NULL;
    tkx_error *error = outcome->error;
    if (tkx_error_http_status(error) == 404) {
        tkx_error_free(error);
        error = NULL;
    }
    if (error)
        tkx__log_write(s->site->log, TKX_LOG_WARNING, "session",
                       "the service was not told that session %s has finished: %s", s->id,
                       tkx_error_message(error));
    s->finish_fn(s->finish_arg, error); /* may free the session */
    tkx_error_free(error);
}

bool tkx__session_finish(tkx__session *s, const char *reason, const char *detail,
                         int64_t deadline_ms,
                         void (*done)(void *arg, const tkx_error *error), void *arg)
{
    char route[512];

    if (s->state != TKX__SESSION_LIVE || !s->id || s->is_adopted || s->finish_body.size)
        return false;
    if ((size_t)snprintf(route, sizeof route, "sessions/%s/finish", s->id) >=
        sizeof route)
        return false;
    tkx__buf_printf(&s->finish_body, "{\"reason\":{\"type\":\"%s\"},\"detail\":", reason);
    if (detail)
        tkx__put_quoted(&s->finish_body, detail);
    else
        tkx__buf_puts(&s->finish_body, "null");
    tkx__buf_putc(&s->finish_body, '}');
    fix_body(&s->finish_request, &s->finish_body);
    s->finish_fn = done;
    s->finish_arg = arg;
    const tkx__call_spec spec = {
        .what = "session finish",
        .route = route,
        .lane = TKX__LANE_SESSION,
        .body = &s->finish_request,
        .sdk_method = "ServiceClient.close",
        .seq_id = -1,
        .deadline_ms = deadline_ms,
        .max_retries = TKX__INNER_RETRIES,
        .is_outer = true,
        .is_after_close = true,
    };
    if (s->finish_body.status != TKX_OK ||
        tkx__call_start(s->site, &spec, on_finished, s, &s->finish, NULL) != TKX_OK)
        return false;
    s->state = TKX__SESSION_STOPPED; /* a beat would only hear that it is over */
    s->site->io.ops->timer_disarm(s->site->io.ctx, s->beat_timer);
    return true;
}

static void drop_call(tkx__call **call)
{
    tkx__call_cancel(*call);
    *call = NULL;
}

void tkx__session_stop(tkx__session *s)
{
    const tkx__io *io = &s->site->io;

    drop_call(&s->call);
    drop_call(&s->beat);
    drop_call(&s->refresh);
    drop_call(&s->finish);
    io->ops->timer_free(io->ctx, s->beat_timer);
    io->ops->timer_free(io->ctx, s->refresh_timer);
    s->beat_timer = s->refresh_timer = NULL;
    s->fn = NULL;
    if (s->state != TKX__SESSION_DEAD)
        s->state = TKX__SESSION_STOPPED;
}

void tkx__session_free(tkx__session *s)
{
    if (!s)
        return;
    tkx__session_stop(s);
    tkx__buf_clear(&s->version_body);
    tkx__buf_clear(&s->create_body);
    tkx__buf_clear(&s->beat_body);
    tkx__buf_clear(&s->finish_body);
    tkx_error_free(s->death);
    tkx__free(s->id);
    tkx__free(s->resume_id);
    tkx__free(s);
}

const char *tkx__session_id(const tkx__session *s)
{
    return s->id;
}

tkx__session_state tkx__session_get_state(const tkx__session *s)
{
    return s->state;
}

tkx_status tkx__session_check(const tkx__session *s, tkx_error **err)
{
    if (s->state == TKX__SESSION_DEAD)
        return tkx__fail(err, TKX_ERR_SESSION_DEAD,
                         "session %s was ended by the service: %s", s->id,
                         tkx_error_message(s->death));
    if (s->state != TKX__SESSION_LIVE)
        return tkx__fail(err, TKX_ERR_CLOSED, "the session is not open");
    return TKX_OK;
}

int64_t tkx__session_next_model(tkx__session *s)
{
    return atomic_fetch_add(&s->next_model, 1);
}

int64_t tkx__session_next_sampler(tkx__session *s)
{
    return atomic_fetch_add(&s->next_sampler, 1);
}

int64_t tkx__session_next_custom_loss(tkx__session *s)
{
    return atomic_fetch_add(&s->next_custom_loss, 1);
}
