/* SPDX-License-Identifier: Apache-2.0 */
/* types/session.h - codecs of sessions, samplers and the search. */
#ifndef TKX_TYPES_SESSION_CODEC_H
#define TKX_TYPES_SESSION_CODEC_H

#include <tkx/types/session.h>

#include "base/buf.h"

tkx_status tkx__create_sampling_session_request_encode_json(
    const tkx_create_sampling_session_request *request, tkx__buf *buf, tkx_error **err);
tkx_status tkx__session_search_encode_json(const tkx_session_search *request,
                                           tkx__buf *buf, tkx_error **err);
tkx_status
tkx__create_sampling_session_result_decode_json(const void *bytes, size_t size,
                                                tkx_create_sampling_session_result **out,
                                                tkx_error **err);
tkx_status
tkx__join_sampling_session_result_decode_json(const void *bytes, size_t size,
                                              tkx_join_sampling_session_result **out,
                                              tkx_error **err);
tkx_status tkx__session_list_decode_json(const void *bytes, size_t size,
                                         tkx_session_list **out, tkx_error **err);
tkx_status tkx__session_info_decode_json(const void *bytes, size_t size,
                                         tkx_session_info **out, tkx_error **err);
tkx_status tkx__sampler_info_decode_json(const void *bytes, size_t size,
                                         tkx_sampler_info **out, tkx_error **err);
tkx_status tkx__trace_export_decode_json(const void *bytes, size_t size,
                                         tkx_trace_export **out, tkx_error **err);
tkx_status tkx__session_search_result_decode_json(const void *bytes, size_t size,
                                                  tkx_session_search_result **out,
                                                  tkx_error **err);

/* {"sampling_session_id", "type"} */
tkx_status tkx__join_sampling_session_encode_json(const char *sampling_session_id,
                                                  tkx__buf *buf, tkx_error **err);
/* {"project_id"} */
tkx_status tkx__session_project_encode_json(const char *project_id, tkx__buf *buf,
                                            tkx_error **err);

#endif
