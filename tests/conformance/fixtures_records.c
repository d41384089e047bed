/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_records.c - one writer for each record, for codecs and client alike. */
#include "fixtures_records.h"

#include <string.h>

#include "base/arena.h"
#include "support/jdom.h"
#include "types/time.h"

void record_optim(tkx__json_writer *w, const tkx_optim_step_result *v)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "metrics");
    result_metrics(w, v->metrics, v->n_metrics);
    tkx__json_end_object(w);
}

void record_saved(tkx__json_writer *w, const tkx_save_weights_result *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "path", v->path);
    tkx__json_member_string(w, "sampling_session_id", v->sampling_session_id);
    result_size(w, "size_bytes", v->size_bytes);
    tkx__json_end_object(w);
}

void record_loaded(tkx__json_writer *w, const tkx_load_weights_result *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "path", v->path);
    tkx__json_member_string(w, "model_id", v->model_id);
    tkx__json_end_object(w);
}

void record_created(tkx__json_writer *w, const tkx_create_model_result *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "model_id", v->model_id);
    tkx__json_end_object(w);
}

void record_copied(tkx__json_writer *w, const tkx_copy_weights_result *v)
{
    tkx__json_put_string(w, v->tinker_path);
}

void record_capabilities(tkx__json_writer *w, const tkx_server_capabilities *v)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "supported_models");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < v->n_supported_models; i++) {
        tkx__json_begin_object(w);
        tkx__json_member_string(w, "model_name", v->supported_models[i].model_name);
        result_size(w, "max_context_length", v->supported_models[i].max_context_length);
        result_flag(w, "trainable", v->supported_models[i].trainable);
        result_flag(w, "sampleable", v->supported_models[i].sampleable);
        tkx__json_end_object(w);
    }
    tkx__json_end_array(w);
    tkx__json_end_object(w);
}

void record_health(tkx__json_writer *w, const tkx_health *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "status", v->status);
    tkx__json_end_object(w);
}

void record_model_info(tkx__json_writer *w, const tkx_model_info *v)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "model_data");
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "arch", v->model_data.arch);
    tkx__json_member_string(w, "model_name", v->model_data.model_name);
    tkx__json_member_string(w, "tokenizer_id", v->model_data.tokenizer_id);
    tkx__json_end_object(w);
    tkx__json_member_string(w, "model_id", v->model_id);
    result_optimizer(w, &v->optimizer_config);
    result_flag(w, "is_lora", v->is_lora);
    result_size(w, "lora_rank", v->lora_rank);
    tkx__json_member_string(w, "model_name", v->model_name);
    tkx__json_end_object(w);
}

void record_weights_info(tkx__json_writer *w, const tkx_weights_info *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "base_model", v->base_model);
    result_optimizer(w, &v->optimizer_config);
    tkx__json_member_bool(w, "is_lora", v->is_lora);
    result_size(w, "lora_rank", v->lora_rank);
    result_flag(w, "train_unembed", v->train_unembed);
    result_flag(w, "train_mlp", v->train_mlp);
    result_flag(w, "train_attn", v->train_attn);
    tkx__json_end_object(w);
}

void record_runs(tkx__json_writer *w, const tkx_training_run_list *v)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "training_runs");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < v->count; i++)
        result_run(w, &v->items[i]);
    tkx__json_end_array(w);
    result_cursor(w, &v->cursor);
    tkx__json_end_object(w);
}

void record_urls(tkx__json_writer *w, const tkx_external_weights_urls *v)
{
    tkx__json_begin_object(w);
    result_pairs(w, "urls", &v->urls);
    result_time(w, "expires", v->expires);
    tkx__json_end_object(w);
}

void record_sessions(tkx__json_writer *w, const tkx_session_list *v)
{
    tkx__json_begin_object(w);
    result_strings(w, "sessions", &v->sessions);
    tkx__json_end_object(w);
}

void record_session(tkx__json_writer *w, const tkx_session_info *v)
{
    tkx__json_begin_object(w);
    result_strings(w, "training_run_ids", &v->training_run_ids);
    result_strings(w, "sampler_ids", &v->sampler_ids);
    result_pairs(w, "user_metadata", &v->user_metadata);
    tkx__json_member_string(w, "display_name", v->display_name);
    tkx__json_end_object(w);
}

void record_sampler(tkx__json_writer *w, const tkx_sampler_info *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "sampler_id", v->sampler_id);
    tkx__json_member_string(w, "base_model", v->base_model);
    tkx__json_member_string(w, "model_path", v->model_path);
    tkx__json_end_object(w);
}

void record_audit(tkx__json_writer *w, const tkx_audit_log *v)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "entries");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < v->n_entries; i++) {
        const tkx_audit_entry *e = &v->entries[i];

        tkx__json_begin_object(w);
        result_time(w, "timestamp", e->timestamp);
        tkx__json_member_string(w, "event", e->event);
        tkx__json_put_key(w, "event_details");
        tkx__json_begin_object(w);
        for (size_t k = 0; k < e->event_details.count; k++) {
            tkx__json_put_key(w, e->event_details.items[k].name);
            tkx__json_put_raw(w, e->event_details.items[k].json,
                              strlen(e->event_details.items[k].json));
        }
        tkx__json_end_object(w);
        tkx__json_member_string(w, "model_id", e->model_id);
        tkx__json_member_string(w, "tinker_path", e->tinker_path);
        tkx__json_member_string(w, "purpose", e->purpose);
        tkx__json_end_object(w);
    }
    tkx__json_end_array(w);
    tkx__json_end_object(w);
}

