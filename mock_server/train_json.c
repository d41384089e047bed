/* SPDX-License-Identifier: Apache-2.0 */
/* train_json.c - the JSON form of forward and forward_backward. */
#include "mock_server/train_request.h"

#include <string.h>

#include "base/error.h"
#include "mock_server/jv.h"

static tkx_status bad(tkx_error **err, size_t datum, const char *what)
{
    return tkx__fail(err, TKX_ERR_PARSE, "data[%zu]: %s", datum, what);
}

static tkx_status read_i64s(tkx__arena *arena, const jv *from, const int64_t **out,
                            size_t *n, size_t datum, tkx_error **err)
{
    int64_t *values = tkx__arena_alloc(arena, from->n ? from->n : 1, sizeof *values);
    if (!values)
        return tkx__fail_memory(err);
    if (!jv_i64s(from, values))
        return bad(err, datum, "a list of integers is wanted");
    *out = values;
    *n = from->n;
    return TKX_OK;
}

static tkx_status read_f32s(tkx__arena *arena, const jv *from, train_tensor *t,
                            size_t datum, tkx_error **err)
{
    float *values = tkx__arena_alloc(arena, from->n ? from->n : 1, sizeof *values);
    if (!values)
        return tkx__fail_memory(err);
    if (!jv_f32s(from, values))
        return bad(err, datum, "a list of numbers is wanted");
    t->floats = values;
    t->n = from->n;
    return TKX_OK;
}

static tkx_status read_tensor(tkx__arena *arena, const jv *from, size_t datum,
                              train_tensor *t, tkx_error **err)
{
    const jv *data = jv_get(from, "data"), *shape = jv_get(from, "shape");
    const jv *crow = jv_get(from, "sparse_crow_indices");
    const jv *col = jv_get(from, "sparse_col_indices");
    const char *dtype = jv_get_str(from, "dtype");
    tkx_status st;
    *t = (train_tensor){0};
    if (!data || !dtype || (strcmp(dtype, "int64") != 0 && strcmp(dtype, "float32") != 0))
        return bad(err, datum, "a tensor has data and dtype, int64 or float32");
    t->is_int = *dtype == 'i';
    st = t->is_int ? read_i64s(arena, data, &t->ints, &t->n, datum, err)
                   : read_f32s(arena, data, t, datum, err);
    if (st == TKX_OK && shape) {
        t->has_shape = true;
        st = read_i64s(arena, shape, &t->shape, &t->n_dims, datum, err);
    }
    if (st == TKX_OK && crow)
        st = read_i64s(arena, crow, &t->crow, &t->n_crow, datum, err);
    if (st == TKX_OK && col)
        st = read_i64s(arena, col, &t->col, &t->n_col, datum, err);
    if (st == TKX_OK && !crow != !col)
        return bad(err, datum, "both lists of a sparse tensor are wanted");
    return st;
}

static tkx_status read_chunk(const jv *chunk, size_t datum, int64_t *to, size_t *n,
                             tkx_error **err)
{
    const char *type = jv_get_str(chunk, "type");
    const jv *tokens = jv_get(chunk, "tokens");
    if (type && strcmp(type, "encoded_text") != 0)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "data[%zu]: a chunk of type %s: this server's models read text "
                         "alone",
                         datum, type);
    if (!tokens || tokens->kind != JV_ARRAY)
        return bad(err, datum, "a chunk has a list of tokens");
    if (to && !jv_i64s(tokens, to + *n))
        return bad(err, datum, "tokens are integers");
    *n += tokens->n;
    return TKX_OK;
}

static tkx_status read_input(tkx__arena *arena, const jv *input, size_t datum,
                             nn_datum *out, tkx_error **err)
{
    const jv *chunks = jv_get(input, "chunks");
    tkx_status st = TKX_OK;
    int64_t *tokens;
    size_t n = 0;
    if (!chunks || chunks->kind != JV_ARRAY)
        return bad(err, datum, "model_input has a list of chunks");
    for (const jv *c = chunks->first; c && st == TKX_OK; c = c->next)
        st = read_chunk(c, datum, NULL, &n, err);
    if (st != TKX_OK)
        return st;
    tokens = tkx__arena_alloc(arena, n ? n : 1, sizeof *tokens);
    if (!tokens)
        return tkx__fail_memory(err);
    n = 0;
    for (const jv *c = chunks->first; c && st == TKX_OK; c = c->next)
        st = read_chunk(c, datum, tokens, &n, err);
    out->tokens = tokens;
    out->n_tokens = n;
    return st;
}

