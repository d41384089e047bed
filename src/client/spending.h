/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/spending.h - tokens, costs and the budget of a context.
 *
 * A call reserves what it may use at most, under the address of its future; when it ends
 * the reservation becomes what it did use, or goes.  All functions accept a context that
 * counts nothing, and cost one test then.  Thread: any.
 */
#ifndef TKX_CLIENT_SPENDING_H
#define TKX_CLIENT_SPENDING_H

#include <tkx/future.h>
#include <tkx/spending.h>

#include "base/buf.h"

typedef struct tkx__spending tkx__spending;

typedef struct tkx__charge {
    int64_t n_tokens[TKX_N_TOKEN_KINDS];
} tkx__charge;

/* Errors: IO, NOT_FOUND, PARSE (the price file), INVALID_ARGUMENT. */
tkx_status tkx__spending_new(const tkx_spending_options *options, tkx__spending **out,
                             tkx_error **err);
void tkx__spending_free(tkx__spending *spending); /* accepts NULL */

/* model NULL: not known.  Errors: BUDGET, NO_MEMORY. */
tkx_status tkx__spending_reserve(tkx_context *context, const tkx_future *future,
                                 const char *model, const tkx__charge *charge,
                                 tkx_error **err);
/* It ended well.  What is below 0 in used was used as reserved; NULL: all of it. */
void tkx__spending_use(tkx_context *context, const tkx_future *future,
                       const tkx__charge *used);
/* It ended otherwise; nothing after tkx__spending_use(). */
void tkx__spending_drop(tkx_context *context, const tkx_future *future);

/* Append Prometheus text. */
void tkx__spending_write_text(tkx__spending *spending, tkx__buf *out);

#endif
