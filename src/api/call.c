/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call.c - one service call until it has succeeded or failed for good.
 *
 *     WAIT_KEY --key--> SENDING --2xx, final--> (gone)
 *        ^               |   ^
 *        | invalid_token |   | timer
 *        +---------------+   |
 *                        +--> PAUSED      inner resend, outer repeat, billing pause
 *
 * One reply is judged in on_reply(), in the order of the rules; exactly one of them acts.
 * The call is freed before its function runs, so that may start another or close the
 * site.
 */
#include "api/call.h"

#include <stdio.h>
#include <string.h>

#include "api/auth.h"
#include "api/backoff.h"
#include "api/breaker.h"
#include "api/http_error.h"
#include "api/profile.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define CONNECT_TIMEOUT_MS 5000
#define DEFAULT_MAX_REPLY ((size_t)1 << 20)

struct tkx__call {
    tkx__site *site;
    tkx__call_spec spec;
    tkx__call_fn *fn;
    void *arg;
    tkx__transfer *transfer;
    tkx__timer *timer;
    tkx__secret *key; /* the one in flight */
    tkx__auth_wait wait;
    int64_t started_ms;
    int n_sends;
    unsigned n_inner; /* resends since the call was (re)started */
    unsigned n_outer;
    int64_t sent_ms; /* the send in flight */
    bool has_replayed;
    bool was_paused; /* by billing */
    bool is_probe;   /* the send under way decides about a half-open breaker */
    char idempotency[56];
    char retry_count[12];
    tkx__header_set *common;
    tkx__header headers[2 + TKX__MAX_CALL_HEADERS];
    char url[];
};

#define TROUBLE_EVERY_MS 30000

static void send_now(tkx__call *call);

static int64_t elapsed(const tkx__call *call)
{
    return tkx__site_now(call->site) - call->started_ms;
}

static void dispose(tkx__call *call)
{
    tkx__site *site = call->site;

    if (call->transfer)
        site->io.ops->cancel(site->io.ctx, call->transfer);
    if (call->is_probe)
        tkx__breaker_note(site->breakers, call->spec.lane, tkx__site_now(site), true,
                          TKX__BREAKER_NEUTRAL, 0);
    if (call->timer)
        site->io.ops->timer_free(site->io.ctx, call->timer);
    if (call->wait.is_waiting)
        tkx__auth_unwait(site->auth, &call->wait);
    tkx__secret_unref(call->key);
    tkx__header_set_unref(call->common);
    tkx__free(call);
}

void tkx__call_cancel(tkx__call *call)
{
    if (call)
        dispose(call);
}

/* The end: reply is borrowed from the transport, error handed over. */
static void finish(tkx__call *call, tkx__reply *reply, tkx_error *error)
{
    tkx__outcome outcome = {
        .reply = reply && reply->http_status ? reply : NULL,
        .error = error,
        .n_sends = call->n_sends,
        .elapsed_ms = elapsed(call),
        .last_ms = reply ? reply->elapsed_ms : 0,
    };
    tkx__call_fn *fn = call->fn;
    void *arg = call->arg;

    dispose(call);
    fn(arg, &outcome);
}

static tkx__attempt attempt_of(const tkx__call *call)
{
    return (tkx__attempt){
        .what = call->spec.what,
        .url = call->url,
        .secret = call->key ? call->key->text : NULL,
        .key = tkx__auth_key_text(call->site->auth),
        .request_id = call->spec.request_id,
        .seq_id = call->spec.seq_id,
        .n_sends = call->n_sends,
        .elapsed_ms = elapsed(call),
    };
}

static void fail_with(tkx__call *call, tkx__reply *reply, bool is_link)
{
    tkx_error *error = NULL;
    tkx__attempt attempt = attempt_of(call);

    if (is_link)
        tkx__fail_link(&error, &attempt, reply);
    else
        tkx__fail_http(&error, &attempt, reply);
    finish(call, reply, error);
}

/* --- waiting -------------------------------------------------------------------------
 */

static void on_timer(void *arg)
{
    tkx__call *call = arg;

    if (call->spec.on_retry)
        call->spec.on_retry(call->arg, 0, true);
    send_now(call);
}

static void arm(tkx__call *call, int64_t delay_ms)
{
    const tkx__io *io = &call->site->io;

    if (call->spec.deadline_ms) {
        int64_t left = call->spec.deadline_ms - tkx__site_now(call->site);
        if (left < delay_ms)
            delay_ms = left > 0 ? left : 0;
    }
    io->ops->timer_arm(io->ctx, call->timer, delay_ms);
}

