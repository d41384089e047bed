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
 * One reply is judged in tkx__call_on_reply(), in the order of the rules; exactly one of
 * them acts. The call is freed before its function runs, so that may start another or
 * close the site.
 */
#include "api/call_in.h"

#include <stdio.h>
#include <string.h>

#include "api/backoff.h"
#include "api/breaker.h"
#include "api/http_error.h"
#include "api/limiter.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define TROUBLE_EVERY_MS 30000

static void send_now(tkx__call *call);

static void dispose(tkx__call *call)
{
    tkx__site *site = call->site;

    if (call->transfer)
        site->io.ops->cancel(site->io.ctx, call->transfer);
    tkx__span_reply(call->span, NULL);
    if (!call->spec.span)
        tkx__span_end(&call->span, NULL, false);
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
        .elapsed_ms = tkx__call_elapsed(call),
        .last_ms = reply ? reply->elapsed_ms : 0,
    };
    tkx__call_fn *fn = call->fn;
    void *arg = call->arg;

    if (!call->spec.span)
        tkx__span_end(&call->span, error, !error);
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
        .elapsed_ms = tkx__call_elapsed(call),
        .trace_id = tkx__span_trace_id(call->span),
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

/* --- waiting --------------------------------------------------------------------- */

static void on_timer(void *arg)
{
    tkx__call *call = arg;

    if (call->spec.on_retry)
        call->spec.on_retry(call->arg, 0, true);
    send_now(call);
}

bool tkx__call_send_later(tkx__call *call, int64_t delay_ms)
{
    const tkx__io *io = &call->site->io;

    if (!call->timer)
        call->timer = io->ops->timer_new(io->ctx, on_timer, call);
    if (!call->timer)
        return false;
    if (call->spec.deadline_ms) {
        int64_t left = call->spec.deadline_ms - tkx__site_now(call->site);
        if (left < delay_ms)
            delay_ms = left > 0 ? left : 0;
    }
    io->ops->timer_arm(io->ctx, call->timer, delay_ms);
    return true;
}

static void pause_for(tkx__call *call, int64_t delay_ms)
{
    tkx_error *error = NULL;

    if (tkx__call_send_later(call, delay_ms))
        return;
    tkx__fail_memory(&error);
    finish(call, NULL, error);
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

void tkx__call_wait_for_key(tkx__call *call)
{
    call->wait.fn = on_key;
    call->wait.arg = call;
    tkx__auth_wait_for(call->site->auth, &call->wait);
}

/* --- judging a reply ------------------------------------------------------------- */

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

    tkx__span_pause(call->span, reply, delay_ms);
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
        tkx__make_uuid(call->site, call->idempotency, "tkx-");
}

