/* SPDX-License-Identifier: Apache-2.0 */
/* rest_sessions.c - sessions, samplers, usage and the audit log. */
#include <string.h>

#include "base/error.h"
#include "client/rest_page.h"
#include "types/billing.h"
#include "types/session.h"

#define MAX_BODY_BYTES ((size_t)1 << 20)

TKX__RECORD(session_list, "sessions");
TKX__RECORD(session_info, "session");
TKX__RECORD(session_search_result, "found sessions");
TKX__RECORD(sampler_info, "sampler");
TKX__RECORD(audit_log, "audit log");
TKX__RECORD(billing_usage, "usage");
TKX__RECORD(checkpoint_storage, "checkpoint storage");

const tkx__rest_route tkx__rest_list_sessions = {
    .what = "list_sessions",
    .method = "GET",
    .pattern = "sessions",
    .sdk_method = "RestClient.list_sessions",
    .result = &type_session_list,
    .decode = decode_session_list,
    .page_size = 20,
    .has_scope = true,
};
static const tkx__rest_route get_one = {
    .what = "get_session",
    .method = "GET",
    .pattern = "sessions/{}",
    .sdk_method = "RestClient.get_session",
    .result = &type_session_info,
    .decode = decode_session_info,
    .has_scope = true,
};
const tkx__rest_route tkx__rest_find_sessions = {
    .what = "search_sessions",
    .method = "POST",
    .pattern = "sessions/search",
    .sdk_method = "RestClient.search_sessions",
    .result = &type_session_search_result,
    .decode = decode_session_search_result,
};
static const tkx__rest_route set_project = {
    .what = "set_session_project",
    .method = "PUT",
    .pattern = "sessions/{}/project",
    .sdk_method = "RestClient.set_session_project",
    .result = &tkx__result_nothing,
};
static const tkx__rest_route sampler = {
    .what = "get_sampler",
    .method = "GET",
    .pattern = "samplers/{}",
    .sdk_method = "RestClient.get_sampler",
    .result = &type_sampler_info,
    .decode = decode_sampler_info,
};
static const tkx__rest_route audit = {
    .what = "get_audit_log",
    .method = "GET",
    .pattern = "audit",
    .sdk_method = "RestClient.get_audit_log",
    .result = &type_audit_log,
    .decode = decode_audit_log,
};
static const tkx__rest_route usage = {
    .what = "get_billing_usage",
    .method = "GET",
    .pattern = "billing/usage/events",
    .sdk_method = "RestClient.get_billing_usage_events",
    .result = &type_billing_usage,
    .decode = decode_billing_usage,
};
static const tkx__rest_route storage = {
    .what = "get_checkpoint_storage",
    .method = "GET",
    .pattern = "billing/usage/checkpoints/current",
    .sdk_method = "RestClient.get_checkpoint_storage",
    .result = &type_checkpoint_storage,
    .decode = decode_checkpoint_storage,
};

tkx_status tkx_rest_list_sessions(tkx_rest *rest, const tkx_page *page, tkx_future **out,
                                  tkx_error **err)
{
    return tkx__rest_list(rest, &tkx__rest_list_sessions, page, out, err);
}

tkx_status tkx_rest_get_session(tkx_rest *rest, const char *session_id,
                                const char *access_scope, tkx_future **out,
                                tkx_error **err)
{
    return tkx__rest_get(rest, &get_one, session_id, access_scope, out, err);
}

tkx_status tkx_rest_search_sessions(tkx_rest *rest, const tkx_session_search *search,
                                    tkx_future **out, tkx_error **err)
{
    tkx__buf body;
    tkx_status st;

    tkx__buf_init(&body, MAX_BODY_BYTES);
    st = tkx__session_search_encode_json(search, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__rest_request request = {.route = &tkx__rest_find_sessions, .body = &body};
    return tkx__rest_send(rest, &request, out, err);
}

tkx_status tkx_rest_set_session_project(tkx_rest *rest, const char *session_id,
                                        const char *project_id, tkx_future **out,
                                        tkx_error **err)
{
    tkx__buf body;
    tkx_status st;

    tkx__buf_init(&body, MAX_BODY_BYTES);
    st = tkx__session_project_encode_json(project_id, &body, err);
    if (st != TKX_OK) {
        tkx__buf_clear(&body);
        return st;
    }
    const tkx__rest_request request = {
        .route = &set_project,
        .args = {tkx__rest_view(session_id, session_id ? strlen(session_id) : 0)},
        .body = &body,
    };
    return tkx__rest_send(rest, &request, out, err);
}

tkx_status tkx_rest_get_sampler(tkx_rest *rest, const char *sampler_id, tkx_future **out,
                                tkx_error **err)
{
    return tkx__rest_get(rest, &sampler, sampler_id, NULL, out, err);
}

/* A GET that is all query. */
static tkx_status ask(tkx_rest *rest, const tkx__rest_route *route, const tkx_pair *query,
                      size_t n, tkx_future **out, tkx_error **err)
{
    const tkx__rest_request request = {.route = route, .query = query, .n_query = n};

    return tkx__rest_send(rest, &request, out, err);
}

tkx_status tkx_rest_get_audit_log(tkx_rest *rest, const char *event_type, const char *day,
                                  tkx_future **out, tkx_error **err)
{
    const tkx_pair query[] = {{"event_type", event_type ? event_type : "all"},
                              {"day", day}};

    return ask(rest, &audit, query, 2, out, err);
}

tkx_status tkx_rest_get_billing_usage(tkx_rest *rest, const char *starting_on,
                                      const char *ending_before, tkx_future **out,
                                      tkx_error **err)
{
    const tkx_pair query[] = {{"starting_on", starting_on},
                              {"ending_before", ending_before}};

    return ask(rest, &usage, query, 2, out, err);
}

tkx_status tkx_rest_get_checkpoint_storage(tkx_rest *rest, const char *project_id,
                                           tkx_future **out, tkx_error **err)
{
    const tkx_pair query[] = {{"project_id", project_id}};

    return ask(rest, &storage, query, 1, out, err);
}
