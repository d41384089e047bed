/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_rest.c - the calls of tkx/rest.h out of call.args. */
#include <stdio.h>
#include <string.h>

#include "fixtures_live.h"
#include "fixtures_records.h"

static const char *text(const live *l, const char *key)
{
    return fixture_text(l->f, l->f->args, key);
}

void fixture_search(fixture *f, tkx_session_search *q)
{
    const jdom *owner = jdom_get(f->args, "owner");
    const jdom *statuses = jdom_get(f->args, "statuses");
    const jdom *cursor = jdom_get(f->args, "cursor");
    tkx_session_status_filter *filters =
        tkx__arena_zalloc(f->arena, jdom_count(statuses) + 1, sizeof *filters);

    for (size_t i = 0; i < jdom_count(statuses); i++) {
        const jdom *status = jdom_at(statuses, i);

        filters[i].type = fixture_text(f, status, "type");
        filters[i].reasons = fixture_strings(f, jdom_get(status, "reasons"));
    }
    *q = (tkx_session_search)TKX_SESSION_SEARCH_INIT;
    q->session_id = fixture_text(f, f->args, "session_id");
    q->project_ids = fixture_strings(f, jdom_get(f->args, "project_ids"));
    q->user_metadata = fixture_pairs(f, jdom_get(f->args, "user_metadata"));
    q->display_name = fixture_text(f, f->args, "display_name");
    if (owner) {
        q->owner = fixture_text(f, owner, "type");
        q->owner_urns = fixture_strings(f, jdom_get(owner, "owner_urns"));
    }
    q->statuses = filters;
    q->n_statuses = jdom_count(statuses);
    q->limit = jdom_i64(jdom_get(f->args, "limit"), q->limit);
    if (!jdom_is_null(cursor))
        q->cursor_json = fixture_json(f, cursor);
}

static tkx_page page(const live *l)
{
    tkx_page p = TKX_PAGE_INIT;

    p.limit = jdom_i64(jdom_get(l->f->args, "limit"), -1);
    p.offset = jdom_i64(jdom_get(l->f->args, "offset"), -1);
    p.access_scope = text(l, "access_scope");
    p.project_id = text(l, "project_id");
    return p;
}

/* Calls that take one text, and those that take a page. */
#define BY_TEXT(name, fn, key)                                                           \
    static tkx_status name(live *l, tkx_future **out, tkx_error **err)                   \
    {                                                                                    \
        return fn(l->rest, text(l, key), out, err);                                      \
    }
#define BY_TWO(name, fn, key, other)                                                     \
    static tkx_status name(live *l, tkx_future **out, tkx_error **err)                   \
    {                                                                                    \
        return fn(l->rest, text(l, key), text(l, other), out, err);                      \
    }
#define BY_PAGE(name, fn)                                                                \
    static tkx_status name(live *l, tkx_future **out, tkx_error **err)                   \
    {                                                                                    \
        tkx_page p = page(l);                                                            \
                                                                                         \
        return fn(l->rest, &p, out, err);                                                \
    }

BY_TWO(get_run, tkx_rest_get_training_run, "training_run_id", "access_scope")
BY_TEXT(run_checkpoints, tkx_rest_list_run_checkpoints, "training_run_id")
BY_PAGE(list_runs, tkx_rest_list_training_runs)
BY_PAGE(list_checkpoints, tkx_rest_list_checkpoints)
BY_TEXT(delete_checkpoint, tkx_rest_delete_checkpoint, "tinker_path")
BY_TEXT(publish, tkx_rest_publish_checkpoint, "tinker_path")
BY_TEXT(unpublish, tkx_rest_unpublish_checkpoint, "tinker_path")
BY_TEXT(archive, tkx_rest_get_archive_url, "tinker_path")
BY_TEXT(external_urls, tkx_rest_get_external_weights_urls, "tinker_path")
BY_PAGE(list_sessions, tkx_rest_list_sessions)
BY_TWO(get_session, tkx_rest_get_session, "session_id", "access_scope")
BY_TWO(set_project, tkx_rest_set_session_project, "session_id", "project_id")
BY_TEXT(trace, tkx_rest_wait_for_trace, "session_id")
BY_TEXT(sampler, tkx_rest_get_sampler, "sampler_id")
BY_TWO(audit, tkx_rest_get_audit_log, "event_type", "day")
BY_TWO(billing, tkx_rest_get_billing_usage, "starting_on", "ending_before")
BY_TEXT(storage, tkx_rest_get_checkpoint_storage, "project_id")

static tkx_status weights_info(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_rest_get_weights_info(l->rest, text(l, "tinker_path"), NULL, out, err);
}

static tkx_status set_ttl(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_rest_set_checkpoint_ttl(l->rest, text(l, "tinker_path"),
                                       jdom_i64(jdom_get(l->f->args, "ttl_seconds"), -1),
                                       out, err);
}

