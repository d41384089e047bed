/* SPDX-License-Identifier: Apache-2.0 */
/* types/retrieve_futures.h - session-wide polling of completions. */
#ifndef TKX_TYPES_RETRIEVE_FUTURES_CODEC_H
#define TKX_TYPES_RETRIEVE_FUTURES_CODEC_H

#include <tkx/error.h>
#include <tkx/types/common.h>

#include "base/buf.h"

typedef struct tkx__retrieve_futures_request {
    const char *sampling_session_id;
    int64_t cloned_sampler_id;
    int64_t prev_cursor;
    double timeout; /* seconds; NaN: the server's own */
    tkx_string_list retrieved_request_ids;
} tkx__retrieve_futures_request;

typedef struct tkx__completion {
    const char *state; /* "finished", "failed", or unknown */
    const char *request_id;
    int64_t payload_size; /* -1: not said */
} tkx__completion;

typedef struct tkx__retrieve_futures_answer {
    const tkx__completion *completions;
    size_t n_completions;
    int64_t cursor;
} tkx__retrieve_futures_answer;

tkx_status
tkx__retrieve_futures_request_encode_json(const tkx__retrieve_futures_request *request,
                                          tkx__buf *buf, tkx_error **err);
tkx_status tkx__retrieve_futures_answer_decode_json(const void *bytes, size_t size,
                                                    tkx__retrieve_futures_answer **out,
                                                    tkx_error **err);
void tkx__retrieve_futures_answer_free(tkx__retrieve_futures_answer *answer);

#endif
