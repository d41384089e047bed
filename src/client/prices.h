/* SPDX-License-Identifier: Apache-2.0 */
/* client/prices.h - the user's table of prices. */
#ifndef TKX_CLIENT_PRICES_H
#define TKX_CLIENT_PRICES_H

#include <stdbool.h>

#include <tkx/spending.h>

#include "base/arena.h"

typedef struct tkx__price {
    const char *model; /* "*": all others */
    bool has[TKX_N_TOKEN_KINDS];
    double per_token[TKX_N_TOKEN_KINDS];
} tkx__price;

typedef struct tkx__prices {
    tkx__arena arena;
    char currency[16];
    tkx__price *rows;
    size_t n_rows;
} tkx__prices;

/* Errors: IO, NOT_FOUND, PARSE. */
tkx_status tkx__prices_read(const char *path, tkx__prices *out, tkx_error **err);
void tkx__prices_clear(tkx__prices *prices);
/* The row of a model, or of all others; NULL: it has no price. */
const tkx__price *tkx__prices_find(const tkx__prices *prices, const char *model);

#endif