static tkx_status read_datum(tkx__arena *arena, const jv *from, size_t i, nn_datum *out,
                             tkx_error **err)
{
    const jv *inputs = jv_get(from, "loss_fn_inputs");
    tkx_status st = read_input(arena, jv_get(from, "model_input"), i, out, err);
    out->k = 1;
    if (st == TKX_OK && (!inputs || inputs->kind != JV_OBJECT))
        return bad(err, i, "loss_fn_inputs is an object");
    for (const jv *m = st == TKX_OK ? inputs->first : NULL; m && st == TKX_OK;
         m = m->next) {
        train_tensor t;
        st = read_tensor(arena, m, i, &t, err);
        if (st == TKX_OK)
            st = train_datum_set(arena, out, i, m->key, &t, err);
    }
    return st;
}

static tkx_status read_config(tkx__arena *arena, const jv *config, train_request *out,
                              tkx_error **err)
{
    nn_loss_param *params;
    if (!config)
        return TKX_OK;
    if (config->kind != JV_OBJECT)
        return tkx__fail(err, TKX_ERR_PARSE, "loss_fn_config is an object");
    params = tkx__arena_zalloc(arena, config->n + 1, sizeof *params);
    if (!params)
        return tkx__fail_memory(err);
    out->loss.params = params;
    for (const jv *m = config->first; m; m = m->next) {
        if (m->kind == JV_STRING && strcmp(m->key, "loss_id") == 0) {
            out->loss_id = m->text;
            continue;
        }
        params[out->loss.n_params].key = m->key;
        if (!jv_f64(m, &params[out->loss.n_params].value))
            return tkx__fail(err, TKX_ERR_PARSE, "loss_fn_config.%s is a number", m->key);
        out->loss.n_params++;
    }
    return TKX_OK;
}

static tkx_status read_data(tkx__arena *arena, const jv *data, train_request *out,
                            tkx_error **err)
{
    tkx_status st = TKX_OK;
    size_t i = 0;
    if (!data || data->kind != JV_ARRAY || (data->n && data->is_packed))
        return tkx__fail(err, TKX_ERR_PARSE, "data is a list of datums");
    out->datums = tkx__arena_zalloc(arena, data->n + 1, sizeof *out->datums);
    if (!out->datums)
        return tkx__fail_memory(err);
    out->n_datums = data->n;
    for (const jv *d = data->first; d && st == TKX_OK; d = d->next, i++)
        st = read_datum(arena, d, i, &out->datums[i], err);
    return st;
}

tkx_status train_request_read_json(tkx__arena *arena, const char *body, size_t size,
                                   train_request *out, tkx_error **err)
{
    const jv *root, *input;
    tkx_status st = jv_parse(arena, body, size, &root, err);
    if (st != TKX_OK)
        return st;
    input = jv_get(root, "forward_backward_input");
    if (!input) {
        input = jv_get(root, "forward_input");
        out->is_forward_only = true;
    }
    if (jv_get_str(root, "model_id"))
        out->model_id = jv_get_str(root, "model_id");
    if (jv_get(root, "seq_id") && !jv_i64(jv_get(root, "seq_id"), &out->seq_id))
        return tkx__fail(err, TKX_ERR_PARSE, "seq_id is an integer");
    out->loss.name = jv_get_str(input, "loss_fn");
    if (!out->loss.name)
        return tkx__fail(err, TKX_ERR_PARSE, "forward_backward_input.loss_fn is missing");
    st = read_config(arena, jv_get(input, "loss_fn_config"), out, err);
    if (st == TKX_OK)
        st = read_data(arena, jv_get(input, "data"), out, err);
    return st;
}
