/* SPDX-License-Identifier: Apache-2.0 */
/* sample_request.c - prompt, parameters, stops and what is to be scored. */
#include "mock_server/sample_request.h"

#include <string.h>

#include "base/error.h"

enum { MAX_SAMPLES = 4096, MAX_CELLS = 1 << 24 };

static tkx_status malformed(tkx_error **err, const char *what)
{
    return tkx__fail(err, TKX_ERR_PARSE, "%s", what);
}

static tkx_status wrong(tkx_error **err, const char *what)
{
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "%s", what);
}

static tkx_status count_chunk(const jv *chunk, size_t *n, tkx_error **err)
{
    const char *type = jv_get_str(chunk, "type");
    const jv *tokens = jv_get(chunk, "tokens");
    if (type && strcmp(type, "encoded_text") != 0)
        return tkx__fail(
            err, TKX_ERR_INVALID_ARGUMENT,
            "prompt: a chunk of type %s: this server's models read text alone", type);
    if (!tokens || tokens->kind != JV_ARRAY)
        return malformed(err, "prompt: a chunk has a list of tokens");
    *n += tokens->n;
    return TKX_OK;
}

static tkx_status read_prompt(tkx__arena *arena, const jv *body, nn_sample_request *out,
                              tkx_error **err)
{
    const jv *chunks = jv_get(jv_get(body, "prompt"), "chunks");
    tkx_status st = TKX_OK;
    int64_t *tokens;
    size_t n = 0;
    if (!chunks || chunks->kind != JV_ARRAY)
        return malformed(err, "prompt has a list of chunks");
    for (const jv *c = chunks->first; c && st == TKX_OK; c = c->next)
        st = count_chunk(c, &n, err);
    if (st != TKX_OK)
        return st;
    if (n == 0)
        return wrong(err, "the prompt is empty: at least one token is wanted");
    tokens = tkx__arena_alloc(arena, n, sizeof *tokens);
    if (!tokens)
        return tkx__fail_memory(err);
    out->prompt = tokens;
    out->n_prompt = n;
    for (const jv *c = chunks->first; c; c = c->next) {
        const jv *list = jv_get(c, "tokens");
        if (!jv_i64s(list, tokens))
            return malformed(err, "prompt: tokens are integers");
        tokens += list->n;
    }
    return TKX_OK;
}

static tkx_status read_stop_texts(tkx__arena *arena, const jv *stop,
                                  nn_sample_request *out, tkx_error **err)
{
    nn_stop_string *texts = tkx__arena_zalloc(arena, stop->n + 1, sizeof *texts);
    if (!texts)
        return tkx__fail_memory(err);
    out->stop_strings = texts;
    for (const jv *s = stop->first; s; s = s->next) {
        if (s->kind != JV_STRING || s->size == 0)
            return malformed(err, "sampling_params.stop: texts, or token ids");
        texts[out->n_stop_strings++] = (nn_stop_string){s->text, s->size};
    }
    return TKX_OK;
}

static tkx_status read_stop(tkx__arena *arena, const jv *stop, mock_dialect dialect,
                            nn_sample_request *out, tkx_error **err)
{
    bool is_skyrl = dialect == DIALECT_SKYRL;
    int64_t *ids;
    out->use_default_stop = !stop && !is_skyrl;
    if (!stop)
        return TKX_OK;
    if (stop->kind == JV_STRING && !is_skyrl) {
        jv list = {.kind = JV_ARRAY, .n = 1, .first = &(jv){0}};
        *list.first = *stop;
        list.first->next = NULL;
        return read_stop_texts(arena, &list, out, err);
    }
    if (stop->kind != JV_ARRAY)
        return malformed(err, "sampling_params.stop: a list is wanted");
    if (!stop->is_packed)
        return read_stop_texts(arena, stop, out, err);
    ids = tkx__arena_alloc(arena, stop->n, sizeof *ids);
    if (!ids)
        return tkx__fail_memory(err);
    if (!jv_i64s(stop, ids))
        return malformed(err, "sampling_params.stop: token ids are integers");
    out->stop_tokens = ids;
    out->n_stop_tokens = stop->n;
    return TKX_OK;
}

