/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_start.c - from nothing to a session that lives.
 *
 *     CONFIG -> DYNAMIC -> (is the one of before still there?) -> CREATE -> LIVE
 *        \________\__________________\________________________\-- failure --> FAILED
 *
 * Strictly in order, since each answer may change how the next request goes (credentials
 * above all).
 */
#include "api/session_in.h"

#include "api/auth.h"
#include "api/scan.h"
#include "api/session_config.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define MAX_BODY ((size_t)4 << 20)
#define NUMBERS_PER_LIFE 1000 /* models and samplers made in one life, at most */

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

/* --- the steps, last one first --------------------------------------------------- */

static void go_live(tkx__session *s)
{
    tkx_error *error = NULL;

    tkx__session_begin_life(s, &error);
    report(s, error);
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
static void go_live_with_id(tkx__session *s)
{
    tkx_error *error = NULL;

    if (tkx__session_write_beat(s, s->id)) {
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
    go_live_with_id(s);
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
        go_live_with_id(s);
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
    tkx__call_spec spec = tkx__session_beat_spec(s);
    tkx_error *error = NULL;

    if (!tkx__session_write_beat(s, s->resume_id)) {
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
    tkx__call_spec spec = tkx__session_dynamic_spec(s);

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

/* --- the call -------------------------------------------------------------------- */

static void set_options(tkx__session *s, const tkx__session_options *options)
{
    s->is_sessionless = options->is_sessionless;
    s->is_adopted = options->session_id != NULL;
    s->shown_beat_ms = options->last_beat_ms;
    s->last_beat_ms = s->warned_ms = -1;
    tkx__buf_init(&s->version_body, MAX_BODY);
    tkx__buf_init(&s->create_body, MAX_BODY);
    tkx__buf_init(&s->beat_body, MAX_BODY);
    tkx__buf_init(&s->finish_body, MAX_BODY);
}

/* Whose session it is, if it is not to be a new one; false: no memory. */
static bool set_id(tkx__session *s, const tkx__session_options *options)
{
    if (s->is_adopted) {
        s->id = tkx__strdup(options->session_id);
        if (!s->id || !tkx__session_write_beat(s, s->id))
            return false;
    }
    if (!options->resume_id || s->is_sessionless)
        return true;
    s->resume_id = tkx__strdup(options->resume_id);
    atomic_store(&s->next_model, options->n_resumed * NUMBERS_PER_LIFE);
    atomic_store(&s->next_sampler, options->n_resumed * NUMBERS_PER_LIFE);
    return s->resume_id != NULL;
}

/* Those that are known before the first answer; false: no memory. */
static bool write_bodies(tkx__session *s, const tkx__session_options *options)
{
    tkx__buf_puts(&s->version_body, "{\"sdk_version\":");
    tkx__put_quoted(&s->version_body, s->site->sdk_version);
    tkx__buf_putc(&s->version_body, '}');
    tkx__put_create_session(&s->create_body, options, s->site->sdk_version);
    tkx__session_fix_body(&s->version, &s->version_body);
    tkx__session_fix_body(&s->create, &s->create_body);
    return s->version_body.status == TKX_OK && s->create_body.status == TKX_OK;
}

static tkx_status ask_config(tkx__session *s, tkx_error **err)
{
    const tkx__call_spec spec = {
        .what = "client/config",
        .route = "client/config",
        .lane = TKX__LANE_SESSION,
        .body = &s->version,
        .seq_id = -1,
        .max_retries = TKX__INNER_RETRIES,
        .is_outer = true,
        .uses_raw_credential = true,
    };

    return tkx__call_start(s->site, &spec, on_config, s, &s->call, err);
}

tkx_status tkx__session_start(tkx__site *site, const tkx__session_options *options,
                              tkx__session_fn *fn, void *arg, tkx__session **out,
                              tkx_error **err)
{
    tkx__session *s = tkx__calloc(1, sizeof *s);
    tkx_status st;

    if (!s)
        return tkx__fail_memory(err);
    s->site = site;
    s->fn = fn;
    s->arg = arg;
    set_options(s, options);
    st = set_id(s, options) && write_bodies(s, options) ? ask_config(s, err)
                                                        : tkx__fail_memory(err);
    if (st != TKX_OK) {
        tkx__session_free(s);
        return st;
    }
    *out = s;
    return TKX_OK;
}
