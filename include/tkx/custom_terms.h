/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/custom_terms.h - ready-made custom losses with their gradients, to be summed, and a
 * check of any custom loss against differences.
 *
 * In all terms l is a log-probability, w the datum's "weights" (1 where it has none) and
 * q its "logprobs", those of a reference (needed by DPO and KL).
 */
#ifndef TKX_CUSTOM_TERMS_H
#define TKX_CUSTOM_TERMS_H

#include <tkx/custom_loss.h>

TKX_BEGIN_DECLS

typedef enum tkx_custom_term_kind {
    TKX_TERM_NLL = 0, /* sum of -w l */
    TKX_TERM_DPO,     /* datums in pairs, the better one first: -log sigmoid(beta d), d =
                         the difference of their sums of w (l - q) */
    TKX_TERM_KL,      /* to the reference: sum of w (exp(q - l) - (q - l) - 1) */
    TKX_TERM_ENTROPY, /* of what the targets cover: sum of w exp(l) l, minus the
                         entropy */
    TKX_TERM_L1,      /* sum of w |l| */
    TKX_TERM_L2,      /* sum of w l^2 */
    TKX_N_TERMS
} tkx_custom_term_kind;

typedef struct tkx_custom_term {
    tkx_custom_term_kind kind;
    double coefficient;
    double beta; /* DPO; 0: 0.1 */
} tkx_custom_term;

typedef struct tkx_custom_terms {
    const tkx_custom_term *terms;
    size_t n_terms;
} tkx_custom_terms;

/**
 * A tkx_custom_loss_fn: the sum of the terms, each times its coefficient.  Each term's
 * own sum is a metric, such as "dpo:sum".
 *
 * Thread:    as for any tkx_custom_loss_fn.
 * Ownership: @p user_data is a const tkx_custom_terms.
 */
TKX_API int tkx_custom_terms_loss(tkx_custom_item *items, size_t n_items,
                                  tkx_custom_report *report, void *user_data);

/**
 * Compare the gradients of a custom loss with differences of its value, for tests of
 * one's own loss: it runs twice for each log-probability.
 *
 * Thread:    any; calls @p fn here.
 * Shapes:    items[n_items]; their gradients are overwritten.
 * Units:     @p step in log-probability (0: 1e-3); @p max_error is the largest
 *            |g - difference| / (1 + |g|).
 * Errors:    INVALID_ARGUMENT when @p fn fails, NO_MEMORY.
 */
TKX_API tkx_status tkx_custom_loss_check(tkx_custom_loss_fn *fn, tkx_custom_item *items,
                                         size_t n_items, void *user_data, double step,
                                         double *max_error, tkx_error **err);

TKX_END_DECLS
#endif
