/* SPDX-License-Identifier: Apache-2.0 */
/* types/telemetry.h - codec of telemetry batches. */
#ifndef TKX_TYPES_TELEMETRY_CODEC_H
#define TKX_TYPES_TELEMETRY_CODEC_H

#include <tkx/types/telemetry.h>

#include "base/buf.h"

tkx_status tkx__telemetry_request_encode_json(const tkx_telemetry_request *request,
                                              tkx__buf *buf, tkx_error **err);

#endif
