/* SPDX-License-Identifier: Apache-2.0 */
/* types/forward_backward.h - the training request: JSON, protobuf in slices, sizes. */
#ifndef TKX_TYPES_FORWARD_BACKWARD_CODEC_H
#define TKX_TYPES_FORWARD_BACKWARD_CODEC_H

#include <sys/types.h>

#include <tkx/error.h>
#include <tkx/types/forward_backward.h>

#include "base/buf.h"

/* The JSON form; is_forward_route picks the key of the older /forward route. */
tkx_status tkx__forward_backward_encode_json(const tkx_forward_backward_request *request,
                                             bool is_forward_route, tkx__buf *buf,
                                             tkx_error **err);

/*
 * The protobuf form, read in slices straight from the caller's arrays: the framing is
 * laid out once, the arrays are copied only into the reader's slices.  The request and
 * all it points to are borrowed until the free.
 */
typedef struct tkx__forward_backward_body tkx__forward_backward_body;

tkx_status tkx__forward_backward_body_new(const tkx_forward_backward_request *request,
                                          tkx__forward_backward_body **out,
                                          tkx_error **err);
void tkx__forward_backward_body_free(tkx__forward_backward_body *body);
size_t tkx__forward_backward_body_size(const tkx__forward_backward_body *body);
/* Fits tkx__body.read: up to n bytes from offset, 0 at the end; any order, any repeat. */
ssize_t tkx__forward_backward_body_read(void *body, uint64_t offset, char *to, size_t n);
/* One zstd frame of the whole body, content size in its header.  For a worker thread. */
tkx_status tkx__forward_backward_body_compress(tkx__forward_backward_body *body,
                                               tkx__buf *buf, tkx_error **err);

#endif
