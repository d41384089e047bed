/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensor.c - tensors in JSON.
 *
 * The dtype may follow the data, so the data is stepped over (an array of numbers ends at
 * its first bracket) and read when the object has ended.
 */
#include "types/tensor.h"

#include <string.h>

#include "base/mem.h"

size_t tkx__dtype_size(tkx_dtype dtype)
{
    return dtype == TKX_DTYPE_INT64 ? sizeof(int64_t) : sizeof(float);
}

size_t tkx__tensor_bytes(const tkx_tensor *t)
{
    size_t bytes = t->n_values * tkx__dtype_size(t->dtype);

    return t->is_sparse ? bytes + 8 * (t->n_crow + t->n_col) : bytes;
}

void tkx__tensor_write_json(tkx__json_writer *w, const tkx_tensor *t)
{
    tkx__json_begin_object(w);
    tkx__json_put_key(w, "data");
    if (t->dtype == TKX_DTYPE_INT64)
        tkx__json_put_i64s(w, t->values.i64, t->n_values);
    else
        tkx__json_put_f32s(w, t->values.f32, t->n_values);
    tkx__json_member_string(w, "dtype",
                            t->dtype == TKX_DTYPE_INT64 ? "int64" : "float32");
    if (t->has_shape) {
        tkx__json_put_key(w, "shape");
        tkx__json_put_i64s(w, t->shape, t->n_dims);
    }
    if (t->is_sparse) {
        tkx__json_put_key(w, "sparse_crow_indices");
        tkx__json_put_i64s(w, t->crow, t->n_crow);
        tkx__json_put_key(w, "sparse_col_indices");
        tkx__json_put_i64s(w, t->col, t->n_col);
    }
    tkx__json_end_object(w);
}

bool tkx__shape_elements(const int64_t *shape, size_t n_dims, size_t *count)
{
    *count = 1;
    for (size_t i = 0; i < n_dims; i++)
        if (shape[i] < 0 || !tkx__mul(*count, (size_t)shape[i], count))
            return false;
    return true;
}

/* Steps over an array that can hold only numbers, without reading them. */
static void step_over(tkx__json_reader *r, tkx__json_reader *data)
{
    const char *close;

    if (tkx__json_peek(r) != TKX__JSON_ARRAY) {
        tkx__json_fail(r, TKX_ERR_PARSE, "expected an array");
        return;
    }
    *data = *r;
    close = memchr(r->at, ']', (size_t)(r->end - r->at));
    if (!close) {
        tkx__json_fail(r, TKX_ERR_PARSE, "array without an end");
        return;
    }
    r->at = close + 1;
}

static void read_dtype(tkx__json_reader *r, tkx_dtype *dtype)
{
    tkx__json_text name;

    if (!tkx__json_read_text(r, &name))
        return;
    if (tkx__json_text_is(&name, "float32"))
        *dtype = TKX_DTYPE_FLOAT32;
    else if (tkx__json_text_is(&name, "int64"))
        *dtype = TKX_DTYPE_INT64;
    else
        tkx__json_fail(r, TKX_ERR_PARSE, "unknown dtype");
}

static void read_data(tkx__json_reader *r, tkx__json_reader *data, tkx_tensor *t)
{
    int64_t *ints = NULL;
    float *floats = NULL;

    if (r->status != TKX_OK)
        return;
    if (!data->begin || !t->dtype) {
        tkx__json_fail(r, TKX_ERR_PARSE, "a tensor needs data and dtype");
        return;
    }
    if (t->dtype == TKX_DTYPE_INT64) {
        tkx__json_read_i64s(data, &ints, &t->n_values);
        t->values.i64 = ints;
    } else {
        tkx__json_read_f32s(data, &floats, &t->n_values);
        t->values.f32 = floats;
    }
    if (data->status != TKX_OK) { /* with its own place in the text */
        r->at = data->at;
        tkx__json_fail(r, data->status, data->problem);
    }
}

static void check_counts(tkx__json_reader *r, const tkx_tensor *t)
{
    size_t count;

    if (r->status != TKX_OK || !t->has_shape)
        return;
    if (!tkx__shape_elements(t->shape, t->n_dims, &count))
        tkx__json_fail(r, TKX_ERR_PARSE, "impossible shape of a tensor");
    else if (!t->is_sparse && count != t->n_values)
        tkx__json_fail(r, TKX_ERR_PARSE, "shape and data of a tensor differ in size");
}

void tkx__tensor_read_json(tkx__json_reader *r, tkx_tensor *t)
{
    tkx__json_reader data = {0};
    tkx__json_text key;
    int64_t *list;

    memset(t, 0, sizeof *t);
    tkx__json_read_object(r);
    while (tkx__json_read_key(r, &key)) {
        if (tkx__json_text_is(&key, "data")) {
            step_over(r, &data);
        } else if (tkx__json_text_is(&key, "dtype")) {
            read_dtype(r, &t->dtype);
        } else if (tkx__json_take_null(r)) {
            continue;
        } else if (tkx__json_text_is(&key, "shape")) {
            t->has_shape = tkx__json_read_i64s(r, &list, &t->n_dims);
            t->shape = list;
        } else if (tkx__json_text_is(&key, "sparse_crow_indices")) {
            t->is_sparse = tkx__json_read_i64s(r, &list, &t->n_crow);
            t->crow = list;
        } else if (tkx__json_text_is(&key, "sparse_col_indices")) {
            tkx__json_read_i64s(r, &list, &t->n_col);
            t->col = list;
        } else {
            tkx__json_skip(r);
        }
    }
    read_data(r, &data, t);
    check_counts(r, t);
}
