/* SPDX-License-Identifier: Apache-2.0 */
/* types/custom_loss.h - codecs of create_custom_loss. */
#ifndef TKX_TYPES_CUSTOM_LOSS_CODEC_H
#define TKX_TYPES_CUSTOM_LOSS_CODEC_H

#include <tkx/types/custom_loss.h>

#include "base/buf.h"

tkx_status
tkx__create_custom_loss_request_encode_json(const tkx_create_custom_loss_request *request,
                                            tkx__buf *buf, tkx_error **err);
tkx_status tkx__create_custom_loss_result_decode_json(const void *bytes, size_t size,
                                                      tkx_create_custom_loss_result **out,
                                                      tkx_error **err);

#endif
