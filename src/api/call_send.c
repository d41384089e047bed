/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_send.c - one send of a call: may it go, with which key, which headers.
 */
#include <string.h>

#include "api/breaker.h"
#include "api/call_in.h"
#include "api/profile.h"
#include "base/error.h"
#include "json/decimal.h"

#define DEFAULT_MAX_REPLY ((size_t)1 << 20)

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
    return n + tkx__span_headers(call->span, call->headers + n);
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
        .is_brief = spec->lane == TKX__LANE_SAMPLE || spec->lane == TKX__LANE_RETRIEVE ||
                    spec->lane == TKX__LANE_TRAIN,
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
    tkx__call_wait_for_key(call);
    return false;
}

static tkx_status refuse(const tkx__call *call, tkx_status status, const char *why,
                         tkx_error **err)
{
    tkx__error_facts facts = TKX__ERROR_FACTS_INIT;

    facts.request_id = call->spec.request_id;
    facts.seq_id = call->spec.seq_id;
    facts.attempts = call->n_sends;
    facts.elapsed_ms = tkx__call_elapsed(call);
    facts.trace_id = tkx__span_trace_id(call->span);
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
        if (!tkx__call_send_later(call, wait_ms))
            return refuse(call, TKX_ERR_NO_MEMORY, "no memory for a timer", err);
        tkx__span_pause(call->span, NULL, wait_ms);
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

tkx_status tkx__call_try_send(tkx__call *call, tkx_error **err)
{
    tkx__site *site = call->site;
    const tkx__call_spec *spec = &call->spec;
    int64_t timeout = spec->timeout_ms ? spec->timeout_ms : site->request_timeout_ms;

    if (tkx__call_past_deadline(call))
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
    call->retry_count[tkx__decimal_print_u64(call->n_inner, call->retry_count)] = '\0';
    if (spec->deadline_ms && spec->deadline_ms - tkx__site_now(site) < timeout)
        timeout = spec->deadline_ms - tkx__site_now(site);
    tkx__span_send(call->span, spec->lane, call->url + strlen(site->api_url),
                   spec->body ? spec->body->size_bytes : 0, call->n_sends + 1);
    tkx__request request = {
        .lane = spec->lane,
        .method = spec->method ? spec->method : "POST",
        .url = call->url,
        .headers = call->headers,
        .n_headers = put_headers(call),
        .common = call->common,
        .body = spec->body,
        .timeout_ms = timeout,
        .connect_timeout_ms = TKX__CONNECT_TIMEOUT_MS,
        .max_reply_bytes =
            spec->max_reply_bytes ? spec->max_reply_bytes : DEFAULT_MAX_REPLY,
        .expected_reply_bytes = spec->expected_reply_bytes,
        .no_redirects = spec->takes_redirect,
        .fresh_connection = site->fresh_next[spec->lane],
    };
    site->fresh_next[spec->lane] = false;
    call->n_sends++;
    call->sent_ms = tkx__site_now(site);
    call->transfer = site->io.ops->send(site->io.ctx, &request, tkx__call_on_reply, call);
    if (!call->transfer)
        return refuse(call, TKX_ERR_NO_MEMORY, "no memory to send", err);
    return TKX_OK;
}
