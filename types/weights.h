/* SPDX-License-Identifier: Apache-2.0 */
/* types/weights.h - codecs of saving, loading and copying checkpoints. */
#ifndef TKX_TYPES_WEIGHTS_CODEC_H
#define TKX_TYPES_WEIGHTS_CODEC_H

#include <tkx/types/weights.h>

#include "base/buf.h"

tkx_status tkx__save_weights_request_encode_json(const tkx_save_weights_request *request,
                                                 tkx__buf *buf, tkx_error **err);
tkx_status tkx__save_weights_for_sampler_request_encode_json(
    const tkx_save_weights_for_sampler_request *request, tkx__buf *buf, tkx_error **err);
tkx_status tkx__save_weights_external_request_encode_json(
    const tkx_save_weights_external_request *request, tkx__buf *buf, tkx_error **err);
tkx_status tkx__load_weights_request_encode_json(const tkx_load_weights_request *request,
                                                 tkx__buf *buf, tkx_error **err);
tkx_status tkx__copy_weights_request_encode_json(const tkx_copy_weights_request *request,
                                                 tkx__buf *buf, tkx_error **err);
tkx_status tkx__save_weights_result_decode_json(const void *bytes, size_t size,
                                                tkx_save_weights_result **out,
                                                tkx_error **err);
tkx_status tkx__load_weights_result_decode_json(const void *bytes, size_t size,
                                                tkx_load_weights_result **out,
                                                tkx_error **err);
tkx_status tkx__copy_weights_result_decode_json(const void *bytes, size_t size,
                                                tkx_copy_weights_result **out,
                                                tkx_error **err);
tkx_status tkx__weights_info_decode_json(const void *bytes, size_t size,
                                         tkx_weights_info **out, tkx_error **err);

/* {"tinker_path"} */
tkx_status tkx__weights_info_encode_json(const char *tinker_path, tkx__buf *buf,
                                         tkx_error **err);

#endif