static void pause_for(tkx__call *call, int64_t delay_ms)
{
    const tkx__io *io = &call->site->io;

    if (!call->timer)
        call->timer = io->ops->timer_new(io->ctx, on_timer, call);
    if (!call->timer) {
        tkx_error *error = NULL;
        tkx__fail_memory(&error);
        finish(call, NULL, error);
        return;
    }
    arm(call, delay_ms);
}

static void on_key(void *arg, const tkx_error *error)
{
    tkx__call *call = arg;

    call->wait.is_waiting = false;
    if (error)
        finish(call, NULL, tkx__error_copy(error));
    else
        send_now(call);
}

static void wait_for_key(tkx__call *call)
{
    call->wait.fn = on_key;
    call->wait.arg = call;
    tkx__auth_wait_for(call->site->auth, &call->wait);
}

/* --- judging a reply -----------------------------------------------------------------
 */

/* A 400 without a real body did not come from the service but from a front proxy. */
static bool is_proxy_400(const tkx__reply *reply)
{
    const char *length = tkx__reply_header(reply, "content-length");

    return reply->http_status == 400 && (!length || strcmp(length, "0") == 0);
}

static bool spend_proxy_budget(tkx__call *call)
{
    int *left = &call->site->proxy_400_left[call->spec.lane];

    if (*left <= 0)
        return false;
    --*left;
    call->site->fresh_next[call->spec.lane] = true;
    return true;
}

static void log_note_once(tkx__site *site, const tkx__reply *reply)
{
    const char *note = tkx__reply_header(reply, "x-deprecation-note");
    const char *level = tkx__reply_header(reply, "x-deprecation-level");
    size_t n = sizeof site->seen_notes / sizeof *site->seen_notes;

    if (!note)
        return;
    for (size_t i = 0; i < n; i++) {
        if (site->seen_notes[i] && strcmp(site->seen_notes[i], note) == 0)
            return;
        if (site->seen_notes[i])
            continue;
        site->seen_notes[i] = tkx__strdup(note);
        tkx__log_write(site->log,
                       level && tkx__equals_nocase(level, "error") ? TKX_LOG_ERROR
                                                                   : TKX_LOG_WARNING,
                       "service", "deprecation notice: %s", note);
        return;
    }
}

static bool is_success(const tkx__call *call, int http_status)
{
    return (http_status >= 200 && http_status < 300) ||
           (call->spec.takes_redirect && http_status >= 300 && http_status < 400);
}

/*
 * Resending may go on for minutes, so the user is told why nothing happens: at once, then
 * once in a while for the whole site, since thousands of calls meet the same fault.
 */
static void note_trouble(tkx__call *call, const tkx__reply *reply)
{
    const tkx__attempt attempt = attempt_of(call);
    tkx_error *error = NULL;

    if (call->spec.on_retry)
        call->spec.on_retry(call->arg, reply->error ? 0 : reply->http_status, false);
    if (!call->site->on_trouble)
        return;
    if (reply->error || !reply->http_status)
        tkx__fail_link(&error, &attempt, reply);
    else
        tkx__fail_http(&error, &attempt, reply);
    call->site->on_trouble(call->site->trouble_arg, error);
    tkx_error_free(error);
}

static void say_trouble(tkx__call *call, const tkx__reply *reply, int64_t delay_ms)
{
    tkx__site *site = call->site;
    int64_t now = tkx__site_now(site);

    note_trouble(call, reply);
    bool is_due =
        !site->trouble_said_ms || now - site->trouble_said_ms >= TROUBLE_EVERY_MS;
    char status[32];

    if (!is_due && !tkx__log_wants(site->log, TKX_LOG_DEBUG))
        return;
    snprintf(status, sizeof status, "HTTP status %d", reply->http_status);
    tkx__log_write(site->log, is_due ? TKX_LOG_WARNING : TKX_LOG_DEBUG, "service",
                   "%s: %s; trying again in %.1f s", call->spec.what,
                   reply->error ? tkx_error_message(reply->error) : status,
                   (double)delay_ms / 1000);
    if (is_due)
        site->trouble_said_ms = now;
}

