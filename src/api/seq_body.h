/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/seq_body.h - a small JSON request whose seq_id is written when its turn comes.
 *
 * The request is encoded in the calling thread, with everything it points to, and its
 * number is known only later.
 */
#ifndef TKX_API_SEQ_BODY_H
#define TKX_API_SEQ_BODY_H

#include "api/operation.h"
#include "base/buf.h"

#define TKX__SEQ_LATER INT64_MAX /* encode the request with this */

typedef struct tkx__seq_body {
    char *text; /* before the number, then behind it */
    size_t head_size, tail_size;
    char *complete; /* with the number, while it is being sent */
} tkx__seq_body;

/* Take an encoded request; the buffer is cleared in any case. */
tkx_status tkx__seq_body_init(tkx__seq_body *body, tkx__buf *encoded, tkx_error **err);
void tkx__seq_body_clear(tkx__seq_body *body);
tkx_status tkx__seq_body_encode(tkx__seq_body *body, const char *route, int64_t seq_id,
                                tkx__encoded *out, tkx_error **err);

#endif
