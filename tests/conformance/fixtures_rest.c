/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_rest.c - the calls of tkx/rest.h out of call.args. */
#include <stdio.h>
#include <string.h>

#include "fixtures_live.h"
#include "fixtures_result.h"

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
    char *json = tkx__arena_alloc(f->arena, 400, 1);

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
    if (!jdom_is_null(cursor)) {
        snprintf(json, 400, "{\"last_created_at\":\"%s\",\"last_session_id\":\"%s\"}",
                 fixture_text(f, cursor, "last_created_at"),
                 fixture_text(f, cursor, "last_session_id"));
        q->cursor_json = json;
    }
}

bool live_rest(live *l)
{
    if (tkx_rest_new(l->context, NULL, &l->rest, NULL) == TKX_OK)
        return true;
    fixture_differs(l->f, "no REST client");
    return false;
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
BY_TEXT(trace, tkx_rest_export_trace, "session_id")
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

static tkx_status take_nothing(live *l, tkx_future *future, tkx__json_writer *w,
                               tkx_error **err)
{

    (void)l;
    (void)err;
    tkx__json_put_null(w);
    return tkx_error_status(tkx_future_error(future));
}

static tkx_status take_run(live *l, tkx_future *future, tkx__json_writer *w,
                           tkx_error **err)
{
    tkx_training_run *v = NULL;
    tkx_status st = tkx_future_take_training_run(future, &v, err);

    (void)l;

    if (st == TKX_OK)
        result_run(w, v);
    tkx_training_run_free(v);
    return st;
}

static tkx_status take_archive(live *l, tkx_future *future, tkx__json_writer *w,
                               tkx_error **err)
{
    tkx_archive_url *v = NULL;
    tkx_status st = tkx_future_take_archive_url(future, &v, err);

    (void)l;

    if (st == TKX_OK) {
        tkx__json_begin_object(w);
        tkx__json_member_string(w, "url", v->url);
        result_time(w, "expires", v->expires);
        tkx__json_end_object(w);
    }
    tkx_archive_url_free(v);
    return st;
}

static void put_event(tkx__json_writer *w, const tkx_billing_event *e)
{
    const tkx_billing_event_info *info = &e->event_info;

    tkx__json_begin_object(w);
    result_time(w, "bucket_start", e->bucket_start);
    result_time(w, "bucket_end", e->bucket_end);
    tkx__json_member_string(w, "base_model", e->base_model);
    tkx__json_member_string(w, "user_id", e->user_id);
    tkx__json_member_string(w, "user_name", e->user_name);
    tkx__json_member_string(w, "session_id", e->session_id);
    tkx__json_member_string(w, "project_id", e->project_id);
    result_price(w, "estimated_cost_usd", e->estimated_cost_usd);
    result_price(w, "effective_rate_usd_per_million_tokens",
                 e->effective_rate_usd_per_million_tokens);
    result_price(w, "effective_rate_usd_per_gigabyte_month",
                 e->effective_rate_usd_per_gigabyte_month);
    tkx__json_put_key(w, "event_info");
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "type", info->type);
    result_size(w, "token_count", info->token_count);
    tkx__json_member_bool(w, "cached", info->is_cached);
    result_size(w, "count", info->count);
    tkx__json_member_bool(w, "free", info->is_free);
    result_price(w, "gigabyte_hours", info->gigabyte_hours);
    tkx__json_end_object(w);
    tkx__json_end_object(w);
}

static tkx_status take_billing(live *l, tkx_future *future, tkx__json_writer *w,
                               tkx_error **err)
{
    tkx_billing_usage *v = NULL;
    tkx_status st = tkx_future_take_billing_usage(future, &v, err);

    (void)l;

    if (st != TKX_OK)
        return st;
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "data");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < v->n_events; i++)
        put_event(w, &v->events[i]);
    tkx__json_end_array(w);
    tkx__json_put_key(w, "sessions");
    tkx__json_begin_object(w);
    for (size_t i = 0; i < v->n_sessions; i++) {
        tkx__json_put_key(w, v->sessions[i].session_id);
        tkx__json_begin_object(w);
        result_pairs(w, "user_metadata", &v->sessions[i].user_metadata);
        tkx__json_end_object(w);
    }
    tkx__json_end_object(w);
    result_time(w, "cost_data_through", v->cost_data_through);
    tkx__json_end_object(w);
    tkx_billing_usage_free(v);
    return st;
}

const live_op live_rest_ops[] = {
    {"get_training_run", live_rest, get_run, take_run},
    {"list_checkpoints", live_rest, run_checkpoints, NULL},
    {"list_training_runs", live_rest, list_runs, NULL},
    {"list_user_checkpoints", live_rest, list_checkpoints, NULL},
    {"weights_info", live_rest, weights_info, NULL},
    {"delete_checkpoint", live_rest, delete_checkpoint, take_nothing},
    {"publish_checkpoint", live_rest, publish, take_nothing},
    {"unpublish_checkpoint", live_rest, unpublish, take_nothing},
    {"set_checkpoint_ttl", live_rest, set_ttl, take_nothing},
    {"get_checkpoint_archive_url", live_rest, archive, take_archive},
    {"get_external_weights_urls", live_rest, external_urls, NULL},
    {"list_sessions", live_rest, list_sessions, NULL},
    {"get_session", live_rest, get_session, NULL},
    {"search_sessions", live_rest, search, NULL},
    {"assign_session_project", live_rest, set_project, take_nothing},
    {"export_session_trace", live_rest, trace, NULL},
    {"get_sampler", live_rest, sampler, NULL},
    {"get_audit_log", live_rest, audit, take_nothing},
    {"get_billing_usage", live_rest, billing, take_billing},
    {"get_current_checkpoint_storage_usage", live_rest, storage, NULL},
    {NULL, NULL, NULL, NULL},
};
