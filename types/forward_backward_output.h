/* SPDX-License-Identifier: Apache-2.0 */
/* types/forward_backward_output.h - decoders of the training result, and joining
   chunks. */
#ifndef TKX_TYPES_FORWARD_BACKWARD_OUTPUT_CODEC_H
#define TKX_TYPES_FORWARD_BACKWARD_OUTPUT_CODEC_H

#include <tkx/error.h>
#include <tkx/types/forward_backward_output.h>

tkx_status tkx__forward_backward_output_decode_json(const void *bytes, size_t size,
                                                    tkx_forward_backward_output **out,
                                                    tkx_error **err);

tkx_status tkx__forward_backward_output_decode_proto(const void *bytes, size_t size,
                                                     tkx_forward_backward_output **out,
                                                     tkx_error **err);
/*
 * One output of several chunks, in order.  Every part is taken (freed or kept alive
 * inside), also on failure; one part comes back as it is.  Metrics are reduced by their
 * suffix.
 */
tkx_status tkx__forward_backward_output_join(tkx_forward_backward_output **parts,
                                             size_t n_parts,
                                             tkx_forward_backward_output **out,
                                             tkx_error **err);

#endif
