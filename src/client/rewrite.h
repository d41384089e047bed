/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/rewrite.h - the same request for another model.
 *
 * Only the members that say which model and which number are replaced; every other byte
 * stays as it was written.  Any thread.
 */
#ifndef TKX_CLIENT_REWRITE_H
#define TKX_CLIENT_REWRITE_H

#include <stdbool.h>

#include "base/buf.h"

typedef struct tkx__rewrite {
    const char *model_id; /* NULL: left as it is */
    int64_t seq_id;       /* -1: left */
    const char *session_id;
    int64_t model_seq_id;
} tkx__rewrite;

/* A JSON object; members that are not there are not added. */
tkx_status tkx__rewrite_json(const char *text, size_t size, const tkx__rewrite *to,
                             tkx__buf *out, tkx_error **err);
/* A ForwardBackwardRequest: model_id and seq_id. */
tkx_status tkx__rewrite_proto(const char *bytes, size_t size, const tkx__rewrite *to,
                              tkx__buf *out, tkx_error **err);

#endif
