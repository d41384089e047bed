/* SPDX-License-Identifier: Apache-2.0 */
/* fixtures_result.c - decoded values written in the notation of expect.result. */
#include "fixtures_result.h"

#include <math.h>
#include <string.h>

#include "types/time.h"

void result_float(tkx__json_writer *w, double value)
{
    if (isnan(value))
        tkx__json_put_string(w, "nan");
    else if (isinf(value))
        tkx__json_put_string(w, value > 0 ? "inf" : "-inf");
    else
        tkx__json_put_f64(w, value);
}

void result_time(tkx__json_writer *w, const char *key, tkx_time_us time)
{
    char text[TKX__TIME_TEXT_SIZE];

    tkx__json_put_key(w, key);
    if (time == TKX_TIME_NONE) {
        tkx__json_put_null(w);
        return;
    }
    tkx__time_print(time, text);
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "time", text);
    tkx__json_member_i64(w, "unix_us", time);
    tkx__json_end_object(w);
}

void result_pairs(tkx__json_writer *w, const char *key, const tkx_pair_list *pairs)
{
    tkx__json_put_key(w, key);
    tkx__json_begin_object(w);
    for (size_t i = 0; i < pairs->count; i++)
        tkx__json_member_string(w, pairs->items[i].key, pairs->items[i].value);
    tkx__json_end_object(w);
}

void result_strings(tkx__json_writer *w, const char *key, const tkx_string_list *list)
{
    tkx__json_put_key(w, key);
    tkx__json_put_strings(w, list->items, list->count);
}

void result_size(tkx__json_writer *w, const char *key, int64_t value)
{
    tkx__json_put_key(w, key);
    if (value < 0)
        tkx__json_put_null(w);
    else
        tkx__json_put_i64(w, value);
}

void result_flag(tkx__json_writer *w, const char *key, int value)
{
    tkx__json_put_key(w, key);
    if (value < 0)
        tkx__json_put_null(w);
    else
        tkx__json_put_bool(w, value > 0);
}

void result_price(tkx__json_writer *w, const char *key, double value)
{
    tkx__json_put_key(w, key);
    if (isnan(value))
        tkx__json_put_null(w);
    else
        tkx__json_put_f64(w, value);
}

void result_metrics(tkx__json_writer *w, const tkx_metric *metrics, size_t n)
{
    tkx__json_begin_object(w);
    for (size_t i = 0; i < n; i++) {
        tkx__json_put_key(w, metrics[i].name);
        if (metrics[i].has_exact && metrics[i].value >= 0)
            tkx__json_put_u64(w, metrics[i].exact);
        else
            result_float(w, metrics[i].value);
    }
    tkx__json_end_object(w);
}

void result_optimizer(tkx__json_writer *w, const tkx_optimizer_config *config)
{
    tkx__json_put_key(w, "optimizer_config");
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "type", config->type);
    for (size_t i = 0; i < config->fields.count; i++) {
        tkx__json_put_key(w, config->fields.items[i].name);
        tkx__json_put_raw(w, config->fields.items[i].json,
                          strlen(config->fields.items[i].json));
    }
    tkx__json_end_object(w);
}

static void floats(tkx__json_writer *w, const float *values, size_t n)
{
    if (!values) {
        tkx__json_put_null(w);
        return;
    }
    tkx__json_begin_array(w);
    for (size_t i = 0; i < n; i++)
        result_float(w, (double)values[i]);
    tkx__json_end_array(w);
}

/* Prompt scores: what is missing is null there, not "nan". */
static void scores(tkx__json_writer *w, const float *values, size_t n)
{
    if (!values) {
        tkx__json_put_null(w);
        return;
    }
    tkx__json_begin_array(w);
    for (size_t i = 0; i < n; i++)
        if (isnan(values[i]))
            tkx__json_put_null(w);
        else
            result_float(w, (double)values[i]);
    tkx__json_end_array(w);
}

static void topk(tkx__json_writer *w, const char *key, const tkx_topk *t)
{
    tkx__json_put_key(w, key);
    if (!t) {
        tkx__json_put_null(w);
        return;
    }
    tkx__json_begin_array(w);
    for (size_t i = 0; i < t->n_rows; i++) {
        const tkx_topk_row *row = &t->rows[i];

        if (!row->tokens) {
            tkx__json_put_null(w);
            continue;
        }
        tkx__json_begin_array(w);
        for (size_t k = 0; k < row->count; k++) {
            tkx__json_begin_array(w);
            tkx__json_put_i64(w, row->tokens[k]);
            result_float(w, (double)row->logprobs[k]);
            tkx__json_end_array(w);
        }
        tkx__json_end_array(w);
    }
    tkx__json_end_array(w);
}

static void tensor(tkx__json_writer *w, const tkx_tensor *t)
{
    if (!t) {
        tkx__json_put_null(w);
        return;
    }
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "dtype",
                            t->dtype == TKX_DTYPE_INT64 ? "int64" : "float32");
    tkx__json_put_key(w, "shape");
    if (t->has_shape)
        tkx__json_put_i64s(w, t->shape, t->n_dims);
    else
        tkx__json_put_null(w);
    tkx__json_put_key(w, "data");
    if (t->dtype == TKX_DTYPE_INT64)
        tkx__json_put_i64s(w, t->values.i64, t->n_values);
    else
        floats(w, t->values.f32, t->n_values);
    if (t->is_sparse) {
        tkx__json_put_key(w, "crow");
        tkx__json_put_i64s(w, t->crow, t->n_crow);
        tkx__json_put_key(w, "col");
        tkx__json_put_i64s(w, t->col, t->n_col);
    }
    tkx__json_end_object(w);
}