static bool retry_outer(tkx__call *call, const tkx__reply *reply, bool is_link)
{
    int64_t passed = tkx__call_elapsed(call);

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

static bool pause_for_billing(tkx__call *call, const tkx__reply *reply)
{
    if (!call->spec.is_outer ||
        !tkx__billing_on_402(&call->site->billing, tkx__site_now(call->site)))
        return false;
    call->was_paused = true;
    begin_again(call);
    tkx__span_pause(call->span, reply, TKX__BILLING_SLEEP_MS);
    pause_for(call, TKX__BILLING_SLEEP_MS);
    return true;
}

/* Samples are pushed back in dispatch.c, where the limits are that they pass. */
static void tell_limiter(const tkx__call *call, int http)
{
    struct tkx__limiter *limiter = call->site->limiter;

    if (http == 429 && limiter &&
        (call->spec.lane == TKX__LANE_TRAIN || call->spec.lane == TKX__LANE_RETRIEVE))
        tkx__limiter_on_other_push_back(limiter, tkx__site_now(call->site));
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
    tell_limiter(call, http);
    if (call->spec.is_raw || (call->spec.passes_pushback && http == 429)) {
        finish(call, reply, NULL);
        return;
    }
    if (http == 402 && call->spec.passes_pushback &&
        tkx__billing_on_402(&call->site->billing, tkx__site_now(call->site))) {
        finish(call, reply, NULL);
        return;
    }
    if (tkx__call_past_deadline(call) ||
        (http == 402 && pause_for_billing(call, reply)) ||
        retry_inner(call, reply, false) || retry_outer(call, reply, false)) {
        if (tkx__call_past_deadline(call))
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
            (st == TKX_ERR_TIMEOUT && reply->elapsed_ms < 2 * TKX__CONNECT_TIMEOUT_MS));
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
    tkx_breaker_info info = TKX_BREAKER_INFO_INIT;

    if (!site->breakers)
        return;
    tkx__breaker_note(site->breakers, call->spec.lane, tkx__site_now(site),
                      call->is_probe, tkx__breaker_judge(call->spec.lane, reply),
                      reply->http_status);
    call->is_probe = false;
    tkx__breaker_look(site->breakers, call->spec.lane, tkx__site_now(site), &info);
    if (info.state == TKX_BREAKER_OPEN && call->spec.lane != TKX__LANE_TRAIN &&
        call->spec.lane != TKX__LANE_TELEMETRY)
        tkx__reach_opened(&site->reach);
}

void tkx__call_on_reply(tkx__reply *reply, void *arg)
{
    tkx__call *call = arg;
    /* An answer beyond its cap, an untrusted certificate: the same again would not
       help. */
    bool is_hopeless = reply->error && !tkx_error_is_retryable(reply->error);

    call->transfer = NULL;
    tkx__span_reply(call->span, reply);
    note_reach(call, reply, is_hopeless);
    tell_breaker(call, reply);
    if (reply->http_status && !reply->error &&
        !(is_proxy_400(reply) && spend_proxy_budget(call))) {
        on_answer(call, reply);
        return;
    }
    /* A front proxy's 400 is a matter for the outer layer, where there is one. */
    bool skips_inner = reply->http_status && !reply->error && call->spec.is_outer;
    if (!is_hopeless && !tkx__call_past_deadline(call) &&
        ((!skips_inner && retry_inner(call, reply, true)) ||
         retry_outer(call, reply, true)))
        return;
    fail_with(call, reply, true);
}

/* --- life ------------------------------------------------------------------------ */

static void send_now(tkx__call *call)
{
    tkx_error *error = NULL;

    if (tkx__call_try_send(call, &error) != TKX_OK)
        finish(call, NULL, error);
}

static char *put_hex(char *to, uint64_t value, int n_digits)
{
    for (int i = n_digits; i-- > 0; value >>= 4)
        to[i] = "0123456789abcdef"[value & 15];
    return to + n_digits;
}

/* Each call has one, so it is not left to printf. */
void tkx__make_uuid(tkx__site *site, char *out, const char *prefix)
{
    size_t n_prefix = strlen(prefix);
    uint64_t half[2];

    for (int i = 0; i < 2; i++) /* 53 random bits each carry; two draws fill 64 */
        half[i] = ((uint64_t)(tkx__site_uniform(site) * 4294967296.0) << 32) |
                  (uint64_t)(tkx__site_uniform(site) * 4294967296.0);
    half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x4000;
    half[1] = (half[1] & ~(UINT64_C(3) << 62)) | UINT64_C(1) << 63;
    memcpy(out, prefix, n_prefix);
    out = put_hex(out + n_prefix, half[0] >> 32, 8);
    *out++ = '-';
    out = put_hex(out, half[0] >> 16, 4);
    *out++ = '-';
    out = put_hex(out, half[0], 4);
    *out++ = '-';
    out = put_hex(out, half[1] >> 48, 4);
    *out++ = '-';
    *put_hex(out, half[1], 12) = '\0';
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
    const tkx__span_spec own = {
        .what = spec->what, .lane = spec->lane, .seq_id = spec->seq_id};
    call->span = spec->span ? spec->span : tkx__span_begin(site->observer, &own);
    begin_again(call);
    *out = call;
    tkx_status st = tkx__call_try_send(call, err);
    if (st != TKX_OK) {
        *out = NULL;
        dispose(call);
    }
    return st;
}
