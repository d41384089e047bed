/* SPDX-License-Identifier: Apache-2.0 */
/*
 * poll_result.c - what a promise settled with: a result for the decoder, or the failure
 * that the service reports in a reply of status 200.
 */
#include "api/poll_result.h"

#include <string.h>

#include "api/auth.h"
#include "api/http_error.h"
#include "api/scan.h"
#include "base/mem.h"
#include "base/str.h"

enum { K_ERROR, K_CATEGORY, N_KEYS };
static const char *const keys[N_KEYS] = {"error", "category"};

static tkx_error_category category_of(tkx__span value)
{
    char *text = tkx__span_dup(value);
    tkx_error_category category = TKX_ERROR_CATEGORY_UNKNOWN;

    if (text && tkx__equals_nocase(text, "user"))
        category = TKX_ERROR_CATEGORY_USER;
    else if (text && tkx__equals_nocase(text, "server"))
        category = TKX_ERROR_CATEGORY_SERVER;
    tkx__free(text);
    return category;
}

/* {"error": "...", "category": "..."}: the service took the request, then failed it. */
static void put_failure(const tkx__poll_spec *spec, const tkx__error_facts *so_far,
                        const tkx__span *v, tkx_error **err)
{
    tkx__error_facts facts = *so_far;
    char *text = tkx__span_dup(v[K_ERROR]);

    facts.category = category_of(v[K_CATEGORY]);
    if (text)
        tkx__fail_facts(err, TKX_ERR_REQUEST_FAILED, &facts,
                        "%s failed on the service: %s", spec->what, text);
    else
        tkx__fail_facts(err, TKX_ERR_REQUEST_FAILED, &facts,
                        "%s failed on the service: %.*s", spec->what,
                        (int)(v[K_ERROR].size < 500 ? v[K_ERROR].size : 500),
                        v[K_ERROR].text);
    tkx__free(text);
}

void tkx__poll_read_result(const tkx__poll_spec *spec, const tkx__payload *payload,
                           const tkx__error_facts *facts, void **result, tkx_error **err)
{
    tkx__span v[N_KEYS];
    tkx_error *cause = NULL;

    if (!payload->is_protobuf &&
        tkx__scan_pick(payload->bytes, payload->size, keys, N_KEYS, v) &&
        v[K_ERROR].text) {
        put_failure(spec, facts, v, err);
        return;
    }
    *result = spec->decode(payload, spec->decode_arg, &cause);
    if (*result)
        return;
    if (!cause) {
        tkx__fail_memory(err);
        return;
    }
    tkx_status st = tkx_error_status(cause);
    tkx__fail_cause(err, st == TKX_ERR_PARSE ? TKX_ERR_PROTOCOL : st, facts, &cause,
                    "%s: the result of %s (%zu bytes of %s) cannot be read: %s",
                    spec->what, spec->request_id, payload->size,
                    payload->is_protobuf ? "protobuf" : "JSON", tkx_error_message(cause));
}

bool tkx__poll_is_protobuf(const tkx__reply *reply)
{
    const char *type = tkx__reply_header(reply, "content-type");
    return type && strstr(type, "application/x-protobuf");
}

tkx_error *tkx__poll_http_error(const tkx__site *site, const tkx__poll_spec *spec,
                                const tkx__error_facts *facts, const tkx__reply *reply)
{
    tkx_error *error = NULL;
    const tkx__attempt attempt = {
        .what = spec->what,
        .url = "retrieve_future",
        .secret = tkx__auth_token_text(site->auth),
        .key = tkx__auth_key_text(site->auth),
        .request_id = facts->request_id,
        .seq_id = facts->seq_id,
        .is_final = true, /* what passes is polled again, and never gets here */
        .n_sends = facts->attempts,
        .elapsed_ms = facts->elapsed_ms,
        .trace_id = facts->trace_id,
    };

    tkx__fail_http(&error, &attempt, reply);
    return error;
}

tkx_error *tkx__poll_gone_error(const tkx__poll_spec *spec, tkx__error_facts *facts)
{
    tkx_error *error = NULL;

    facts->is_retryable = 1;
    tkx__fail_facts(
        &error, TKX_ERR_PROMISE_GONE, facts,
        "%s: the service no longer knows the promise %s; whether the operation "
        "was carried out is unknown",
        spec->what, facts->request_id);
    return error;
}
