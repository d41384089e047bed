/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/unordered.h - an operation that stands outside of a model's order: one request
 * without a number, then its promise.
 */
#ifndef TKX_CLIENT_UNORDERED_H
#define TKX_CLIENT_UNORDERED_H

#include "base/buf.h"
#include "client/task.h"

typedef struct tkx__unordered_spec {
    const char *what, *route, *request_type, *sdk_method; /* static */
    const tkx__result_type *result;
    /* NULL: whatever the answer says, the future has no result. */
    void *(*decode)(const tkx__payload *payload, void *arg, tkx_error **err);
    void (*free_result)(void *result);
    bool is_optional; /* a service without the route is not at fault */
    /* Write the request, on the loop thread, when the session is live; NULL: encoded
       holds it already. */
    tkx_status (*write)(void *arg, tkx_service *service, tkx__buf *buf, tkx_error **err);
    void (*free_arg)(void *arg);
} tkx__unordered_spec;

/* encoded and arg are taken; either may be NULL.  spec is static.  timeout_ms 0: the
   context's. */
tkx_status tkx__unordered_run(tkx_service *service, const tkx__unordered_spec *spec,
                              tkx__buf *encoded, void *arg, int64_t timeout_ms,
                              tkx_future **out, tkx_error **err);

#endif