static void sequence(tkx__json_writer *w, const tkx_sequence *s)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "stop_reason", tkx_stop_reason_name(s->stop_reason));
    tkx__json_put_key(w, "tokens");
    tkx__json_put_i32s(w, s->tokens, s->n_tokens);
    tkx__json_put_key(w, "logprobs");
    floats(w, s->logprobs, s->n_logprobs);
    tkx__json_member_string(w, "sequence_id", s->sequence_id);
    topk(w, "topk_logprobs", s->topk);
    tkx__json_end_object(w);
}

void result_sample(tkx__json_writer *w, const tkx_sample_response *r)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "sequences");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < r->n_sequences; i++)
        sequence(w, &r->sequences[i]);
    tkx__json_end_array(w);
    tkx__json_put_key(w, "prompt_logprobs");
    scores(w, r->prompt_logprobs, r->n_prompt_logprobs);
    topk(w, "topk_prompt_logprobs", r->topk_prompt_logprobs);
    tkx__json_member_i64(w, "prompt_cache_hit_tokens", r->prompt_cache_hit_tokens);
    tkx__json_put_key(w, "target_prompt_logprobs");
    tensor(w, r->target_prompt_logprobs);
    tkx__json_put_key(w, "prompt_alt_tokens");
    if (r->alt_tokens) {
        tkx__json_begin_object(w);
        tkx__json_put_key(w, "tokens");
        tensor(w, r->alt_tokens);
        tkx__json_put_key(w, "logprobs");
        tensor(w, r->alt_logprobs);
        tkx__json_end_object(w);
    } else {
        tkx__json_put_null(w);
    }
    tkx__json_end_object(w);
}

void result_training(tkx__json_writer *w, const tkx_forward_backward_output *o)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "loss_fn_output_type", o->loss_fn_output_type);
    tkx__json_put_key(w, "loss_fn_outputs");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < o->n_outputs; i++) {
        tkx__json_begin_object(w);
        for (size_t k = 0; k < o->loss_fn_outputs[i].n_fields; k++) {
            tkx__json_put_key(w, o->loss_fn_outputs[i].fields[k].name);
            tensor(w, &o->loss_fn_outputs[i].fields[k].tensor);
        }
        tkx__json_end_object(w);
    }
    tkx__json_end_array(w);
    tkx__json_put_key(w, "metrics");
    result_metrics(w, o->metrics, o->n_metrics);
    tkx__json_end_object(w);
}

static void checkpoint(tkx__json_writer *w, const tkx_checkpoint *c)
{
    if (!c) {
        tkx__json_put_null(w);
        return;
    }
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "checkpoint_id", c->checkpoint_id);
    tkx__json_member_string(w, "checkpoint_type", c->checkpoint_type);
    result_time(w, "time", c->time);
    tkx__json_member_string(w, "tinker_path", c->tinker_path);
    result_size(w, "size_bytes", c->size_bytes);
    tkx__json_member_bool(w, "public", c->is_public);
    result_pairs(w, "user_metadata", &c->user_metadata);
    result_time(w, "expires_at", c->expires_at);
    tkx__json_end_object(w);
}

void result_cursor(tkx__json_writer *w, const tkx_cursor *cursor)
{
    tkx__json_put_key(w, "cursor");
    if (!cursor) {
        tkx__json_put_null(w);
        return;
    }
    tkx__json_begin_object(w);
    tkx__json_member_i64(w, "offset", cursor->offset);
    tkx__json_member_i64(w, "limit", cursor->limit);
    tkx__json_member_i64(w, "total_count", cursor->total_count);
    tkx__json_end_object(w);
}

void result_checkpoints(tkx__json_writer *w, const tkx_checkpoint_list *list)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "checkpoints");
    tkx__json_begin_array(w);
    for (size_t i = 0; i < list->count; i++)
        checkpoint(w, &list->items[i]);
    tkx__json_end_array(w);
    result_cursor(w, list->cursor);
    tkx__json_end_object(w);
}

void result_run(tkx__json_writer *w, const tkx_training_run *run)
{
    tkx__json_begin_object(w);
    tkx__json_member_string(w, "training_run_id", run->training_run_id);
    tkx__json_member_string(w, "base_model", run->base_model);
    tkx__json_member_string(w, "model_owner", run->model_owner);
    tkx__json_member_bool(w, "is_lora", run->is_lora);
    tkx__json_member_bool(w, "corrupted", run->is_corrupted);
    result_size(w, "lora_rank", run->lora_rank);
    result_time(w, "last_request_time", run->last_request_time);
    tkx__json_put_key(w, "last_checkpoint");
    checkpoint(w, run->last_checkpoint);
    tkx__json_put_key(w, "last_sampler_checkpoint");
    checkpoint(w, run->last_sampler_checkpoint);
    result_pairs(w, "user_metadata", &run->user_metadata);
    tkx__json_end_object(w);
}
