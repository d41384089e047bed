/* SPDX-License-Identifier: Apache-2.0 */
/* types/service.h - codecs of configuration, capabilities and identity. */
#ifndef TKX_TYPES_SERVICE_CODEC_H
#define TKX_TYPES_SERVICE_CODEC_H

#include <tkx/types/service.h>

#include "base/buf.h"

tkx_status tkx__server_capabilities_decode_json(const void *bytes, size_t size,
                                                tkx_server_capabilities **out,
                                                tkx_error **err);
tkx_status tkx__health_decode_json(const void *bytes, size_t size, tkx_health **out,
                                   tkx_error **err);
tkx_status tkx__client_config_decode_json(const void *bytes, size_t size,
                                          tkx_client_config **out, tkx_error **err);
tkx_status tkx__client_dynamic_config_decode_json(const void *bytes, size_t size,
                                                  tkx_client_dynamic_config **out,
                                                  tkx_error **err);
tkx_status tkx__api_key_info_decode_json(const void *bytes, size_t size,
                                         tkx_api_key_info **out, tkx_error **err);

/* The values a server that says nothing means. */
tkx_client_config tkx__client_config_defaults(void);
tkx_client_dynamic_config tkx__client_dynamic_config_defaults(void);

/* {"sdk_version"} of client/config and client/dynamic_config. */
tkx_status tkx__client_config_encode_json(const char *sdk_version, tkx__buf *buf,
                                          tkx_error **err);

#endif