/* Inner layer: the same call again.  True when it took the reply. */
static bool retry_inner(tkx__call *call, const tkx__reply *reply, bool is_link)
{
    if (call->n_inner >= call->spec.max_retries ||
        (!is_link && !tkx__reply_should_retry(reply)))
        return false;
    if (call->spec.final_409 && !is_link && reply->http_status == 409)
        return false;
    const tkx__io *io = &call->site->io;
    int64_t delay =
        is_link ? -1 : tkx__backoff_asked_ms(reply, io->ops->wall_ms(io->ctx));
    if (delay < 0)
        delay = tkx__backoff_inner_ms(call->n_inner, tkx__site_uniform(call->site));
    call->n_inner++;
    say_trouble(call, reply, delay);
    pause_for(call, delay);
    return true;
}

/* A new call: new idempotency key, inner count from 0. */
static void begin_again(tkx__call *call)
{
    call->n_inner = 0;
    if (!call->spec.idempotency_key)
        tkx__make_uuid(call->site, call->idempotency, "tkx-retry-");
}

static bool retry_outer(tkx__call *call, const tkx__reply *reply, bool is_link)
{
    int64_t passed = elapsed(call);

    if (!call->spec.is_outer || passed >= TKX__OUTER_BUDGET_MS)
        return false;
    if (!is_link && (!tkx__status_is_retryable(reply->http_status) ||
                     (call->spec.final_409 && reply->http_status == 409)))
        return false;
    int64_t delay = tkx__backoff_outer_ms(call->n_outer++, tkx__site_uniform(call->site));
    if (delay > TKX__OUTER_BUDGET_MS - passed)
        delay = TKX__OUTER_BUDGET_MS - passed;
    begin_again(call);
    say_trouble(call, reply, delay);
    pause_for(call, delay);
    return true;
}

/* 401 marked invalid_token: one exchange, one replay, outside all counting. */
static bool replay_with_new_token(tkx__call *call, const tkx__reply *reply)
{
    const char *mark = tkx__reply_header(reply, "www-authenticate");

    if (reply->http_status != 401 || call->has_replayed || !call->site->auth || !mark ||
        !strstr(mark, "error=\"invalid_token\"") || call->spec.uses_raw_credential ||
        call->spec.carries_key)
        return false;
    if (!tkx__auth_refused(call->site->auth, call->key))
        return false;
    call->has_replayed = true;
    call->n_sends--;
    send_now(call);
    return true;
}

static bool pause_for_billing(tkx__call *call)
{
    if (!call->spec.is_outer ||
        !tkx__billing_on_402(&call->site->billing, tkx__site_now(call->site)))
        return false;
    call->was_paused = true;
    begin_again(call);
    pause_for(call, TKX__BILLING_SLEEP_MS);
    return true;
}

static bool past_deadline(const tkx__call *call)
{
    return call->spec.deadline_ms && tkx__site_now(call->site) >= call->spec.deadline_ms;
}

static void on_answer(tkx__call *call, tkx__reply *reply)
{
    int http = reply->http_status;
    int *left = &call->site->proxy_400_left[call->spec.lane];

    log_note_once(call->site, reply);
    if (call->was_paused && http != 402) {
        call->was_paused = false;
        tkx__billing_on_recovery(&call->site->billing);
    }
    if (is_success(call, http)) {
        if (*left < TKX__PROXY_400_BUDGET)
            ++*left;
        finish(call, reply, NULL);
        return;
    }
    if (replay_with_new_token(call, reply))
        return;
    if (call->spec.is_raw || (call->spec.passes_pushback && http == 429)) {
        finish(call, reply, NULL);
        return;
    }
    if (http == 402 && call->spec.passes_pushback &&
        tkx__billing_on_402(&call->site->billing, tkx__site_now(call->site))) {
        finish(call, reply, NULL);
        return;
    }
    if (past_deadline(call) || (http == 402 && pause_for_billing(call)) ||
        retry_inner(call, reply, false) || retry_outer(call, reply, false)) {
        if (past_deadline(call))
            fail_with(call, reply, false);
        return;
    }
    fail_with(call, reply, false);
}

/* Nobody was there, as opposed to an answer that was slow, cut or strange. */
static bool is_unanswered(const tkx__reply *reply)
{
    tkx_status st = tkx_error_status(reply->error);

    return reply->http_status == 0 &&
           (st == TKX_ERR_CONNECTION ||
            (st == TKX_ERR_TIMEOUT && reply->elapsed_ms < 2 * CONNECT_TIMEOUT_MS));
}

static void note_reach(const tkx__call *call, const tkx__reply *reply, bool is_hopeless)
{
    tkx__reach *reach = &call->site->reach;

    if (reply->http_status)
        tkx__reach_answered(reach);
    else if (is_unanswered(reply))
        tkx__reach_unanswered(reach, call->sent_ms, tkx__site_now(call->site),
                              is_hopeless);
}

