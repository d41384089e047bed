/* SPDX-License-Identifier: Apache-2.0 */
/*
 * types/tensor_proto.h - arrays out of protobuf blobs, aligned and in our two dtypes.
 */
#ifndef TKX_TYPES_TENSOR_PROTO_H
#define TKX_TYPES_TENSOR_PROTO_H

#include <tkx/error.h>
#include <tkx/types/tensor.h>

#include "base/arena.h"
#include "types/proto_wire.h"

/* What a decoder of protobuf carries along; the first failure stays. */
typedef struct tkx__proto {
    tkx__arena *arena;
    tkx_status status;
    const char *problem; /* static text */
} tkx__proto;

bool tkx__proto_fail(tkx__proto *p, tkx_status status, const char *problem);
tkx_status tkx__proto_status(const tkx__proto *p, const char *what, tkx_error **err);

/* Copies of blobs, aligned.  count * size bytes must be all of the blob. */
bool tkx__proto_i32s(tkx__proto *p, const tkx__wire_field *blob, const int32_t **values,
                     size_t *count);
bool tkx__proto_i64s(tkx__proto *p, const tkx__wire_field *blob, const int64_t **values,
                     size_t *count);
bool tkx__proto_f32s(tkx__proto *p, const tkx__wire_field *blob, const float **values,
                     size_t *count);
/* A NUL-terminated copy; invalid UTF-8 fails. */
bool tkx__proto_text(tkx__proto *p, const tkx__wire_field *field, const char **text);
/* A packed list of int64, appended to nothing: one field holds all. */
bool tkx__proto_packed(tkx__proto *p, const tkx__wire_field *field,
                       const int64_t **values, size_t *count);

/* Bytes of one element of a dtype on the wire; 0 for one that cannot be read. */
size_t tkx__wire_dtype_size(uint64_t wire_dtype);
/* Elements in wire_dtype to ours: BFLOAT16 becomes FLOAT32, INT32 becomes INT64. */
bool tkx__proto_elements(tkx__proto *p, uint64_t wire_dtype, const char *bytes,
                         size_t size, tkx_dtype *dtype, const void **values,
                         size_t *count);

/* The message Tensor, dense or CSR. */
bool tkx__tensor_read_proto(tkx__proto *p, const tkx__wire_field *message,
                            tkx_tensor *tensor);

#endif
