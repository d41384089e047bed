/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/status.h - what a call came to, as one number.
 *
 * A tkx_status says what kind of thing went wrong; the tkx_error beside it says what was
 * tried, on what, and what came back.
 */
#ifndef TKX_STATUS_H
#define TKX_STATUS_H

#include <tkx/export.h>

TKX_BEGIN_DECLS

typedef enum tkx_status {
    TKX_OK = 0,
    TKX_ERR_INVALID_ARGUMENT, /* the caller's input cannot be used or encoded */
    TKX_ERR_INVALID_STATE, /* right call, wrong moment: no result yet, or taken before */
    TKX_ERR_NO_MEMORY,
    TKX_ERR_IO,          /* a local file or descriptor; errno text in the message */
    TKX_ERR_NOT_FOUND,   /* a local thing that is not there */
    TKX_ERR_PARSE,       /* bytes that are not what they claim to be */
    TKX_ERR_UNSUPPORTED, /* understood, and not offered (architecture, server, build) */
    TKX_ERR_LIMIT,       /* a stated bound would be passed */
    TKX_ERR_BUSY,        /* a bounded queue is full */
    TKX_ERR_AUTH,        /* no usable credential, or 401 */
    TKX_ERR_BILLING,     /* 402 */
    TKX_ERR_PERMISSION,  /* 403 */
    TKX_ERR_CONNECTION,  /* no answer: resolve, connect, TLS, reset, cut body */
    TKX_ERR_TIMEOUT,     /* a deadline passed */
    TKX_ERR_HTTP,        /* any other final HTTP status; see tkx_error_http_status() */
    TKX_ERR_PROTOCOL,    /* an answer that breaks the protocol */
    TKX_ERR_REQUEST_FAILED, /* the service took the request, then failed it */
    TKX_ERR_PROMISE_GONE,   /* 410: the service forgot the promise; outcome unknown */
    TKX_ERR_SESSION_DEAD,   /* the service ended the session */
    TKX_ERR_CLIENT_BROKEN,  /* an earlier failed submit left a hole in the sequence */
    TKX_ERR_CANCELLED,
    TKX_ERR_CLOSED,       /* the context is closed, perhaps with this in flight */
    TKX_ERR_WOULD_BLOCK,  /* a blocking wait on the loop thread was refused */
    TKX_ERR_BREAKER_OPEN, /* not sent: the endpoint has failed too often, see
                             tkx/breaker.h */
    TKX_ERR_BUDGET,       /* not sent: it could pass the budget, see tkx/spending.h */
    TKX_N_STATUSES
} tkx_status;

/** The status's name, such as "TKX_ERR_TIMEOUT".  Thread: any.  Never NULL. */
TKX_API const char *tkx_status_name(tkx_status status);

TKX_END_DECLS
#endif
