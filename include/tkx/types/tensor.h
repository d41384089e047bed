/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/tensor.h - numbers with a shape, dense or sparse by rows (CSR).
 *
 * The library sends what it is given: shapes and element counts are checked only as far
 * as encoding needs it.
 */
#ifndef TKX_TYPES_TENSOR_H
#define TKX_TYPES_TENSOR_H

#include <string.h>

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef enum tkx_dtype { TKX_DTYPE_FLOAT32 = 1, TKX_DTYPE_INT64 = 2 } tkx_dtype;

typedef struct tkx_tensor {
    tkx_dtype dtype;
    bool is_sparse;
    bool has_shape;       /* false: one dimension of n_values */
    size_t n_dims;        /* 0 with a shape: a scalar */
    const int64_t *shape; /* [n_dims] */
    size_t n_values;
    union {
        const float *f32;   /* [n_values], row-major */
        const int64_t *i64; /* [n_values] */
        const void *any;
    } values;
    /* Sparse: values[k] stands in column col[k]; row r has k from crow[r] to
       crow[r + 1]. */
    const int64_t *crow; /* [n_crow], rows + 1 */
    size_t n_crow;
    const int64_t *col; /* [n_col], n_values */
    size_t n_col;
} tkx_tensor;

/* A dense tensor of one dimension over the caller's numbers (borrowed). */
static inline tkx_tensor tkx_tensor_f32(const float *values, size_t n_values)
{
    tkx_tensor tensor;

    memset(&tensor, 0, sizeof tensor);
    tensor.dtype = TKX_DTYPE_FLOAT32;
    tensor.n_values = n_values;
    tensor.values.f32 = values;
    return tensor;
}

static inline tkx_tensor tkx_tensor_i64(const int64_t *values, size_t n_values)
{
    tkx_tensor tensor;

    memset(&tensor, 0, sizeof tensor);
    tensor.dtype = TKX_DTYPE_INT64;
    tensor.n_values = n_values;
    tensor.values.i64 = values;
    return tensor;
}

typedef struct tkx_named_tensor {
    const char *name;
    tkx_tensor tensor;
} tkx_named_tensor;

TKX_END_DECLS
#endif
