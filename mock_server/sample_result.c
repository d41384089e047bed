/* SPDX-License-Identifier: Apache-2.0 */
/* sample_result.c - SampleResponse as JSON and as protobuf. */
#include "mock_server/sample_request.h"

#include <math.h>

#include "mock_server/jw.h"
#include "mock_server/pb.h"

enum { DTYPE_FLOAT32 = 1, DTYPE_INT64 = 2 };
static const float empty_cell = -99999.0f;

static void json_ints(tkx__buf *out, const int32_t *values, size_t n)
{
    tkx__buf_putc(out, '[');
    for (size_t i = 0; i < n; i++)
        jw_fmt(out, "%r%d", i ? "," : "", (int64_t)values[i]);
    tkx__buf_putc(out, ']');
}

static bool is_empty(const nn_topk *topk, size_t cell)
{
    return topk->tokens[cell] == 0 && topk->logprobs[cell] == empty_cell;
}

static void json_topk(tkx__buf *out, const nn_topk *topk)
{
    tkx__buf_putc(out, '[');
    for (size_t i = 0; i < topk->n; i++) {
        if (i)
            tkx__buf_putc(out, ',');
        if (is_empty(topk, i * topk->k)) {
            tkx__buf_puts(out, "null");
            continue;
        }
        tkx__buf_putc(out, '[');
        for (size_t j = 0; j < topk->k && !is_empty(topk, i * topk->k + j); j++) {
            jw_fmt(out, "%r[%d,", j ? "," : "", (int64_t)topk->tokens[i * topk->k + j]);
            jw_f32(out, topk->logprobs[i * topk->k + j]);
            tkx__buf_putc(out, ']');
        }
        tkx__buf_putc(out, ']');
    }
    tkx__buf_putc(out, ']');
}

static void json_sequence(tkx__buf *out, const nn_sequence *s)
{
    jw_fmt(out, "{\"stop_reason\":%s,\"tokens\":", s->is_stopped ? "stop" : "length");
    json_ints(out, s->tokens, s->n_tokens);
    tkx__buf_puts(out, ",\"logprobs\":");
    jw_f32s(out, s->logprobs, s->n_tokens);
    if (s->topk.n && s->topk.k) {
        tkx__buf_puts(out, ",\"topk_sampled_logprobs\":");
        json_topk(out, &s->topk);
    }
    tkx__buf_putc(out, '}');
}

/* The wanted cells in the order of the request. */
static size_t pick_targets(const sample_request *request, const nn_sample_result *result,
                           tkx__buf *values)
{
    size_t k = request->nn.n_prompt_targets, n_rows = result->n_prompt - 1;
    if (!request->is_sparse) {
        tkx__buf_append(values, result->prompt_target_logprobs,
                        n_rows * k * sizeof(float));
        return n_rows * k;
    }
    for (size_t row = 0; row < n_rows; row++)
        for (int64_t j = request->crow[row]; j < request->crow[row + 1]; j++)
            tkx__buf_append(
                values,
                &result->prompt_target_logprobs[row * k + (size_t)request->col[j]],
                sizeof(float));
    return request->n_col;
}

static void json_list(tkx__buf *out, const char *name, const int64_t *values, size_t n)
{
    jw_fmt(out, ",%s:[", name);
    for (size_t i = 0; i < n; i++)
        jw_fmt(out, "%r%d", i ? "," : "", values[i]);
    tkx__buf_putc(out, ']');
}

static void json_targets(const sample_request *request, const nn_sample_result *result,
                         tkx__buf *out)
{
    tkx__buf values;
    size_t n;
    if (!result->prompt_target_logprobs)
        return;
    tkx__buf_init(&values, out->max_size);
    n = pick_targets(request, result, &values);
    tkx__buf_puts(out, ",\"target_prompt_logprobs\":{\"data\":");
    jw_f32s(out, (const float *)(const void *)values.data, n);
    jw_fmt(out, ",\"dtype\":\"float32\",\"shape\":[%z,%z]", result->n_prompt - 1,
           request->nn.n_prompt_targets);
    if (request->is_sparse) {
        json_list(out, "sparse_crow_indices", request->crow, request->n_crow);
        json_list(out, "sparse_col_indices", request->col, request->n_col);
    }
    tkx__buf_putc(out, '}');
    tkx__buf_clear(&values);
}

void sample_result_json(const sample_request *request, const nn_sample_result *result,
                        mock_dialect dialect, tkx__buf *out)
{
    size_t skip =
        dialect == DIALECT_SKYRL ? 1 : 0; /* no entry for the first token there */
    tkx__buf_puts(out, "{\"type\":\"sample\",\"sequences\":[");
    for (size_t i = 0; i < result->n_sequences; i++) {
        if (i)
            tkx__buf_putc(out, ',');
        json_sequence(out, &result->sequences[i]);
    }
    tkx__buf_putc(out, ']');
    if (result->prompt_logprobs) {
        tkx__buf_puts(out, ",\"prompt_logprobs\":");
        jw_f32s(out, result->prompt_logprobs + skip, result->n_prompt - skip);
    }
    if (result->prompt_topk.n && result->prompt_topk.k) {
        tkx__buf_puts(out, ",\"topk_prompt_logprobs\":");
        json_topk(out, &result->prompt_topk);
    }
    json_targets(request, result, out);
    tkx__buf_printf(out, ",\"prompt_cache_hit_tokens\":%zu}", result->n_cached);
}

