/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.c - the sample request.  Keys younger than 0.25 are sent only when they differ
 * from their defaults, since older servers refuse keys they do not know.
 */
#include "types/sample.h"

#include <string.h>

#include "types/model_input.h"
#include "types/tensor.h"
#include "json/writer.h"

size_t tkx__model_input_sample_bytes(const tkx_model_input *input)
{
    return tkx__model_input_bytes(input, 10);
}

static void write_stop(tkx__json_writer *w, const tkx_sampling_params *p)
{
    if (p->stop_kind == TKX_STOP_DEFAULT)
        return;
    tkx__json_put_key(w, "stop");
    if (p->stop_kind == TKX_STOP_TOKENS)
        tkx__json_put_i32s(w, p->stop_tokens, p->n_stop);
    else if (p->stop_kind == TKX_STOP_STRINGS || p->n_stop == 1)
        tkx__json_put_strings(w, p->stop_strings, p->n_stop);
    else
        tkx__json_write_fail(w, TKX_ERR_INVALID_ARGUMENT,
                             "one stop string was announced");
}

static void write_params(tkx__json_writer *w, const tkx_sampling_params *p)
{
    tkx__json_begin_object(w);
    if (p->has_max_tokens)
        tkx__json_member_i64(w, "max_tokens", p->max_tokens);
    if (p->seed.is_set) {
        tkx__json_put_key(w, "seed");
        if (p->seed.is_negative)
            tkx__json_put_i64(w, (int64_t)p->seed.bits);
        else
            tkx__json_put_u64(w, p->seed.bits);
    }
    write_stop(w, p);
    tkx__json_member_f64(w, "temperature", p->temperature);
    tkx__json_member_i64(w, "top_k", p->top_k);
    tkx__json_member_f64(w, "top_p", p->top_p);
    tkx__json_end_object(w);
}

static void text_if(tkx__json_writer *w, const char *key, const char *text)
{
    if (text)
        tkx__json_member_string(w, key, text);
}

static void write_extras(tkx__json_writer *w, const tkx_sample_request *q)
{
    if (q->topk_sample_logprobs)
        tkx__json_member_i64(w, "topk_sample_logprobs", q->topk_sample_logprobs);
    if (q->target_prompt_logprobs) {
        tkx__json_put_key(w, "target_prompt_logprobs");
        tkx__tensor_write_json(w, q->target_prompt_logprobs);
    }
    if (q->prompt_alt_tokens_k)
        tkx__json_member_i64(w, "prompt_alt_tokens_k", q->prompt_alt_tokens_k);
    if (q->prompt_logprobs_last_n >= 0)
        tkx__json_member_i64(w, "prompt_logprobs_last_n", q->prompt_logprobs_last_n);
    if (q->record_stability_info)
        tkx__json_member_bool(w, "record_stability_info", true);
    for (size_t i = 0; i < q->extra_json.count; i++) {
        tkx__json_put_key(w, q->extra_json.items[i].name);
        tkx__json_put_raw(w, q->extra_json.items[i].json,
                          strlen(q->extra_json.items[i].json));
    }
}

static tkx_status encode(const tkx_sample_request *request, tkx__buf *buf,
                         size_t *prompt_at, tkx_error **err)
{
    tkx__json_writer w;

    tkx__json_writer_init(&w, buf, 0);
    tkx__json_begin_object(&w);
    tkx__json_member_i64(&w, "num_samples", request->num_samples);
    tkx__json_put_key(&w, "prompt");
    if (prompt_at) {
        tkx__json_put_raw(&w, "", 0);
        *prompt_at = buf->size;
    } else {
        tkx__model_input_write_json(&w, &request->prompt);
    }
    tkx__json_put_key(&w, "sampling_params");
    write_params(&w, &request->params);
    text_if(&w, "base_model", request->base_model);
    text_if(&w, "model_path", request->model_path);
    text_if(&w, "sampling_session_id", request->sampling_session_id);
    if (request->seq_id >= 0)
        tkx__json_member_i64(&w, "seq_id", request->seq_id);
    tkx__json_member_bool(&w, "prompt_logprobs", request->prompt_logprobs);
    tkx__json_member_i64(&w, "topk_prompt_logprobs", request->topk_prompt_logprobs);
    write_extras(&w, request);
    tkx__json_member_string(&w, "type", "sample");
    tkx__json_end_object(&w);
    return tkx__json_written(&w, "sample request", err);
}

tkx_status tkx__sample_request_encode_json(const tkx_sample_request *request,
                                           tkx__buf *buf, tkx_error **err)
{
    return encode(request, buf, NULL, err);
}

tkx_status tkx__sample_request_encode_around(const tkx_sample_request *request,
                                             tkx__buf *buf, size_t *prompt_at,
                                             tkx_error **err)
{
    return encode(request, buf, prompt_at, err);
}
