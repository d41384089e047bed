/* SPDX-License-Identifier: Apache-2.0 */
/* client/forward_body.h - one request of forward or forward_backward, and its output. */
#ifndef TKX_CLIENT_FORWARD_BODY_H
#define TKX_CLIENT_FORWARD_BODY_H

#include <tkx/types/forward_backward.h>

#include "api/operation.h"
#include "client/future.h"

/* Calls with fewer bytes are encoded on the loop thread. */
#define TKX__FORWARD_INLINE_BYTES ((size_t)64 << 10)

/* Maybe on a worker. */
tkx_status tkx__forward_body_encode(const tkx_forward_backward_request *request,
                                    tkx__encoding encoding, const tkx__site *site,
                                    tkx__encoded *out, tkx_error **err);

/* For operation specs: results are tkx_forward_backward_output. */
void *tkx__forward_decode(const tkx__payload *payload, void *arg, tkx_error **err);
void tkx__forward_free_output(void *result);

extern const tkx__result_type tkx__result_forward;

#endif
