/* SPDX-License-Identifier: Apache-2.0 */
/* types/forward_backward_in.h - sizes that the writer of the training request needs. */
#ifndef TKX_TYPES_FORWARD_BACKWARD_IN_H
#define TKX_TYPES_FORWARD_BACKWARD_IN_H

#include <tkx/error.h>
#include <tkx/types/forward_backward.h>

/* Everything that the writer assumes: texts, dtypes, kinds of chunk. */
tkx_status tkx__fb_check(const tkx_forward_backward_request *q, tkx_error **err);

/* Bytes of a message without its own tag and length. */
size_t tkx__fb_chunk_inner_size(const tkx_chunk *c); /* the one inside Chunk */
size_t tkx__fb_csr_size(const tkx_tensor *t);
size_t tkx__fb_shape_size(const tkx_tensor *t);
size_t tkx__fb_tensor_size(const tkx_tensor *t);
size_t tkx__fb_input_entry_size(const tkx_named_tensor *input);
size_t tkx__fb_span_inner_size(const tkx_span *s);
size_t tkx__fb_datum_size(const tkx_datum *d);
size_t tkx__fb_number_entry_size(const tkx_loss_setting *s);  /* field 5 */
size_t tkx__fb_setting_value_size(const tkx_loss_setting *s); /* field 7 */
size_t tkx__fb_setting_entry_size(const tkx_loss_setting *s);
size_t tkx__fb_request_size(const tkx_forward_backward_request *q);

#endif
