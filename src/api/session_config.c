/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_config.c - unknown keys are skipped; a value of the wrong kind, or a size that
 * makes no sense, leaves the default.
 */
#include "api/session_config.h"

#include <string.h>

#include "api/scan.h"
#include "base/error.h"

static void take_bool(bool *to, tkx__span value)
{
    if (tkx__span_is(value, "true"))
        *to = true;
    else if (tkx__span_is(value, "false"))
        *to = false;
}

static void take_i64(int64_t *to, tkx__span value, int64_t least)
{
    int64_t n;

    if (tkx__span_i64(value, &n) && n >= least)
        *to = n;
}

static tkx_status walk(const char *what, const char *text, size_t size,
                       void (*take)(void *config, tkx__span key, tkx__span value),
                       void *config, tkx_error **err)
{
    tkx__scan scan;
    tkx__span key, value;

    if (tkx__scan_enter(&scan, text, size) && scan.closer == '}')
        while (tkx__scan_member(&scan, &key, &value))
            take(config, key, value);
    if (scan.is_bad || scan.closer != '}')
        return tkx__fail(err, TKX_ERR_PROTOCOL,
                         "%s answered something that is no JSON object", what);
    return TKX_OK;
}

static void take_config(void *arg, tkx__span key, tkx__span value)
{
    tkx__config *c = arg;
    const struct {
        const char *name;
        bool *to;
    } flags[] = {
        {"pjwt_auth_enabled", &c->pjwt_auth_enabled},
        {"parallel_fwdbwd_chunks", &c->parallel_fwdbwd_chunks},
        {"proto_compress_fwdbwd", &c->proto_compress_fwdbwd},
        {"sample_no_retries", &c->sample_no_retries},
        {"sample_enable_stuck_detection", &c->sample_enable_stuck_detection},
        {"sample_use_retrieve_futures", &c->sample_use_retrieve_futures},
        {"sample_join_sampling_session", &c->sample_join_sampling_session},
        {"custom_loss_server_side", &c->custom_loss_server_side},
    };
    const struct {
        const char *name;
        int64_t *to;
        int64_t least;
    } numbers[] = {
        {"sample_dispatch_bytes_semaphore_size", &c->sample_dispatch_bytes, 1},
        {"inflight_response_bytes_semaphore_size", &c->inflight_response_bytes, 1},
        {"fwdbwd_max_chunk_len", &c->fwdbwd_max_chunk_len, 1},
        {"fwdbwd_max_chunk_bytes_count", &c->fwdbwd_max_chunk_bytes, 1},
        {"fwdbwd_dispatch_bytes_semaphore_size", &c->fwdbwd_dispatch_bytes, 1},
        {"sample_max_concurrent_requests", &c->sample_max_concurrent, 1},
    };
    int64_t seconds;

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (tkx__span_is(key, flags[i].name))
            take_bool(flags[i].to, value);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (tkx__span_is(key, numbers[i].name))
            take_i64(numbers[i].to, value, numbers[i].least);
    if (tkx__span_is(key, "credential_default_source"))
        c->needs_credential_cmd = tkx__span_is_string(value, "credential_cmd");
    if (tkx__span_is(key, "billing_exception_max_pause_duration_sec") &&
        tkx__span_i64(value, &seconds) && seconds >= 0 && seconds < INT64_MAX / 1000)
        c->billing_max_pause_ms = seconds * 1000;
}

tkx_status tkx__config_read(tkx__config *config, const char *text, size_t size,
                            tkx_error **err)
{
    return walk("client/config", text, size, take_config, config, err);
}

static void take_dynamic(void *arg, tkx__span key, tkx__span value)
{
    tkx__dynamic_config *c = arg;
    int64_t seconds;

    if (tkx__span_is(key, "sample_cancel_enabled"))
        take_bool(&c->sample_cancel_enabled, value);
    if (tkx__span_is(key, "sample_cancel_max_batch_size"))
        take_i64(&c->sample_cancel_max_batch, value, 1);
    if (tkx__span_is(key, "refresh_interval_sec") && tkx__span_i64(value, &seconds) &&
        seconds < INT64_MAX / 1000)
        c->refresh_interval_ms = seconds < 10 ? 10000 : seconds * 1000;
}

tkx_status tkx__dynamic_config_read(tkx__dynamic_config *config, const char *text,
                                    size_t size, tkx_error **err)
{
    return walk("client/dynamic_config", text, size, take_dynamic, config, err);
}

/* Keys newer than the 0.25 generation are left out unless they are used. */
void tkx__put_create_session(tkx__buf *out, const tkx__session_options *o,
                             const char *sdk_version)
{
    tkx__buf_puts(out, "{\"tags\":[");
    for (size_t i = 0; i < o->n_tags; i++) {
        if (i)
            tkx__buf_putc(out, ',');
        tkx__put_quoted(out, o->tags[i]);
    }
    tkx__buf_puts(out, "],\"user_metadata\":{");
    for (size_t i = 0; i < o->n_metadata; i++) {
        if (i)
            tkx__buf_putc(out, ',');
        tkx__put_quoted(out, o->metadata[i].key);
        tkx__buf_putc(out, ':');
        tkx__put_quoted(out, o->metadata[i].value);
    }
    tkx__buf_puts(out, "},\"sdk_version\":");
    tkx__put_quoted(out, sdk_version);
    if (o->project_id) {
        tkx__buf_puts(out, ",\"project_id\":");
        tkx__put_quoted(out, o->project_id);
    }
    if (o->display_name) {
        tkx__buf_puts(out, ",\"display_name\":");
        tkx__put_quoted(out, o->display_name);
    }
    for (size_t i = 0; i < o->extra_json.count; i++) {
        tkx__buf_putc(out, ',');
        tkx__put_quoted(out, o->extra_json.items[i].name);
        tkx__buf_printf(out, ":%s", o->extra_json.items[i].json);
    }
    tkx__buf_puts(out, ",\"type\":\"create_session\"}");
}