/* What the reply says about its endpoint. */
static void tell_breaker(tkx__call *call, const tkx__reply *reply)
{
    tkx__site *site = call->site;

    if (!site->breakers)
        return;
    tkx__breaker_note(site->breakers, call->spec.lane, tkx__site_now(site),
                      call->is_probe, tkx__breaker_judge(call->spec.lane, reply),
                      reply->http_status);
    call->is_probe = false;
}

static void on_reply(tkx__reply *reply, void *arg)
{
    tkx__call *call = arg;
    /* An answer beyond its cap, an untrusted certificate: the same again would not help.
     */
    bool is_hopeless = reply->error && !tkx_error_is_retryable(reply->error);

    call->transfer = NULL;
    note_reach(call, reply, is_hopeless);
    tell_breaker(call, reply);
    if (reply->http_status && !reply->error &&
        !(is_proxy_400(reply) && spend_proxy_budget(call))) {
        on_answer(call, reply);
        return;
    }
    if (!is_hopeless && !past_deadline(call) &&
        (retry_inner(call, reply, true) || retry_outer(call, reply, true)))
        return;
    fail_with(call, reply, true);
}

/* --- sending -------------------------------------------------------------------------
 */

/* What differs from one request to the next; the rest is in the profile. */
static size_t put_headers(tkx__call *call)
{
    const tkx__call_spec *spec = &call->spec;
    bool is_get = spec->method && strcmp(spec->method, "GET") == 0;
    size_t n = 0;

    if (!is_get)
        call->headers[n++] = (tkx__header){"X-Idempotency-Key",
                                           spec->idempotency_key ? spec->idempotency_key
                                                                 : call->idempotency};
    call->headers[n++] = (tkx__header){"x-stainless-retry-count", call->retry_count};
    for (size_t i = 0; i < spec->n_headers && i < TKX__MAX_CALL_HEADERS; i++)
        call->headers[n++] = spec->headers[i];
    return n;
}

static bool take_profile(tkx__call *call, int64_t timeout_ms)
{
    const tkx__call_spec *spec = &call->spec;
    const tkx__profile_key key = {
        .accept = spec->accept ? spec->accept : "application/json",
        .content_type = spec->content_type ? spec->content_type : "application/json",
        .content_encoding = spec->content_encoding,
        .sdk_method = spec->sdk_method,
        .request_type = spec->request_type,
        .secret = call->key,
        .timeout_ms = timeout_ms,
        .is_get = spec->method && strcmp(spec->method, "GET") == 0,
        .wants_pushback = spec->passes_pushback,
    };

    tkx__header_set_unref(call->common);
    call->common = tkx__profile_get(call->site, &key);
    return call->common != NULL;
}

/* False: wait for a key, or the call has failed. */
static bool take_key(tkx__call *call)
{
    tkx__auth *auth = call->site->auth;

    tkx__secret_unref(call->key);
    call->key = NULL;
    if (!auth || call->spec.carries_key)
        return true;
    call->key =
        call->spec.uses_raw_credential ? tkx__auth_get_raw(auth) : tkx__auth_get(auth);
    if (call->key)
        return true;
    wait_for_key(call);
    return false;
}

static tkx_status refuse(const tkx__call *call, tkx_status status, const char *why,
                         tkx_error **err)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    facts.request_id = call->spec.request_id;
    facts.seq_id = call->spec.seq_id;
    facts.attempts = call->n_sends;
    facts.elapsed_ms = elapsed(call);
    return tkx__fail_facts(err, status, &facts, "%s: %s: %s", call->spec.what, call->url,
                           why);
}

/* An open breaker fails a call that has sent nothing yet; others wait until it lets one
   request through. */
static tkx_status heed_breaker(tkx__call *call, int64_t wait_ms, tkx_error **err)
{
    tkx__site *site = call->site;
    const tkx__io *io = &site->io;
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;
    char why[256];

    if (call->n_sends > 0 || call->spec.outwaits_breaker ||
        call->spec.lane == TKX__LANE_RETRIEVE) {
        if (!call->timer)
            call->timer = io->ops->timer_new(io->ctx, on_timer, call);
        if (!call->timer)
            return refuse(call, TKX_ERR_NO_MEMORY, "no memory for a timer", err);
        arm(call, wait_ms);
        return TKX_OK;
    }
    tkx__breaker_refused(site->breakers, call->spec.lane, wait_ms,
                         io->ops->wall_ms(io->ctx), why, sizeof why);
    facts.request_id = call->spec.request_id;
    facts.seq_id = call->spec.seq_id;
    facts.retry_after_ms = wait_ms;
    facts.category = TKX_ERROR_CATEGORY_SERVER;
    facts.is_retryable = 1;
    return tkx__fail_facts(err, TKX_ERR_BREAKER_OPEN, &facts, "%s: %s: %s",
                           call->spec.what, call->url, why);
}

