/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/http_error.h - turn an HTTP answer into a tkx_error.
 */
#ifndef TKX_API_HTTP_ERROR_H
#define TKX_API_HTTP_ERROR_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/io.h"

/* What was being tried, for the text. */
typedef struct tkx__attempt {
    const char *what; /* "optim_step" */
    const char *url;
    /* Never repeated in the text, even if the server echoes them: what was sent, and the
       key that a token was made from.  NULL: none. */
    const char *secret;
    const char *key;
    const char *request_id;
    int64_t seq_id;
    bool is_final; /* the same again would not help, whatever the status says */
    int n_sends;
    int64_t elapsed_ms;
    const char *trace_id; /* NULL: none */
} tkx__attempt;

/* AUTH, BILLING, PERMISSION or HTTP, with the facts; returns that status. */
tkx_status tkx__fail_http(tkx_error **err, const tkx__attempt *attempt,
                          const tkx__reply *reply);
/* CONNECTION, TIMEOUT or LIMIT from reply->error, which becomes the cause. */
tkx_status tkx__fail_link(tkx_error **err, const tkx__attempt *attempt,
                          const tkx__reply *reply);

/* Append what the server says in an error body (detail, error, message, or raw text). */
void tkx__server_message(tkx__buf *out, const char *body, size_t size);

/* True for a body that is a JSON object with a "detail" in it: no proxy made it. */
int tkx__body_has_detail(const char *body, size_t size);

#endif
