/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/auth_exchange.h - one run of the credential command and one POST auth/token.
 */
#ifndef TKX_API_AUTH_EXCHANGE_H
#define TKX_API_AUTH_EXCHANGE_H

#include "api/auth.h"

typedef struct tkx__auth_exchange tkx__auth_exchange;

typedef struct tkx__exchange_spec {
    const char *command; /* outlives the exchange; NULL: use key */
    tkx__secret *key;
    bool key_only; /* the command's output is what is wanted, no token */
} tkx__exchange_spec;

typedef struct tkx__exchange_result {
    tkx_error *error;       /* the receiver's */
    tkx__secret *token;     /* the receiver's */
    int64_t iat_ms, exp_ms; /* 0: not readable */
    bool is_key_only;
} tkx__exchange_result;

typedef void tkx__exchange_fn(void *arg, tkx__exchange_result *result);

tkx_status tkx__auth_exchange_start(tkx__site *site, const tkx__exchange_spec *spec,
                                    tkx__exchange_fn *fn, void *arg,
                                    tkx__auth_exchange **out, tkx_error **err);
/* fn will not run.  Accepts NULL. */
void tkx__auth_exchange_cancel(tkx__auth_exchange *exchange);

#endif
