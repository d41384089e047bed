/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/types/custom_loss.h - a loss that the server runs, uploaded as a graph.
 */
#ifndef TKX_TYPES_CUSTOM_LOSS_H
#define TKX_TYPES_CUSTOM_LOSS_H

#include <tkx/types/common.h>

TKX_BEGIN_DECLS

typedef struct tkx_custom_loss_input {
    const char *name;
    int64_t rank; /* 0 to 2; the first input is "logprobs" */
} tkx_custom_loss_input;

typedef struct tkx_create_custom_loss_request {
    const char *session_id;
    int64_t custom_loss_seq_id; /* from 0, for each session */
    const char *name;
    const tkx_custom_loss_input *inputs;
    size_t n_inputs;
    const char *graph_json; /* {"format": 1, "nodes": [...]}, sent as it is */
    tkx_json_member_list extra_json;
} tkx_create_custom_loss_request;

typedef struct tkx_create_custom_loss_result {
    const char *loss_id; /* the setting "loss_id" of the loss "custom" */
} tkx_create_custom_loss_result;

TKX_API void tkx_create_custom_loss_result_free(tkx_create_custom_loss_result *result);

TKX_END_DECLS
#endif
