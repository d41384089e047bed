/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk.c - plan requests by bytes and by count.
 *
 * Data that cannot be encoded is refused here, before any number is taken: a chunk that
 * fails between others would leave a hole.  Lengths, vocabularies and ranges are the
 * service's to judge.
 */
#include "api/chunk.h"

#include "base/error.h"
#include "base/mem.h"
#include "types/datum.h"
#include "types/tensor.h"

static tkx_status check_tensor(const tkx_named_tensor *t, size_t datum, tkx_error **err)
{
    const tkx_tensor *x = &t->tensor;
    size_t n = 0;

    if (!t->name)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu: a loss input has no name", datum);
    if (x->dtype != TKX_DTYPE_FLOAT32 && x->dtype != TKX_DTYPE_INT64)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, \"%s\": dtype %d is neither float32 nor int64",
                         datum, t->name, (int)x->dtype);
    if (x->n_values > 0 && !x->values.any)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, \"%s\": %zu values and no array", datum, t->name,
                         x->n_values);
    if (x->has_shape && x->n_dims > 0 && !x->shape)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, \"%s\": %zu dimensions and no shape", datum, t->name,
                         x->n_dims);
    if (x->has_shape && !tkx__shape_elements(x->shape, x->n_dims, &n))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, \"%s\": a negative or impossible shape", datum,
                         t->name);
    if (x->has_shape && !x->is_sparse && n != x->n_values)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, \"%s\": the shape has %zu elements, the array %zu",
                         datum, t->name, n, x->n_values);
    if (x->is_sparse && (x->n_col != x->n_values || (x->n_crow > 0 && !x->crow) ||
                         (x->n_col > 0 && !x->col)))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "datum %zu, \"%s\": %zu sparse values with %zu column indices",
                         datum, t->name, x->n_values, x->n_col);
    return TKX_OK;
}

static tkx_status check_chunk(const tkx_chunk *c, size_t datum, tkx_error **err)
{
    switch (c->kind) {
    case TKX_CHUNK_TEXT:
        if (c->n_tokens == 0 || c->tokens)
            return TKX_OK;
        break;
    case TKX_CHUNK_IMAGE:
    case TKX_CHUNK_DMEL:
        if (c->n_bytes == 0 || c->bytes)
            return TKX_OK;
        break;
    case TKX_CHUNK_IMAGE_POINTER:
        return TKX_OK; /* in JSON */
    }
    return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                     "datum %zu: an input chunk of kind %d without its array", datum,
                     (int)c->kind);
}

/* INVALID_ARGUMENT, naming datum and field, for what no encoder can write. */
static tkx_status check_data(const tkx_datum *data, size_t n_data, tkx_error **err)
{
    tkx_status st = TKX_OK;

    if (n_data == 0 || !data)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "no data: forward and forward_backward need at least one datum");
    for (size_t i = 0; i < n_data && st == TKX_OK; i++) {
        const tkx_datum *d = &data[i];
        for (size_t k = 0; k < d->model_input.n_chunks && st == TKX_OK; k++)
            st = check_chunk(&d->model_input.chunks[k], i, err);
        for (size_t k = 0; k < d->n_loss_fn_inputs && st == TKX_OK; k++)
            st = check_tensor(&d->loss_fn_inputs[k], i, err);
    }
    return st;
}

tkx_status tkx__data_refuse_pointers(const tkx_datum *data, size_t n_data,
                                     tkx_error **err)
{
    for (size_t i = 0; i < n_data; i++)
        for (size_t k = 0; k < data[i].model_input.n_chunks; k++)
            if (data[i].model_input.chunks[k].kind == TKX_CHUNK_IMAGE_POINTER)
                return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                                 "datum %zu: an image pointer cannot be trained on; send "
                                 "the image",
                                 i);
    return TKX_OK;
}

/* Count the chunks (out NULL), or write them. */
static size_t walk(const tkx_datum *data, size_t n_data, size_t max_bytes,
                   size_t max_count, tkx__chunk *out)
{
    tkx__chunk now = {0};
    size_t n = 0;

    for (size_t i = 0; i < n_data; i++) {
        size_t bytes = tkx__datum_bytes(&data[i]);
        bool is_full =
            now.count >= max_count ||
            (now.count > 0 && (bytes > max_bytes || now.bytes > max_bytes - bytes));
        if (is_full) {
            if (out)
                out[n] = now;
            n++;
            now = (tkx__chunk){.from = i};
        }
        now.count++;
        now.bytes += bytes;
    }
    if (out)
        out[n] = now;
    return n + 1;
}

tkx_status tkx__chunk_plan(const tkx_datum *data, size_t n_data, size_t max_bytes,
                           size_t max_count, tkx__chunk **chunks, size_t *n_chunks,
                           tkx_error **err)
{
    tkx_status st = check_data(data, n_data, err);

    if (st != TKX_OK)
        return st;
    *n_chunks = walk(data, n_data, max_bytes, max_count, NULL);
    *chunks = tkx__calloc(*n_chunks, sizeof **chunks);
    if (!*chunks)
        return tkx__fail_memory(err);
    walk(data, n_data, max_bytes, max_count, *chunks);
    return TKX_OK;
}
