/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - a session that lives, and its end.
 *
 *     (start-up, session_start.c) --> LIVE --404, 410--> DEAD
 *                                       \-- finish, stop --> STOPPED
 *
 * While LIVE, a beat goes out 10 s after the last one ended and the dynamic configuration
 * is asked for again at the service's interval.
 */
#include "api/session_in.h"

#include <stdio.h>

#include "api/scan.h"
#include "api/session_config.h"
#include "base/error.h"
#include "base/mem.h"

#define BEAT_MS 10000
#define BEAT_TIMEOUT_MS 10000
#define WARN_AFTER_MS 120000
#define WARN_EVERY_MS 60000

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
bool tkx__session_write_beat(tkx__session *s, const char *id)
{
    tkx__buf_reset(&s->beat_body);
    tkx__buf_puts(&s->beat_body, "{\"session_id\":");
    tkx__put_quoted(&s->beat_body, id);
    tkx__buf_puts(&s->beat_body, ",\"type\":\"session_heartbeat\"}");
    tkx__session_fix_body(&s->beat_request, &s->beat_body);
    return s->beat_body.status == TKX_OK;
}

tkx__call_spec tkx__session_beat_spec(const tkx__session *s)
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
    const tkx__call_spec spec = tkx__session_beat_spec(s);

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

tkx__call_spec tkx__session_dynamic_spec(const tkx__session *s)
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
    const tkx__call_spec spec = tkx__session_dynamic_spec(s);

    if (tkx__call_start(s->site, &spec, on_refreshed, s, &s->refresh, NULL) != TKX_OK)
        arm(s, s->refresh_timer, s->site->dynamic.refresh_interval_ms);
}

tkx_status tkx__session_begin_life(tkx__session *s, tkx_error **err)
{
    const tkx__io *io = &s->site->io;

    s->refresh_timer = io->ops->timer_new(io->ctx, send_refresh, s);
    if (!s->is_sessionless)
        s->beat_timer = io->ops->timer_new(io->ctx, send_beat, s);
    if (!s->refresh_timer || (!s->is_sessionless && !s->beat_timer))
        return tkx__fail_memory(err);
    note_beat(s); /* creating it counts as a sign of life */
    arm(s, s->refresh_timer, s->site->dynamic.refresh_interval_ms);
    if (s->beat_timer)
        arm(s, s->beat_timer, BEAT_MS);
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
    tkx__session_fix_body(&s->finish_request, &s->finish_body);
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
