/* SPDX-License-Identifier: Apache-2.0 */
/* types/tensor.h - tensors in JSON, and their sizes. */
#ifndef TKX_TYPES_TENSOR_CODEC_H
#define TKX_TYPES_TENSOR_CODEC_H

#include <tkx/types/tensor.h>

#include "json/reader.h"
#include "json/writer.h"

/* Bytes of one element: 4 or 8. */
size_t tkx__dtype_size(tkx_dtype dtype);
/* Values, and the indices of a sparse tensor; framing not counted. */
size_t tkx__tensor_bytes(const tkx_tensor *tensor);

void tkx__tensor_write_json(tkx__json_writer *w, const tkx_tensor *tensor);
/* The value at the reader; arrays in its arena. */
void tkx__tensor_read_json(tkx__json_reader *r, tkx_tensor *tensor);
/* The product of a shape; false when it is negative or overflows. */
bool tkx__shape_elements(const int64_t *shape, size_t n_dims, size_t *count);

#endif