void record_storage(tkx__json_writer *w, const tkx_checkpoint_storage *v)
{
    tkx__json_begin_object(w);
    result_price(w, "effective_rate_usd_per_gigabyte_month",
                 v->effective_rate_usd_per_gigabyte_month);
    tkx__json_put_key(w, "data");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < v->n_rows; i++) {
        const tkx_checkpoint_storage_row *row = &v->rows[i];

        tkx__json_begin_object(w);
        tkx__json_member_string(w, "project_id", row->project_id);
        tkx__json_member_string(w, "org_user_urn", row->org_user_urn);
        tkx__json_member_string(w, "user_email", row->user_email);
        tkx__json_member_string(w, "user_name", row->user_name);
        tkx__json_member_i64(w, "checkpoint_count", row->checkpoint_count);
        tkx__json_member_i64(w, "size_bytes", row->size_bytes);
        tkx__json_member_f64(w, "size_gigabytes", row->size_gigabytes);
        result_price(w, "estimated_monthly_cost_usd", row->estimated_monthly_cost_usd);
        tkx__json_end_object(w);
    }
    tkx__json_end_array(w);
    tkx__json_end_object(w);
}

void record_custom_loss(tkx__json_writer *w, const tkx_create_custom_loss_result *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "loss_id", v->loss_id);
    tkx__json_end_object(w);
}

void record_identity(tkx__json_writer *w, const tkx_identity *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "user_urn", v->user_urn);
    tkx__json_member_string(w, "org_urn", v->org_urn);
    tkx__json_member_string(w, "email", v->email);
    tkx__json_end_object(w);
}

void record_archive(tkx__json_writer *w, const tkx_archive_url *v)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "url", v->url);
    result_time(w, "expires", v->expires);
    tkx__json_end_object(w);
}

/* A trace that is there is its link. */
void record_trace(tkx__json_writer *w, const tkx_trace_export *v)
{
    tkx__json_put_string(w, v->url);
}

static void raw(tkx__json_writer *w, const char *key, const char *json)
{
    tkx__json_put_key(w, key);
    if (json)
        tkx__json_put_raw(w, json, strlen(json));
    else
        tkx__json_put_null(w);
}

static void status(tkx__json_writer *w, const tkx_session_status *v)
{
    tkx__json_put_key(w, "status");
    if (!v) {
        tkx__json_put_null(w);
        return;
    }
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "type", v->type);
    tkx__json_member_string(w, "detail", v->detail);
    tkx__json_member_string(w, "category", v->category);
    tkx__json_member_string(w, "message", v->message);
    raw(w, "reason", v->reason_json);
    tkx__json_end_object(w);
}

/* The cursor is opaque to us; the time in it is written as a time here. */
static void cursor(tkx__json_writer *w, const char *json)
{
    tkx__arena arena;
    const jdom *root;
    const char *text;
    tkx_time_us time = TKX_TIME_NONE;

    tkx__json_put_key(w, "next_cursor");
    if (!json) {
        tkx__json_put_null(w);
        return;
    }
    tkx__arena_init(&arena, 1024, SIZE_MAX / 4);
    root = jdom_parse(&arena, json, strlen(json));
    text = jdom_text(jdom_get(root, "last_created_at"));
    if (text)
        tkx__time_parse(text, strlen(text), &time);
    tkx__json_begin_object(w);
    result_time(w, "last_created_at", time);
    tkx__json_member_string(w, "last_session_id",
                            jdom_text(jdom_get(root, "last_session_id")));
    tkx__json_end_object(w);
    tkx__arena_clear(&arena);
}

void record_found(tkx__json_writer *w, const tkx_session_search_result *v)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "sessions");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < v->count; i++) {
        const tkx_session_summary *s = &v->items[i];

        tkx__json_begin_object(w);
        tkx__json_member_string(w, "session_id", s->session_id);
        result_time(w, "created_at", s->created_at);
        tkx__json_member_string(w, "owner", s->owner);
        tkx__json_member_string(w, "project_id", s->project_id);
        status(w, s->status);
        tkx__json_member_i64(w, "checkpoints_count", s->checkpoints_count);
        tkx__json_member_string(w, "display_name", s->display_name);
        result_pairs(w, "user_metadata", &s->user_metadata);
        result_size(w, "checkpoint_storage_bytes", s->checkpoint_storage_bytes);
        tkx__json_end_object(w);
    }
    tkx__json_end_array(w);
    cursor(w, v->next_cursor_json);
    tkx__json_end_object(w);
}

static void event(tkx__json_writer *w, const tkx_billing_event *e)
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

void record_usage(tkx__json_writer *w, const tkx_billing_usage *v)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "data");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < v->n_events; i++)
        event(w, &v->events[i]);
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
}
