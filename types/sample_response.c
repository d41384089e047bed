/* SPDX-License-Identifier: Apache-2.0 */
/* sample_response.c - the sample result in JSON, and what all forms share. */
#include "types/sample_response.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "types/list.h"
#include "types/owned.h"
#include "types/tensor.h"
#include "types/topk.h"

const char *tkx_stop_reason_name(tkx_stop_reason reason)
{
    return reason == TKX_STOP_REASON_LENGTH ? "length" : "stop";
}

void tkx_sample_response_free(tkx_sample_response *response)
{
    tkx__owned_free(response);
}

static void read_stop_reason(tkx__json_reader *r, tkx_stop_reason *reason)
{
    tkx__json_text text;

    if (!tkx__json_read_text(r, &text))
        return;
    if (tkx__json_text_is(&text, "length"))
        *reason = TKX_STOP_REASON_LENGTH;
    else if (tkx__json_text_is(&text, "stop"))
        *reason = TKX_STOP_REASON_STOP;
    else
        tkx__json_fail(r, TKX_ERR_PARSE, "unknown stop_reason");
}

static void read_sequence(tkx__json_reader *r, tkx_sequence *s)
{
    tkx__json_text key;
    int32_t *tokens = NULL;
    float *logprobs;
    bool has_reason = false;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "stop_reason")) {
            read_stop_reason(r, &s->stop_reason);
            has_reason = true;
        } else if (tkx__json_text_is(&key, "tokens")) {
            tkx__json_read_i32s(r, &tokens, &s->n_tokens);
            s->tokens = tokens;
        } else if (tkx__json_take_null(r)) {
            continue;
        } else if (tkx__json_text_is(&key, "logprobs")) {
            tkx__json_read_f32s(r, &logprobs, &s->n_logprobs);
            s->logprobs = logprobs;
        } else if (tkx__json_text_is(&key, "topk_sampled_logprobs") ||
                   tkx__json_text_is(&key, "topk_logprobs")) {
            s->topk = tkx__topk_read_json(r);
        } else if (tkx__json_text_is(&key, "sequence_id")) {
            tkx__json_read_string(r, &s->sequence_id);
        } else {
            tkx__json_skip(r);
        }
    }
    if (!has_reason || !tokens)
        tkx__json_fail(r, TKX_ERR_PARSE, "a sequence needs stop_reason and tokens");
}

static const tkx_tensor *read_tensor(tkx__json_reader *r)
{
    tkx_tensor *tensor = tkx__arena_zalloc(r->arena, 1, sizeof *tensor);

    if (!tensor) {
        tkx__json_fail(r, TKX_ERR_NO_MEMORY, "no memory for a tensor");
        return NULL;
    }
    tkx__tensor_read_json(r, tensor);
    return tensor;
}

static void read_alt_tokens(tkx__json_reader *r, tkx_sample_response *out)
{
    tkx__json_text key;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "tokens"))
            out->alt_tokens = read_tensor(r);
        else if (tkx__json_text_is(&key, "logprobs"))
            out->alt_logprobs = read_tensor(r);
        else
            tkx__json_skip(r);
    }
}

static void read_sequences(tkx__json_reader *r, tkx_sample_response *out)
{
    tkx__list l = {0};

    tkx__json_read_array(r);
    while (tkx__json_read_element(r)) {
        tkx_sequence *s = tkx__list_add(r, &l, sizeof *s);

        if (s)
            read_sequence(r, s);
    }
    tkx__list_store(&out->sequences, &l);
}

static void read_response(tkx__json_reader *r, tkx_sample_response *out)
{
    tkx__json_text key;
    float *logprobs;
    bool has_sequences = false;

    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_take_null(r)) {
            continue;
        } else if (tkx__json_text_is(&key, "sequences")) {
            read_sequences(r, out);
            has_sequences = true;
        } else if (tkx__json_text_is(&key, "prompt_logprobs")) {
            tkx__json_read_f32s(r, &logprobs, &out->n_prompt_logprobs);
            out->prompt_logprobs = logprobs;
        } else if (tkx__json_text_is(&key, "topk_prompt_logprobs")) {
            out->topk_prompt_logprobs = tkx__topk_read_json(r);
        } else if (tkx__json_text_is(&key, "prompt_cache_hit_tokens")) {
            tkx__json_read_i64(r, &out->prompt_cache_hit_tokens);
        } else if (tkx__json_text_is(&key, "target_prompt_logprobs")) {
            out->target_prompt_logprobs = read_tensor(r);
        } else if (tkx__json_text_is(&key, "prompt_alt_tokens")) {
            read_alt_tokens(r, out);
        } else {
            tkx__json_skip(r);
        }
    }
    if (!has_sequences)
        tkx__json_fail(r, TKX_ERR_PARSE, "sequences are missing");
}

tkx_status tkx__sample_response_decode_json(const void *bytes, size_t size,
                                            tkx_sample_response **out, tkx_error **err)
{
    tkx__arena *arena;
    tkx__json_reader r;
    tkx_sample_response *response;
    tkx_status st;

    *out = NULL;
    response =
        tkx__owned_new(sizeof *response, size < 512 ? 512 : size,
                       size < SIZE_MAX / 64 ? size * 32 + (1 << 16) : size, &arena);
    if (!response)
        return tkx__fail_memory(err);
    tkx__json_reader_init(&r, bytes, size, arena, TKX__JSON_LENIENT);
    read_response(&r, response);
    st = tkx__json_finish(&r, "sample answer", err);
    if (st != TKX_OK) {
        tkx__owned_free(response);
        return st;
    }
    *out = response;
    return TKX_OK;
}

tkx_status tkx__sample_response_set_ids(tkx_sample_response *response,
                                        const tkx_string_list *ids, tkx_error **err)
{
    for (size_t i = 0; i < ids->count && i < response->n_sequences; i++) {
        const char *id = ids->items[i];
        char *copy = tkx__arena_strndup(tkx__owned_arena(response), id, strlen(id));

        if (!copy)
            return tkx__fail_memory(err);
        response->sequences[i].sequence_id = copy;
    }
    return TKX_OK;
}

tkx_status tkx__sample_response_check(const tkx_sample_response *response,
                                      const tkx_sample_request *request, tkx_error **err)
{
    if (request->prompt_alt_tokens_k > 0 && !response->alt_tokens)
        return tkx__fail(
            err, TKX_ERR_PROTOCOL,
            "sample: prompt_alt_tokens_k was asked for and the answer has no "
            "prompt_alt_tokens; the server does not know the field");
    if (request->prompt_logprobs_last_n >= 0 && response->prompt_logprobs) {
        size_t last = (size_t)request->prompt_logprobs_last_n;
        size_t n = response->n_prompt_logprobs;

        for (size_t i = 0; last < n && i < n - last; i++)
            if (!isnan(response->prompt_logprobs[i]))
                return tkx__fail(
                    err, TKX_ERR_PROTOCOL,
                    "sample: only the last %zu prompt logprobs were asked for "
                    "and position %zu has one; the server does not know "
                    "prompt_logprobs_last_n",
                    last, i);
    }
    return TKX_OK;
}