static tkx_status search(live *l, tkx_future **out, tkx_error **err)
{
    tkx_session_search q;

    fixture_search(l->f, &q);
    return tkx_rest_search_sessions(l->rest, &q, out, err);
}

static tkx_status copy(live *l, tkx_future **out, tkx_error **err)
{
    const jdom *env = jdom_get(jdom_get(l->f->root, "call"), "env");
    tkx_copy_weights_request q = {
        .source_path = text(l, "path"),
        .ttl_seconds = jdom_i64(jdom_get(l->f->args, "ttl_seconds"), -1),
        .destination_project_id = text(l, "destination_project_id")};

    if (!q.destination_project_id)
        q.destination_project_id = fixture_text(l->f, env, "TINKER_PROJECT_ID");
    return tkx_rest_copy_weights(l->rest, &q, text(l, "weights_access_token"), out, err);
}

static tkx_status health(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_rest_get_health(l->rest, out, err);
}

static tkx_status capabilities(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_rest_get_capabilities(l->rest, out, err);
}

static tkx_status whoami(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_rest_whoami(l->rest, out, err);
}

/* Takes the record T with its own function, and writes it. */
#define TAKE(T, write)                                                                   \
    static tkx_status take_##T(live *l, tkx_future *future, tkx__json_writer *w,         \
                               tkx_error **err)                                          \
    {                                                                                    \
        tkx_##T *v = NULL;                                                               \
        tkx_status st = tkx_future_take_##T(future, &v, err);                            \
                                                                                         \
        (void)l;                                                                         \
        if (st == TKX_OK)                                                                \
            write(w, v);                                                                 \
        tkx_##T##_free(v);                                                               \
        return st;                                                                       \
    }

TAKE(training_run, result_run)
TAKE(training_run_list, record_runs)
TAKE(checkpoint_list, result_checkpoints)
TAKE(weights_info, record_weights_info)
TAKE(copy_weights_result, record_copied)
TAKE(archive_url, record_archive)
TAKE(external_weights_urls, record_urls)
TAKE(session_list, record_sessions)
TAKE(session_info, record_session)
TAKE(session_search_result, record_found)
TAKE(trace_export, record_trace)
TAKE(sampler_info, record_sampler)
TAKE(audit_log, record_audit)
TAKE(billing_usage, record_usage)
TAKE(checkpoint_storage, record_storage)
TAKE(health, record_health)
TAKE(identity, record_identity)

static tkx_status take_capabilities(live *l, tkx_future *future, tkx__json_writer *w,
                                    tkx_error **err)
{
    tkx_server_capabilities *v = NULL;
    tkx_status st = tkx_future_take_capabilities(future, &v, err);

    (void)l;
    if (st == TKX_OK)
        record_capabilities(w, v);
    tkx_server_capabilities_free(v);
    return st;
}

const live_op live_rest_ops[] = {
    {"healthz", live_rest, health, take_health},
    {"get_server_capabilities", live_rest, capabilities, take_capabilities},
    {"whoami", live_rest, whoami, take_identity},
    {"get_training_run", live_rest, get_run, take_training_run},
    {"list_checkpoints", live_rest, run_checkpoints, take_checkpoint_list},
    {"list_training_runs", live_rest, list_runs, take_training_run_list},
    {"list_user_checkpoints", live_rest, list_checkpoints, take_checkpoint_list},
    {"weights_info", live_rest, weights_info, take_weights_info},
    {"copy_weights", live_rest, copy, take_copy_weights_result},
    {"delete_checkpoint", live_rest, delete_checkpoint, live_take_nothing},
    {"publish_checkpoint", live_rest, publish, live_take_nothing},
    {"unpublish_checkpoint", live_rest, unpublish, live_take_nothing},
    {"set_checkpoint_ttl", live_rest, set_ttl, live_take_nothing},
    {"get_checkpoint_archive_url", live_rest, archive, take_archive_url},
    {"get_external_weights_urls", live_rest, external_urls, take_external_weights_urls},
    {"list_sessions", live_rest, list_sessions, take_session_list},
    {"get_session", live_rest, get_session, take_session_info},
    {"search_sessions", live_rest, search, take_session_search_result},
    {"assign_session_project", live_rest, set_project, live_take_nothing},
    {"export_session_trace", live_rest, trace, take_trace_export},
    {"get_sampler", live_rest, sampler, take_sampler_info},
    {"get_audit_log", live_rest, audit, take_audit_log},
    {"get_billing_usage", live_rest, billing, take_billing_usage},
    {"get_current_checkpoint_storage_usage", live_rest, storage, take_checkpoint_storage},
    {NULL, NULL, NULL, NULL},
};