/* OK: under way, or waiting for a key or a breaker. */
static tkx_status try_send(tkx__call *call, tkx_error **err)
{
    tkx__site *site = call->site;
    const tkx__call_spec *spec = &call->spec;
    int64_t timeout = spec->timeout_ms ? spec->timeout_ms : site->request_timeout_ms;

    if (past_deadline(call))
        return refuse(call, TKX_ERR_TIMEOUT, "the deadline passed before an answer came",
                      err);
    if (site->is_closed && !spec->is_after_close)
        return refuse(call, TKX_ERR_CLOSED, "the client is closed", err);
    int64_t wait = site->breakers && !call->is_probe
                       ? tkx__breaker_admit(site->breakers, spec->lane,
                                            tkx__site_now(site), &call->is_probe)
                       : 0;
    if (wait > 0)
        return heed_breaker(call, wait, err);
    if (!take_key(call))
        return TKX_OK;
    if (!take_profile(call, timeout))
        return refuse(call, TKX_ERR_NO_MEMORY, "no memory for headers", err);
    snprintf(call->retry_count, sizeof call->retry_count, "%u", call->n_inner);
    if (spec->deadline_ms && spec->deadline_ms - tkx__site_now(site) < timeout)
        timeout = spec->deadline_ms - tkx__site_now(site);
    tkx__request request = {
        .lane = spec->lane,
        .method = spec->method ? spec->method : "POST",
        .url = call->url,
        .headers = call->headers,
        .n_headers = put_headers(call),
        .common = call->common,
        .body = spec->body,
        .timeout_ms = timeout,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .max_reply_bytes =
            spec->max_reply_bytes ? spec->max_reply_bytes : DEFAULT_MAX_REPLY,
        .expected_reply_bytes = spec->expected_reply_bytes,
        .no_redirects = spec->takes_redirect,
        .fresh_connection = site->fresh_next[spec->lane],
    };
    site->fresh_next[spec->lane] = false;
    call->n_sends++;
    call->sent_ms = tkx__site_now(site);
    call->transfer = site->io.ops->send(site->io.ctx, &request, on_reply, call);
    if (!call->transfer)
        return refuse(call, TKX_ERR_NO_MEMORY, "no memory to send", err);
    return TKX_OK;
}

static void send_now(tkx__call *call)
{
    tkx_error *error = NULL;

    if (try_send(call, &error) != TKX_OK)
        finish(call, NULL, error);
}

void tkx__make_uuid(tkx__site *site, char *out, const char *prefix)
{
    uint64_t half[2];

    for (int i = 0; i < 2; i++) /* 53 random bits each carry; two draws fill 64 */
        half[i] = ((uint64_t)(tkx__site_uniform(site) * 4294967296.0) << 32) |
                  (uint64_t)(tkx__site_uniform(site) * 4294967296.0);
    half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x4000;
    half[1] = (half[1] & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    sprintf(out, "%s%08x-%04x-%04x-%04x-%012llx", prefix, (unsigned)(half[0] >> 32),
            (unsigned)(half[0] >> 16 & 0xffff), (unsigned)(half[0] & 0xffff),
            (unsigned)(half[1] >> 48), (unsigned long long)(half[1] & 0xffffffffffff));
}

tkx_status tkx__call_start(tkx__site *site, const tkx__call_spec *spec, tkx__call_fn *fn,
                           void *arg, tkx__call **out, tkx_error **err)
{
    size_t base = strlen(site->api_url);
    size_t size = strlen(spec->route) + 1;

    tkx__call *call = tkx__malloc(sizeof *call + base + size);
    if (!call)
        return tkx__fail_memory(err);
    memset(call, 0, sizeof *call);
    call->site = site;
    call->spec = *spec;
    call->fn = fn;
    call->arg = arg;
    call->started_ms = tkx__site_now(site);
    memcpy(call->url, site->api_url, base);
    memcpy(call->url + base, spec->route, size);
    begin_again(call);
    *out = call;
    tkx_status st = try_send(call, err);
    if (st != TKX_OK) {
        *out = NULL;
        dispose(call);
    }
    return st;
}
