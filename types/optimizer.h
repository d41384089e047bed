/* SPDX-License-Identifier: Apache-2.0 */
/* types/optimizer.h - codecs of optim_step. */
#ifndef TKX_TYPES_OPTIMIZER_CODEC_H
#define TKX_TYPES_OPTIMIZER_CODEC_H

#include <tkx/types/optimizer.h>

#include "base/buf.h"

tkx_status tkx__optim_step_request_encode_json(const tkx_optim_step_request *request,
                                               tkx__buf *buf, tkx_error **err);
tkx_status tkx__optim_step_result_decode_json(const void *bytes, size_t size,
                                              tkx_optim_step_result **out,
                                              tkx_error **err);

#endif
