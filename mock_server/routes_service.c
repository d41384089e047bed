/* SPDX-License-Identifier: Apache-2.0 */
/* routes_service.c - health, configuration, tokens, telemetry. */
#include <stdio.h>
#include <string.h>

#include "mock_server/auth.h"
#include "mock_server/handlers.h"
#include "mock_server/jw.h"
#include "mock_server/server.h"
#include "mock_server/util.h"

bool handle_healthz(call *c)
{
    tkx__buf_puts(&c->out, "{\"status\":\"ok\"}");
    return call_ok(c);
}

bool handle_capabilities(call *c)
{
    const nn_engine *engine = c->srv->engine;
    bool is_hosted = c->srv->opt.dialect == DIALECT_HOSTED;
    tkx__buf_puts(&c->out, "{\"supported_models\":[");
    for (size_t i = 0; i < nn_engine_n_bases(engine); i++) {
        nn_base_info info = nn_base_get_info(nn_engine_base_at(engine, i));
        jw_fmt(&c->out, "%r{\"model_name\":%s", i ? "," : "", info.name);
        if (c->srv->opt.dialect != DIALECT_SKYRL)
            jw_fmt(&c->out, ",\"max_context_length\":%z", info.max_context);
        if (is_hosted)
            tkx__buf_puts(&c->out, ",\"trainable\":true,\"sampleable\":true");
        tkx__buf_putc(&c->out, '}');
    }
    tkx__buf_puts(&c->out, "]}");
    return call_ok(c);
}

/* Members of the --client-config object that stand for a default of ours. */
static bool is_overridden(const jv *extra, const char *key)
{
    return jv_get(extra, key) != NULL;
}

static const jv *extra_config(call *c)
{
    const char *text = c->srv->opt.client_config;
    const jv *extra = NULL;
    if (text && jv_parse(&c->arena, text, strlen(text), &extra, NULL) != TKX_OK)
        return NULL;
    return extra;
}

static void write_flag(call *c, const jv *extra, const char *key, const char *value)
{
    if (!is_overridden(extra, key))
        jw_fmt(&c->out, "%r%s:%r", c->out.size > 1 ? "," : "", key, value);
}

bool handle_client_config(call *c)
{
    const mock_options *opt = &c->srv->opt;
    const jv *extra = extra_config(c);
    tkx__buf_putc(&c->out, '{');
    write_flag(c, extra, "pjwt_auth_enabled", opt->jwt_s > 0 ? "true" : "false");
    if (opt->dialect != DIALECT_SKYRL) {
        write_flag(c, extra, "credential_default_source", "\"api_key\"");
        write_flag(c, extra, "sample_dispatch_bytes_semaphore_size", "10485760");
        write_flag(c, extra, "inflight_response_bytes_semaphore_size", "52428800");
        write_flag(c, extra, "parallel_fwdbwd_chunks", "true");
        write_flag(c, extra, "proto_compress_fwdbwd", "false");
        write_flag(c, extra, "fwdbwd_max_chunk_len", "1024");
        write_flag(c, extra, "fwdbwd_max_chunk_bytes_count", "5000000");
        write_flag(c, extra, "proto_write_fwdbwd", "true");
        write_flag(c, extra, "fwd_via_fwdbwd", "true");
    }
    for (const jv *m = extra ? extra->first : NULL; m; m = m->next) {
        jw_fmt(&c->out, "%r%s:", c->out.size > 1 ? "," : "", m->key);
        jw_value(&c->out, m);
    }
    tkx__buf_putc(&c->out, '}');
    return call_ok(c);
}

bool handle_dynamic_config(call *c)
{
    jw_fmt(&c->out,
           "{\"refresh_interval_sec\":300,\"sample_cancel_enabled\":%b,"
           "\"sample_cancel_max_batch_size\":64}",
           c->srv->opt.dialect == DIALECT_HOSTED);
    return call_ok(c);
}

bool handle_auth_token(call *c)
{
    char token[AUTH_TOKEN_SIZE];
    if (c->srv->opt.jwt_s <= 0)
        return call_error(c, 404, "token exchange is off here (--jwt)");
    auth_make_token(c->srv, c->owner, token);
    jw_fmt(&c->out, "{\"jwt\":%s}", token);
    return call_ok(c);
}

bool handle_get_apikey(call *c)
{
    const char *name = c->owner + strlen("tml:user:");
    char email[64];
    int64_t id = 0;
    for (const char *p = name; *p && p < name + 8; p++)
        id = id * 31 + *p;
    snprintf(email, sizeof email, "%.8s@mock.invalid", name);
    jw_fmt(
        &c->out,
        "{\"key_id\":%d,\"name\":%s,\"note\":\"\",\"details\":{\"org_details\":{\"name\":"
        "\"mock\"},\"user_details\":{\"email\":%s}}}",
        id, name, email);
    return call_ok(c);
}

bool handle_delete_apikey(call *c)
{
    return call_error(c, 403, "keys of this server are not made by it and stay valid");
}

static tkx_status keep_event(call *c, const jv *body, const jv *event, tkx_error **err)
{
    const char *name = jv_get_str(event, "event");
    tkx__buf text;
    tkx_status st;
    tkx__buf_init(&text, 1 << 20);
    jw_value(&text, event);
    st = db_run(c->srv->db, err,
                "INSERT INTO telemetry (at, session_id, event, body) VALUES (?, ?, ?, ?)",
                "isss", mock_now_ms(), jv_get_str(body, "session_id"), name,
                tkx__buf_text(&text));
    tkx__buf_clear(&text);
    return st;
}

static bool event_is_whole(const jv *event)
{
    return jv_get_str(event, "event") && jv_get_str(event, "event_id") &&
           jv_get(event, "event_session_index") && jv_get_str(event, "severity") &&
           jv_get_str(event, "timestamp");
}

bool handle_telemetry(call *c)
{
    const jv *body, *events;
    tkx_error *err = NULL;
    if (!call_json(c, &body))
        return true;
    events = jv_get(body, "events");
    if (!events || events->kind != JV_ARRAY || events->n < 1 || events->n > 100)
        return call_invalid(c, "events", "a list of 1 to 100 events");
    if (c->srv->opt.dialect == DIALECT_TWINKLE && jv_get(body, "process_uuid"))
        return call_invalid(c, "process_uuid", "Extra inputs are not permitted");
    for (const jv *e = events->first; e; e = e->next)
        if (!event_is_whole(e))
            return call_invalid(c, "events",
                                "an event has event, event_id, event_session_index, "
                                "severity and timestamp");
    for (const jv *e = events->first; e; e = e->next)
        if (keep_event(c, body, e, &err) != TKX_OK)
            return call_fail(c, &err);
    tkx__buf_puts(&c->out, "{\"status\":\"accepted\"}");
    return call_ok(c);
}
