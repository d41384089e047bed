/* SPDX-License-Identifier: Apache-2.0 */
/* types/checkpoint.h - codecs of checkpoints and training runs. */
#ifndef TKX_TYPES_CHECKPOINT_CODEC_H
#define TKX_TYPES_CHECKPOINT_CODEC_H

#include <tkx/types/checkpoint.h>

#include "base/buf.h"

extern const struct tkx__schema tkx__checkpoint_schema;

tkx_status tkx__checkpoint_list_decode_json(const void *bytes, size_t size,
                                            tkx_checkpoint_list **out, tkx_error **err);
tkx_status tkx__training_run_decode_json(const void *bytes, size_t size,
                                         tkx_training_run **out, tkx_error **err);
tkx_status tkx__training_run_list_decode_json(const void *bytes, size_t size,
                                              tkx_training_run_list **out,
                                              tkx_error **err);
tkx_status tkx__archive_url_decode_json(const void *bytes, size_t size,
                                        tkx_archive_url **out, tkx_error **err);
tkx_status tkx__external_weights_urls_decode_json(const void *bytes, size_t size,
                                                  tkx_external_weights_urls **out,
                                                  tkx_error **err);

/* {"ttl_seconds"}; -1 sends the null that removes the expiry. */
tkx_status tkx__checkpoint_ttl_encode_json(int64_t ttl_seconds, tkx__buf *buf,
                                           tkx_error **err);

#endif
