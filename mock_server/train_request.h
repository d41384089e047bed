/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train_request.h - forward and forward_backward requests as the engine takes them.
 *
 * Two readers, JSON and protobuf, fill the same builder, so that a request means the same
 * in both forms.
 */
#ifndef MOCK_TRAIN_REQUEST_H
#define MOCK_TRAIN_REQUEST_H

#include "base/arena.h"
#include "mock_server/nn/train.h"

typedef struct train_request {
    const char *model_id; /* "" when absent */
    int64_t seq_id;       /* -1: none */
    bool is_forward_only;
    nn_datum *datums;
    size_t n_datums;
    size_t n_tokens; /* of all datums */
    nn_loss loss;
    const char *loss_id; /* of a custom loss, or NULL */
} train_request;

/*
 * Everything lives in arena; JSON text values borrow from body.
 * Errors: PARSE for malformed bodies, INVALID_ARGUMENT for what is well formed and wrong,
 *         naming the datum.
 */
tkx_status train_request_read(tkx__arena *arena, const char *body, size_t size,
                              bool is_proto, train_request *out, tkx_error **err);

/* The two readers (train_json.c, train_proto.c). */
tkx_status train_request_read_json(tkx__arena *arena, const char *body, size_t size,
                                   train_request *out, tkx_error **err);
tkx_status train_request_read_proto(tkx__arena *arena, const char *body, size_t size,
                                    train_request *out, tkx_error **err);

/* One tensor, dense or compressed by rows, before it finds its place in a datum. */
typedef struct train_tensor {
    bool is_int; /* int64 data, else float32 */
    const int64_t *ints;
    const float *floats;
    size_t n; /* elements in data */
    const int64_t *shape;
    size_t n_dims;
    bool has_shape;
    const int64_t *crow; /* sparse when not NULL */
    size_t n_crow;
    const int64_t *col;
    size_t n_col;
} train_tensor;

/* Put it where its name says. */
tkx_status train_datum_set(tkx__arena *arena, nn_datum *datum, size_t i, const char *name,
                           train_tensor *t, tkx_error **err);

#endif