/* A number from min on that may be absent. */
static bool read_count(const jv *body, const char *key, int64_t min, size_t *out)
{
    const jv *value = jv_get(body, key);
    int64_t n;
    if (!value)
        return true;
    if (!jv_i64(value, &n) || n < min)
        return false;
    *out = (size_t)n;
    return true;
}

static bool read_number(const jv *body, const char *key, double *out)
{
    const jv *value = jv_get(body, key);
    return !value || jv_f64(value, out);
}

static tkx_status read_params(tkx__arena *arena, const jv *body, mock_dialect dialect,
                              sample_request *out, tkx_error **err)
{
    const jv *params = jv_get(body, "sampling_params"), *seed;
    nn_sample_request *nn = &out->nn;
    if (!params || params->kind != JV_OBJECT)
        return malformed(err, "sampling_params is an object");
    nn->to_context_end = !jv_get(params, "max_tokens");
    if (nn->to_context_end && dialect == DIALECT_SKYRL)
        return malformed(err, "sampling_params.max_tokens is required");
    if (nn->to_context_end && dialect == DIALECT_TWINKLE) {
        nn->to_context_end = false;
        nn->max_tokens = 256;
    }
    if (!read_count(params, "max_tokens", 1, &nn->max_tokens))
        return wrong(err, "sampling_params.max_tokens is a number from 1");
    if (!read_number(params, "temperature", &nn->temperature) || !(nn->temperature >= 0))
        return wrong(err, "sampling_params.temperature is a number from 0");
    if (!read_number(params, "top_p", &nn->top_p) || !(nn->top_p > 0) || nn->top_p > 1)
        return wrong(err, "sampling_params.top_p is a number above 0, at most 1");
    if (jv_get(params, "top_k") &&
        (!jv_i64(jv_get(params, "top_k"), &nn->top_k) || nn->top_k < -1))
        return wrong(err, "sampling_params.top_k is -1 or a number from 0");
    seed = jv_get(params, "seed");
    out->has_seed = seed != NULL;
    if (seed && !jv_bits64(seed, &nn->seed))
        return wrong(err, "sampling_params.seed is an integer of 64 bits");
    if (dialect == DIALECT_TWINKLE && nn->temperature == 0)
        nn->temperature = 1;
    return read_stop(arena, jv_get(params, "stop"), dialect, nn, err);
}

static bool read_list(tkx__arena *arena, const jv *list, int64_t **out, size_t *n)
{
    *n = list ? list->n : 0;
    *out = tkx__arena_alloc(arena, *n + 1, sizeof **out);
    return *out && list && jv_i64s(list, *out);
}

/* The wanted ids as a dense matrix with -1 in the empty cells. */
static bool spread(const sample_request *r, const int64_t *data, size_t n_data,
                   size_t n_rows, size_t n_cols, int64_t *dense)
{
    for (size_t i = 0; i < n_rows * n_cols; i++)
        dense[i] = -1;
    if (r->n_crow != n_rows + 1 || r->n_col != n_data)
        return false;
    for (size_t row = 0; row < n_rows; row++) {
        if (r->crow[row] < 0 || r->crow[row + 1] < r->crow[row] ||
            (uint64_t)r->crow[row + 1] > n_data)
            return false;
        for (int64_t j = r->crow[row]; j < r->crow[row + 1]; j++) {
            if (r->col[j] < 0 || (uint64_t)r->col[j] >= n_cols)
                return false;
            dense[row * n_cols + (size_t)r->col[j]] = data[j];
        }
    }
    return true;
}

