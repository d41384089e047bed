/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/exchange.h - a call whose answer is its result: get_info, create_sampling_session
 * and the REST routes.  Loop thread only.
 */
#ifndef TKX_API_EXCHANGE_H
#define TKX_API_EXCHANGE_H

#include "api/call.h"
#include "api/poll.h"
#include "base/buf.h"

typedef struct tkx__exchange_call {
    tkx__call_spec call; /* body is set by the exchange; route is copied */
    tkx__buf *body;      /* taken; NULL: none */
    void *(*decode)(const tkx__payload *payload, void *arg, tkx_error **err);
} tkx__exchange_call;

/* The end, told once.  Both are the receiver's; also when the site closes. */
typedef void tkx__answer_fn(void *arg, void *result, tkx_error *error);

/* The body is taken in any case.  What has been started ends with its answer or with the
   site. */
tkx_status tkx__exchange_start(tkx__site *site, const tkx__exchange_call *spec,
                               tkx__answer_fn *fn, void *arg, tkx_error **err);

#endif
