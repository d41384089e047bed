/* SPDX-License-Identifier: Apache-2.0 */
/* train_request.c - tensors checked against their shapes and put into their datum. */
#include "mock_server/train_request.h"

#include <string.h>

#include "base/error.h"

enum { MAX_ELEMENTS = 1 << 28 };

static tkx_status bad(tkx_error **err, size_t datum, const char *name, const char *what)
{
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "datum %zu, %s: %s", datum, name,
                     what);
}

/* Losses of ours know their inputs; one of the user's own may have any. */
static tkx_status check_names(const train_request *r, tkx_error **err)
{
    if (strcmp(r->loss.name, "custom") == 0)
        return TKX_OK;
    for (size_t i = 0; i < r->n_datums; i++)
        for (const nn_named_input *n = r->datums[i].named; n; n = n->next)
            if (!n->is_known)
                return bad(err, i, n->name, "no loss of this server has such an input");
    return TKX_OK;
}

tkx_status train_request_read(tkx__arena *arena, const char *body, size_t size,
                              bool is_proto, train_request *out, tkx_error **err)
{
    tkx_status st;
    *out = (train_request){.model_id = "", .seq_id = -1};
    st = is_proto ? train_request_read_proto(arena, body, size, out, err)
                  : train_request_read_json(arena, body, size, out, err);
    for (size_t i = 0; st == TKX_OK && i < out->n_datums; i++)
        out->n_tokens += out->datums[i].n_tokens;
    return st == TKX_OK ? check_names(out, err) : st;
}

static bool shape_size(const train_tensor *t, size_t *out)
{
    size_t n = 1;
    for (size_t d = 0; d < t->n_dims; d++) {
        if (t->shape[d] < 0 || t->shape[d] > MAX_ELEMENTS ||
            __builtin_mul_overflow(n, (size_t)t->shape[d], &n) || n > MAX_ELEMENTS)
            return false;
    }
    *out = n;
    return true;
}

/* Row r of a sparse tensor into its dense place. */
static bool expand_row(const train_tensor *t, size_t r, size_t n_cols, int64_t *ints,
                       float *floats)
{
    int64_t from = t->crow[r], to = t->crow[r + 1];
    if (from < 0 || to < from || (uint64_t)to > t->n)
        return false;
    for (int64_t j = from; j < to; j++) {
        int64_t col = t->col[j];
        if (col < 0 || (uint64_t)col >= n_cols)
            return false;
        if (t->is_int)
            ints[r * n_cols + (size_t)col] = t->ints[j];
        else
            floats[r * n_cols + (size_t)col] = t->floats[j];
    }
    return true;
}

static tkx_status expand_sparse(tkx__arena *arena, train_tensor *t, size_t total,
                                size_t datum, const char *name, tkx_error **err)
{
    size_t n_rows, n_cols;
    void *dense;
    if (t->n_dims != 2 || t->n_crow != (size_t)t->shape[0] + 1 || t->n_col != t->n)
        return bad(err, datum, name,
                   "a sparse tensor needs rows + 1 row pointers, one "
                   "column per value and a shape of two numbers");
    n_rows = (size_t)t->shape[0];
    n_cols = (size_t)t->shape[1];
    dense = tkx__arena_zalloc(arena, total ? total : 1, t->is_int ? 8 : 4);
    if (!dense)
        return tkx__fail_memory(err);
    for (size_t r = 0; r < n_rows; r++)
        if (!expand_row(t, r, n_cols, dense, dense))
            return bad(err, datum, name, "a row pointer or column out of range");
    if (t->is_int)
        t->ints = dense;
    else
        t->floats = dense;
    t->n = total;
    t->crow = t->col = NULL;
    return TKX_OK;
}

/* Make it dense, in arena. */
static tkx_status expand(tkx__arena *arena, train_tensor *t, size_t datum,
                         const char *name, tkx_error **err)
{
    size_t total;
    if (!t->has_shape) {
        int64_t *shape = tkx__arena_alloc(arena, 1, sizeof *shape);
        if (!shape)
            return tkx__fail_memory(err);
        *shape = (int64_t)t->n;
        t->shape = shape;
        t->n_dims = 1;
    }
    if (!shape_size(t, &total))
        return bad(err, datum, name, "the shape is negative or too large");
    if (t->crow)
        return expand_sparse(arena, t, total, datum, name, err);
    if (total != t->n)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, %s: the shape asks for %zu values, there are %zu",
                         datum, name, total, t->n);
    return TKX_OK;
}

static tkx_status as_floats(tkx__arena *arena, const train_tensor *t, nn_input *out,
                            tkx_error **err)
{
    static const float nothing;
    float *copy;
    out->n = t->n;
    out->data = t->floats ? t->floats : &nothing;
    if (!t->is_int)
        return TKX_OK;
    copy = tkx__arena_alloc(arena, t->n ? t->n : 1, sizeof *copy);
    if (!copy)
        return tkx__fail_memory(err);
    for (size_t i = 0; i < t->n; i++)
        copy[i] = (float)t->ints[i];
    out->data = copy;
    return TKX_OK;
}

static tkx_status set_targets(nn_datum *datum, size_t i, const train_tensor *t,
                              tkx_error **err)
{
    static const int64_t nothing;
    if (!t->is_int)
        return bad(err, i, "target_tokens", "int64 is wanted");
    if (t->n_dims > 2)
        return bad(err, i, "target_tokens", "one or two dimensions are wanted");
    datum->targets = t->ints ? t->ints : &nothing;
    datum->n_targets = t->n;
    datum->is_matrix = t->n_dims == 2;
    datum->k = datum->is_matrix ? (size_t)t->shape[1] : 1;
    return TKX_OK;
}

/* Every input by its name as well, for losses of the user's own. */
static nn_named_input *add_named(tkx__arena *arena, nn_datum *datum, const char *name,
                                 const train_tensor *t)
{
    nn_named_input *named = tkx__arena_zalloc(arena, 1, sizeof *named);
    if (!named)
        return NULL;
    *named = (nn_named_input){
        .next = (nn_named_input *)datum->named, .name = name, .n_dims = t->n_dims};
    for (size_t d = 0; d < t->n_dims && d < 2; d++)
        named->dims[d] = (size_t)t->shape[d];
    datum->named = named;
    return named;
}

tkx_status train_datum_set(tkx__arena *arena, nn_datum *datum, size_t i, const char *name,
                           train_tensor *t, tkx_error **err)
{
    const struct {
        const char *name;
        nn_input *to;
    } places[] = {
        {"weights", &datum->weights},
        {"logprobs", &datum->logprobs},
        {"advantages", &datum->advantages},
        {"clip_low_threshold", &datum->clip_low},
        {"clip_high_threshold", &datum->clip_high},
        {"sequence_ratio_mask", &datum->sequence_ratio_mask},
    };
    tkx_status st = expand(arena, t, i, name, err);
    nn_named_input *named;
    if (st != TKX_OK)
        return st;
    if (strcmp(name, "target_tokens") == 0)
        return set_targets(datum, i, t, err);
    named = add_named(arena, datum, name, t);
    if (!named)
        return tkx__fail_memory(err);
    st = as_floats(arena, t, &named->input, err);
    for (size_t p = 0; p < sizeof places / sizeof *places; p++)
        if (strcmp(name, places[p].name) == 0) {
            *places[p].to = named->input;
            named->is_known = true;
        }
    return st;
}
