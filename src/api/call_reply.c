/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_reply.c - what a reply means for its call: the end, the same again, or a pause.
 *
 * One reply is judged in tkx__call_on_reply(), in the order of the rules; exactly one of
 * them acts.
 */
#include <stdio.h>
#include <string.h>

#include "api/backoff.h"
#include "api/breaker.h"
#include "api/call_in.h"
#include "api/http_error.h"
#include "api/limiter.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/str.h"

#define TROUBLE_EVERY_MS 30000

static void fail_with(tkx__call *call, tkx__reply *reply, bool is_link)
{
    tkx_error *error = NULL;
    tkx__attempt attempt = tkx__call_attempt(call);

    if (is_link)
        tkx__fail_link(&error, &attempt, reply);
    else
        tkx__fail_http(&error, &attempt, reply);
    tkx__call_finish(call, reply, error);
}

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
    const tkx__attempt attempt = tkx__call_attempt(call);
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

/* Inner layer: the same call again.  True when it took the reply, and with it perhaps the
   call: where there is no memory to wait, it has ended. */
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
    tkx__call_pause(call, delay);
    return true;
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
    tkx__call_begin_again(call);
    say_trouble(call, reply, delay);
    tkx__call_pause(call, delay);
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
    tkx__call_send_now(call);
    return true;
}

static bool pause_for_billing(tkx__call *call, const tkx__reply *reply)
{
    if (!call->spec.is_outer ||
        !tkx__billing_on_402(&call->site->billing, tkx__site_now(call->site)))
        return false;
    call->was_paused = true;
    tkx__call_begin_again(call);
    tkx__span_pause(call->span, reply, TKX__BILLING_SLEEP_MS);
    tkx__call_pause(call, TKX__BILLING_SLEEP_MS);
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
        tkx__call_finish(call, reply, NULL);
        return;
    }
    if (replay_with_new_token(call, reply))
        return;
    tell_limiter(call, http);
    if (call->spec.is_raw || (call->spec.passes_pushback && http == 429)) {
        tkx__call_finish(call, reply, NULL);
        return;
    }
    if (http == 402 && call->spec.passes_pushback &&
        tkx__billing_on_402(&call->site->billing, tkx__site_now(call->site))) {
        tkx__call_finish(call, reply, NULL);
        return;
    }
    if (!tkx__call_past_deadline(call) &&
        ((http == 402 && pause_for_billing(call, reply)) ||
         retry_inner(call, reply, false) || retry_outer(call, reply, false)))
        return; /* the call may be gone */
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
