/* SPDX-License-Identifier: Apache-2.0 */
/* types/service.h - decoders of capabilities and identity. */
#ifndef TKX_TYPES_SERVICE_CODEC_H
#define TKX_TYPES_SERVICE_CODEC_H

#include <tkx/error.h>
#include <tkx/types/service.h>

tkx_status tkx__server_capabilities_decode_json(const void *bytes, size_t size,
                                                tkx_server_capabilities **out,
                                                tkx_error **err);
tkx_status tkx__health_decode_json(const void *bytes, size_t size, tkx_health **out,
                                   tkx_error **err);
tkx_status tkx__api_key_info_decode_json(const void *bytes, size_t size,
                                         tkx_api_key_info **out, tkx_error **err);

/* The claims of a token (the JSON in its middle part). */
tkx_status tkx__identity_decode_json(const void *bytes, size_t size, tkx_identity **out,
                                     tkx_error **err);

#endif
