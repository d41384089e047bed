/* SPDX-License-Identifier: Apache-2.0 */
/* types/model.h - codecs of create_model and get_info. */
#ifndef TKX_TYPES_MODEL_CODEC_H
#define TKX_TYPES_MODEL_CODEC_H

#include <tkx/types/model.h>

#include "base/buf.h"

extern const struct tkx__schema tkx__lora_config_schema;

tkx_status tkx__create_model_request_encode_json(const tkx_create_model_request *request,
                                                 tkx__buf *buf, tkx_error **err);
tkx_status tkx__create_model_result_decode_json(const void *bytes, size_t size,
                                                tkx_create_model_result **out,
                                                tkx_error **err);
tkx_status tkx__model_info_decode_json(const void *bytes, size_t size,
                                       tkx_model_info **out, tkx_error **err);

/* {"model_id", "type"} for get_info and unload_model. */
tkx_status tkx__model_id_encode_json(const char *model_id, const char *type,
                                     tkx__buf *buf, tkx_error **err);

#endif