static void proto_topk(tkx__buf *out, uint32_t number, const nn_topk *topk)
{
    tkx__buf message;
    size_t n = topk->n * topk->k;
    if (n == 0)
        return;
    tkx__buf_init(&message, out->max_size);
    pb_put_bytes(&message, 1, topk->tokens, n * sizeof(int32_t));
    pb_put_bytes(&message, 2, topk->logprobs, n * sizeof(float));
    pb_put_uint(&message, 3, topk->k);
    pb_put_uint(&message, 4, topk->n);
    pb_put_buf(out, number, &message);
    tkx__buf_clear(&message);
}

static void proto_sequence(tkx__buf *out, const nn_sequence *s)
{
    tkx__buf message;
    tkx__buf_init(&message, out->max_size);
    pb_put_uint(&message, 1, s->is_stopped ? 0 : 1);
    pb_put_bytes(&message, 2, s->tokens, s->n_tokens * sizeof(int32_t));
    pb_put_bytes(&message, 3, s->logprobs, s->n_tokens * sizeof(float));
    proto_topk(&message, 4, &s->topk);
    pb_put_buf(out, 1, &message);
    tkx__buf_clear(&message);
}

static void proto_shape(tkx__buf *tensor, size_t n_rows, size_t n_cols)
{
    tkx__buf shape;
    tkx__buf_init(&shape, 64);
    pb_put_varint(&shape, n_rows);
    pb_put_varint(&shape, n_cols);
    pb_put_buf(tensor, 4, &shape);
    tkx__buf_clear(&shape);
}

static void proto_targets(const sample_request *request, const nn_sample_result *result,
                          tkx__buf *out)
{
    tkx__buf tensor, values, sparse;
    if (!result->prompt_target_logprobs)
        return;
    tkx__buf_init(&tensor, out->max_size);
    tkx__buf_init(&values, out->max_size);
    tkx__buf_init(&sparse, out->max_size);
    pick_targets(request, result, &values);
    if (request->is_sparse) {
        pb_put_buf(&sparse, 1, &values);
        pb_put_bytes(&sparse, 2, request->crow, request->n_crow * sizeof(int64_t));
        pb_put_bytes(&sparse, 3, request->col, request->n_col * sizeof(int64_t));
        pb_put_buf(&tensor, 2, &sparse);
    } else {
        pb_put_buf(&tensor, 1, &values);
    }
    pb_put_uint(&tensor, 3, DTYPE_FLOAT32);
    proto_shape(&tensor, result->n_prompt - 1, request->nn.n_prompt_targets);
    pb_put_buf(out, 5, &tensor);
    tkx__buf_clear(&tensor);
    tkx__buf_clear(&values);
    tkx__buf_clear(&sparse);
}

static void proto_alt_tensor(tkx__buf *out, uint32_t number, const void *data,
                             size_t size, uint64_t dtype, size_t n_rows, size_t n_cols)
{
    tkx__buf tensor;
    tkx__buf_init(&tensor, out->max_size);
    pb_put_bytes(&tensor, 1, data, size);
    pb_put_uint(&tensor, 3, dtype);
    proto_shape(&tensor, n_rows, n_cols);
    pb_put_buf(out, number, &tensor);
    tkx__buf_clear(&tensor);
}

static void proto_alternatives(const sample_request *request,
                               const nn_sample_result *result, tkx__buf *out)
{
    size_t k = request->nn.prompt_alt_k, n_rows = result->n_prompt - 1, n = n_rows * k;
    tkx__buf message, wide;
    if (k == 0)
        return;
    tkx__buf_init(&message, out->max_size);
    tkx__buf_init(&wide, out->max_size);
    for (size_t i = 0; i < n; i++) {
        int64_t token = result->prompt_alt_tokens[i];
        tkx__buf_append(&wide, &token, sizeof token);
    }
    proto_alt_tensor(&message, 1, wide.data, wide.size, DTYPE_INT64, n_rows, k);
    proto_alt_tensor(&message, 2, result->prompt_alt_logprobs, n * sizeof(float),
                     DTYPE_FLOAT32, n_rows, k);
    pb_put_buf(out, 6, &message);
    tkx__buf_clear(&message);
    tkx__buf_clear(&wide);
}

void sample_result_proto(const sample_request *request, const nn_sample_result *result,
                         mock_dialect dialect, tkx__buf *out)
{
    size_t skip = dialect == DIALECT_SKYRL ? 1 : 0;
    for (size_t i = 0; i < result->n_sequences; i++)
        proto_sequence(out, &result->sequences[i]);
    if (result->prompt_logprobs)
        pb_put_bytes(out, 2, result->prompt_logprobs + skip,
                     (result->n_prompt - skip) * sizeof(float));
    proto_topk(out, 3, &result->prompt_topk);
    pb_put_uint(out, 4, result->n_cached);
    proto_targets(request, result, out);
    proto_alternatives(request, result, out);
}
