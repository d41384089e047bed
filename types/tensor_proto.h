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
/* A repeated int64, which may come packed, bare, or in pieces of both kinds. */
typedef struct tkx__proto_ints {
    int64_t *items;
    size_t count;
    size_t room;
} tkx__proto_ints;

static inline bool tkx__proto_is_ints(const tkx__wire_field *f, unsigned number)
{
    return f->number == number &&
           (f->wire == TKX__WIRE_LEN || f->wire == TKX__WIRE_VARINT);
}
bool tkx__proto_add_ints(tkx__proto *p, const tkx__wire_field *field,
                         tkx__proto_ints *list);

/* Bytes of one element of a dtype on the wire; 0 for one that cannot be read. */
size_t tkx__wire_dtype_size(uint64_t wire_dtype);
/* Elements in wire_dtype to ours: BFLOAT16 becomes FLOAT32, INT32 becomes INT64. */
bool tkx__proto_elements(tkx__proto *p, uint64_t wire_dtype, const char *bytes,
                         size_t size, tkx_dtype *dtype, const void **values,
                         size_t *count);

/* The parts of a message Tensor, dense or CSR.  A message that comes in pieces merges, so
   they are gathered first ({0} before the first piece) and built once. */
typedef struct tkx__raw_tensor {
    bool is_given;
    bool is_sparse;
    tkx__wire_field values; /* size 0: empty or missing */
    tkx__wire_field crow;
    tkx__wire_field col;
    tkx__proto_ints shape;
    uint64_t dtype;
} tkx__raw_tensor;

bool tkx__tensor_gather(tkx__proto *p, const tkx__wire_field *message,
                        tkx__raw_tensor *raw);
bool tkx__tensor_build(tkx__proto *p, const tkx__raw_tensor *raw, tkx_tensor *tensor);

#endif
