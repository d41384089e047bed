/* SPDX-License-Identifier: Apache-2.0 */
/* sample_request.h - the body of asample as the engine takes it. */
#ifndef MOCK_SAMPLE_REQUEST_H
#define MOCK_SAMPLE_REQUEST_H

#include "base/buf.h"
#include "mock_server/jv.h"
#include "mock_server/nn/sample.h"
#include "mock_server/options.h"

typedef struct sample_request {
    nn_sample_request nn;
    bool has_seed;
    /* target_prompt_logprobs in the layout of the request */
    bool is_sparse;
    const int64_t *crow; /* [n_prompt] */
    size_t n_crow;
    const int64_t *col;
    size_t n_col;
} sample_request;

/*
 * Everything lives in arena and in body.  Errors: PARSE for a malformed body,
 * INVALID_ARGUMENT for values out of range; both name the member.
 */
tkx_status sample_request_read(tkx__arena *arena, const jv *body, mock_dialect dialect,
                               sample_request *out, tkx_error **err);

/* SampleResponse in both forms; appended, check the buffers' status. */
void sample_result_json(const sample_request *request, const nn_sample_result *result,
                        mock_dialect dialect, tkx__buf *out);
void sample_result_proto(const sample_request *request, const nn_sample_result *result,
                         mock_dialect dialect, tkx__buf *out);

#endif