static tkx_status read_targets(tkx__arena *arena, const jv *from, sample_request *out,
                               tkx_error **err)
{
    const jv *crow = jv_get(from, "sparse_crow_indices");
    const char *dtype = jv_get_str(from, "dtype");
    int64_t *data, *shape, *list, *dense;
    size_t n_data, n_dims, n_rows = out->nn.n_prompt - 1, n_cols;
    if (!from)
        return TKX_OK;
    if (!dtype || strcmp(dtype, "int64") != 0 ||
        !read_list(arena, jv_get(from, "data"), &data, &n_data) ||
        !read_list(arena, jv_get(from, "shape"), &shape, &n_dims) || n_dims != 2 ||
        shape[0] != (int64_t)n_rows || shape[1] < 1 || shape[1] > MAX_CELLS ||
        (n_rows && (size_t)shape[1] > MAX_CELLS / n_rows))
        return wrong(err, "target_prompt_logprobs: int64 of shape [len(prompt) - 1, K]");
    n_cols = (size_t)shape[1];
    out->nn.n_prompt_targets = n_cols;
    out->nn.prompt_targets = data;
    if (!crow)
        return n_data == n_rows * n_cols
                   ? TKX_OK
                   : wrong(err, "target_prompt_logprobs: data and shape differ");
    out->is_sparse = true;
    dense = tkx__arena_alloc(arena, n_rows * n_cols + 1, sizeof *dense);
    if (!dense || !read_list(arena, crow, &list, &out->n_crow))
        return wrong(err, "target_prompt_logprobs: broken row pointers");
    out->crow = list;
    if (!read_list(arena, jv_get(from, "sparse_col_indices"), &list, &out->n_col))
        return wrong(err, "target_prompt_logprobs: broken columns");
    out->col = list;
    out->nn.prompt_targets = dense;
    return spread(out, data, n_data, n_rows, n_cols, dense)
               ? TKX_OK
               : wrong(err,
                       "target_prompt_logprobs: a row pointer or column out of range");
}

static tkx_status read_extras(tkx__arena *arena, const jv *body, sample_request *out,
                              tkx_error **err)
{
    nn_sample_request *nn = &out->nn;
    const jv *prompt_logprobs = jv_get(body, "prompt_logprobs");
    nn->prompt_logprobs = prompt_logprobs && prompt_logprobs->is_true;
    if (!read_count(body, "num_samples", 1, &nn->n_samples) ||
        nn->n_samples > MAX_SAMPLES)
        return wrong(err, "num_samples is a number from 1 to 4096");
    if (!read_count(body, "topk_prompt_logprobs", 0, &nn->topk_prompt) ||
        !read_count(body, "topk_sample_logprobs", 0, &nn->topk_sample) ||
        !read_count(body, "prompt_alt_tokens_k", 0, &nn->prompt_alt_k))
        return wrong(err, "topk_prompt_logprobs, topk_sample_logprobs and "
                          "prompt_alt_tokens_k are numbers from 0");
    if (!read_count(body, "prompt_logprobs_last_n", 1, &nn->prompt_last_n) ||
        (nn->prompt_last_n && !nn->prompt_logprobs) || nn->prompt_last_n >= nn->n_prompt)
        return wrong(err,
                     "prompt_logprobs_last_n is a number from 1 to len(prompt) - 1 and "
                     "needs prompt_logprobs");
    return read_targets(arena, jv_get(body, "target_prompt_logprobs"), out, err);
}

tkx_status sample_request_read(tkx__arena *arena, const jv *body, mock_dialect dialect,
                               sample_request *out, tkx_error **err)
{
    tkx_status st;
    *out = (sample_request){.nn = NN_SAMPLE_REQUEST_INIT};
    st = read_prompt(arena, body, &out->nn, err);
    if (st == TKX_OK)
        st = read_params(arena, body, dialect, out, err);
    if (st == TKX_OK)
        st = read_extras(arena, body, out, err);
    return st;
}
