/* SPDX-License-Identifier: Apache-2.0 */
/* types/checkpoint_search.h - codecs of the search for checkpoints. */
#ifndef TKX_TYPES_CHECKPOINT_SEARCH_CODEC_H
#define TKX_TYPES_CHECKPOINT_SEARCH_CODEC_H

#include <tkx/types/checkpoint_search.h>

#include "base/buf.h"

tkx_status tkx__checkpoint_search_encode_json(const tkx_checkpoint_search *request,
                                              tkx__buf *buf, tkx_error **err);
tkx_status tkx__checkpoint_search_result_decode_json(const void *bytes, size_t size,
                                                     tkx_checkpoint_search_result **out,
                                                     tkx_error **err);

#endif
