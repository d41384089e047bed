/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model/tensor.h - a named array inside a file, and a table of them found by name.
 *
 * dims are outermost first (row-major), as safetensors writes them; the GGUF reader turns
 * its own order round.  data points into memory owned by whoever made the table and may
 * be unaligned; the readers have checked that size_bytes bytes lie there.
 */
#ifndef TKX_MODEL_TENSOR_H
#define TKX_MODEL_TENSOR_H

#include <tkx/error.h>

#include "model/dtype.h"

#define TKX__TENSOR_MAX_DIMS 8

typedef struct tkx__tensor {
    const char *name; /* owned by the table's owner */
    tkx__dtype dtype;
    size_t n_dims; /* 0: a scalar */
    size_t dims[TKX__TENSOR_MAX_DIMS];
    size_t n_elements;
    const void *data;
    size_t size_bytes;
} tkx__tensor;

/* A growing list; tkx__tensors_index() sorts it and makes it searchable. */
typedef struct tkx__tensors {
    tkx__tensor *items;
    size_t n;
    size_t capacity;
} tkx__tensors;

tkx_status tkx__tensors_append(tkx__tensors *table, const tkx__tensor *tensor,
                               tkx_error **err);
/* Sort by name; PARSE when two have the same name. */
tkx_status tkx__tensors_index(tkx__tensors *table, const char *what, tkx_error **err);
/* NULL: no such tensor. */
const tkx__tensor *tkx__tensors_find(const tkx__tensors *table, const char *name);
void tkx__tensors_clear(tkx__tensors *table);

/* n_elements and size_bytes from dtype and dims; false on overflow or when a row is no
   whole number of blocks. */
bool tkx__tensor_measure(tkx__tensor *tensor);

/* "[3, 64]" into out, cut to size. */
void tkx__tensor_shape_text(const size_t *dims, size_t n_dims, char *out, size_t size);

/*
 * Decode elements [first, first + n) to float32.  first and n are whole numbers of
 * blocks. For weight types (dtype.h) and F64, I32, I64; UNSUPPORTED otherwise.
 */
tkx_status tkx__tensor_to_f32(const tkx__tensor *tensor, size_t first, size_t n,
                              float *out, tkx_error **err);

#endif
