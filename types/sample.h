/* SPDX-License-Identifier: Apache-2.0 */
/* types/sample.h - codec of the sample request, and its size. */
#ifndef TKX_TYPES_SAMPLE_CODEC_H
#define TKX_TYPES_SAMPLE_CODEC_H

#include <tkx/types/sample.h>

#include "base/buf.h"

tkx_status tkx__sample_request_encode_json(const tkx_sample_request *request,
                                           tkx__buf *buf, tkx_error **err);
/* The same text without the value of "prompt", which belongs at offset prompt_at. */
tkx_status tkx__sample_request_encode_around(const tkx_sample_request *request,
                                             tkx__buf *buf, size_t *prompt_at,
                                             tkx_error **err);

/* Bytes the dispatch budget counts for a prompt: 10 per token, raw length of the rest. */
size_t tkx__model_input_sample_bytes(const tkx_model_input *input);

#endif
