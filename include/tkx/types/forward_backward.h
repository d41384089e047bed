/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/forward_backward.h - one forward or forward_backward request as it is sent.
 */
#ifndef TKX_TYPES_FORWARD_BACKWARD_H
#define TKX_TYPES_FORWARD_BACKWARD_H

#include <tkx/types/datum.h>
#include <tkx/types/loss.h>

TKX_BEGIN_DECLS

typedef struct tkx_forward_backward_request {
    const char *model_id;
    int64_t seq_id; /* from 1; 32 bits in protobuf */
    bool is_forward_only;
    tkx_loss loss;
    const tkx_datum *data;
    size_t n_data;
} tkx_forward_backward_request;

TKX_END_DECLS
#endif
