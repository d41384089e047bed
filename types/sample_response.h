/* SPDX-License-Identifier: Apache-2.0 */
/* types/sample_response.h - decoders of the sample result. */
#ifndef TKX_TYPES_SAMPLE_RESPONSE_CODEC_H
#define TKX_TYPES_SAMPLE_RESPONSE_CODEC_H

#include <tkx/types/sample.h>
#include <tkx/types/sample_response.h>

tkx_status tkx__sample_response_decode_json(const void *bytes, size_t size,
                                            tkx_sample_response **out, tkx_error **err);

tkx_status tkx__sample_response_decode_proto(const void *bytes, size_t size,
                                             tkx_sample_response **out, tkx_error **err);
/* Put the ids of the submit's answer on the sequences, as many as there are (copied). */
tkx_status tkx__sample_response_set_ids(tkx_sample_response *response,
                                        const tkx_string_list *ids, tkx_error **err);
/* Did the server do what it was asked?  PROTOCOL when an extra is missing or ignored. */
tkx_status tkx__sample_response_check(const tkx_sample_response *response,
                                      const tkx_sample_request *request, tkx_error **err);

#endif
