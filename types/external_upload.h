/* SPDX-License-Identifier: Apache-2.0 */
/* types/external_upload.h - codecs of the start and the end of an upload. */
#ifndef TKX_TYPES_EXTERNAL_UPLOAD_CODEC_H
#define TKX_TYPES_EXTERNAL_UPLOAD_CODEC_H

#include <tkx/types/external_upload.h>

#include "base/buf.h"

tkx_status
tkx__external_upload_request_encode_json(const tkx_external_upload_request *request,
                                         tkx__buf *buf, tkx_error **err);
tkx_status tkx__external_upload_decode_json(const void *bytes, size_t size,
                                            tkx_external_upload **out, tkx_error **err);
/* {"upload_id"} */
tkx_status tkx__external_upload_finish_encode_json(const char *upload_id, tkx__buf *buf,
                                                   tkx_error **err);
tkx_status tkx__external_upload_result_decode_json(const void *bytes, size_t size,
                                                   tkx_external_upload_result **out,
                                                   tkx_error **err);

#endif
