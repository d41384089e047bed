/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fixtures_start.c - a session from its start to its end: configuration, token,
 * heartbeat, telemetry, finish.
 */
#include <string.h>

#include <tkx/telemetry.h>

#include "api/auth.h"
#include "client/service.h"
#include "fixtures_live.h"
#include "fixtures_records.h"

static tkx_status start(live *l, tkx_future **out, tkx_error **err)
{
    return tkx_service_start(l->service, out, err);
}

/* What the answers of the start have come to. */
static tkx_status take_start(live *l, tkx_future *future, tkx__json_writer *w,
                             tkx_error **err)
{
    const tkx__config *c = &l->service->site->config;
    const tkx__dynamic_config *d = &l->service->site->dynamic;
    const tkx_error *error = tkx_future_error(future);
    tkx__secret *token;

    (void)err;
    if (error)
        return tkx_error_status(error);
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "session_id", tkx_service_session_id(l->service));
    tkx__json_member_bool(w, "pjwt_auth_enabled", c->pjwt_auth_enabled);
    tkx__json_member_string(w, "credential_default_source",
                            c->needs_credential_cmd ? "credential_cmd" : "api_key");
    tkx__json_member_i64(w, "sample_dispatch_bytes_semaphore_size",
                         c->sample_dispatch_bytes);
    tkx__json_member_i64(w, "inflight_response_bytes_semaphore_size",
                         c->inflight_response_bytes);
    tkx__json_member_bool(w, "parallel_fwdbwd_chunks", c->parallel_fwdbwd_chunks);
    tkx__json_member_bool(w, "proto_compress_fwdbwd", c->proto_compress_fwdbwd);
    tkx__json_member_i64(w, "fwdbwd_max_chunk_len", c->fwdbwd_max_chunk_len);
    tkx__json_member_i64(w, "fwdbwd_max_chunk_bytes_count", c->fwdbwd_max_chunk_bytes);
    tkx__json_member_i64(w, "fwdbwd_dispatch_bytes_semaphore_size",
                         c->fwdbwd_dispatch_bytes);
    tkx__json_member_i64(w, "billing_exception_max_pause_duration_sec",
                         c->billing_max_pause_ms / 1000);
    tkx__json_member_bool(w, "sample_no_retries", c->sample_no_retries);
    tkx__json_member_bool(w, "sample_enable_stuck_detection",
                          c->sample_enable_stuck_detection);
    tkx__json_member_i64(w, "sample_max_concurrent_requests", c->sample_max_concurrent);
    tkx__json_member_bool(w, "sample_use_retrieve_futures",
                          c->sample_use_retrieve_futures);
    tkx__json_member_bool(w, "sample_join_sampling_session",
                          c->sample_join_sampling_session);
    tkx__json_member_bool(w, "custom_loss_server_side", c->custom_loss_server_side);
    tkx__json_member_i64(w, "refresh_interval_sec", d->refresh_interval_ms / 1000);
    tkx__json_member_bool(w, "sample_cancel_enabled", d->sample_cancel_enabled);
    tkx__json_member_i64(w, "sample_cancel_max_batch_size", d->sample_cancel_max_batch);
    token = tkx__auth_token(l->service->loop.auth);
    tkx__json_member_string(w, "jwt", token ? token->text : NULL);
    tkx__secret_unref(token);
    tkx__json_end_object(w);
    return TKX_OK;
}

static tkx_status finish(live *l, tkx_future **out, tkx_error **err)
{
    static const char *const reasons[] = {"success", "errored", "interrupted"};
    const char *reason = fixture_text(l->f, l->f->args, "reason");

    for (int i = 0; reason && i < 3; i++)
        if (strcmp(reason, reasons[i]) == 0)
            return tkx_service_finish(l->service, (tkx_finish_reason)i,
                                      fixture_text(l->f, l->f->args, "detail"), out, err);
    fixture_differs(l->f, "an unknown reason to finish");
    return TKX_ERR_INVALID_ARGUMENT;
}

/* ---- telemetry ------------------------------------------------------------------ */

static tkx_json_member_list members(fixture *f, const jdom *from)
{
    tkx_json_member *items =
        tkx__arena_zalloc(f->arena, jdom_count(from) + 1, sizeof *items);

    for (size_t i = 0; i < jdom_count(from); i++)
        items[i] = (tkx_json_member){from->keys[i], fixture_json(f, jdom_at(from, i))};
    return (tkx_json_member_list){items, jdom_count(from)};
}

/* What the arguments do not say (the type of an exception, its traceback) is the SDK's
   language; it is taken from the recorded event. */
static const char *either(fixture *f, const jdom *args, const jdom *event,
                          const char *key)
{
    const char *said = fixture_text(f, args, key);

    return said ? said : fixture_text(f, event, key);
}

static tkx_status telemetry(live *l, tkx_future **out, tkx_error **err)
{
    fixture *f = l->f;
    const jdom *request = jdom_get(f->root, "request");
    const char *file = fixture_text(f, request, "body_file");
    const jdom *list = jdom_get(f->args, "events");
    tkx_status st = TKX_OK;
    size_t size;
    const char *body = file ? fixture_file(f, file, &size) : NULL;
    const jdom *events =
        body ? jdom_get(jdom_parse(f->arena, body, size), "events") : NULL;

    (void)out;
    for (size_t i = 0; st == TKX_OK && i < jdom_count(list); i++) {
        const jdom *args = jdom_at(list, i);
        const jdom *event = jdom_at(events, i);
        const tkx_telemetry_event e = {
            .event = fixture_text(f, args, "event"),
            .severity = fixture_text(f, args, "severity"),
            .error_type = either(f, args, event, "error_type"),
            .error_message = either(f, args, event, "error_message"),
            .traceback = either(f, args, event, "traceback"),
            .event_name = fixture_text(f, args, "event_name"),
            .event_data = members(f, jdom_get(args, "event_data")),
        };

        /* The client reports the start of its session by itself. */
        if (e.event && strcmp(e.event, "SESSION_START") != 0)
            st = tkx_service_report(l->service, &e, err);
    }
    return st;
}

const live_op live_start_ops[] = {
    {"open", live_nothing, start, take_start},
    {"create_session", live_nothing, start, take_start},
    {"client_config", live_nothing, start, take_start},
    {"client_dynamic_config", live_nothing, start, take_start},
    {"auth_token", live_nothing, start, take_start},
    {"session_heartbeat", live_nothing, start, NULL},
    {"finish_session", live_started, finish, live_take_nothing},
    {"telemetry", live_started, telemetry, NULL},
    {NULL, NULL, NULL, NULL},
};
