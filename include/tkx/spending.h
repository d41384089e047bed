/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/spending.h - tokens and what they cost, and a budget that stops before submission.
 *
 * Prices are yours: a JSON file, for instance
 *
 *     {"currency": "USD", "per_tokens": 1000000,
 *      "models": {"Qwen/Qwen3-8B": {"prefill": 0.1, "sample": 0.3, "train": 0.3},
 *                 "*": {"prefill": 1, "sample": 1, "train": 1, "forward": 1}}}
 *
 * where "*" stands for models that are not named.  What has no price is counted without
 * one.  Counted is what this process asked for and got: prompts and completions of
 * samples that ended well, datums of forward and backward passes.  The service's own
 * bill, caches and discounts are not known here.
 */
#ifndef TKX_SPENDING_H
#define TKX_SPENDING_H

#include <tkx/context.h>

TKX_BEGIN_DECLS

/* Given in tkx_context_options.  Start from TKX_SPENDING_OPTIONS_INIT.  Everything is
   copied. */
typedef struct tkx_spending_options {
    size_t struct_size;
    const char *prices_path; /* NULL: tokens are counted, costs are not */
    int64_t max_tokens;      /* of all kinds together; 0: no limit */
    double max_cost;         /* in the currency of the prices; 0: no limit */
} tkx_spending_options;

#define TKX_SPENDING_OPTIONS_INIT                                                        \
    {                                                                                    \
        .struct_size = sizeof(tkx_spending_options)                                      \
    }

/* What tokens were used for. */
typedef enum tkx_token_kind {
    TKX_TOKENS_PREFILL = 0, /* prompts of samples */
    TKX_TOKENS_SAMPLE,      /* generated */
    TKX_TOKENS_TRAIN,       /* forward and backward */
    TKX_TOKENS_FORWARD,     /* forward alone */
    TKX_N_TOKEN_KINDS
} tkx_token_kind;

/* Start from TKX_SPENDING_INFO_INIT. */
typedef struct tkx_spending_info {
    size_t struct_size;
    int64_t n_tokens[TKX_N_TOKEN_KINDS];
    double cost;             /* of those that have a price */
    int64_t n_unpriced;      /* tokens without one */
    int64_t reserved_tokens; /* for calls in flight: what they may use at most */
    double reserved_cost;
    uint64_t n_refused; /* calls that the budget stopped */
    char currency[16];  /* "" without prices */
} tkx_spending_info;

#define TKX_SPENDING_INFO_INIT                                                           \
    {                                                                                    \
        .struct_size = sizeof(tkx_spending_info)                                         \
    }

/**
 * What has been used so far.
 *
 * A call that could pass a limit fails with TKX_ERR_BUDGET in the caller's thread, before
 * anything is sent: what is used, what calls in flight may still use, and what this one
 * may use (prompt, and max_tokens for each sequence; a sample without max_tokens counts
 * its prompt only) must fit.  With max_cost a model without a price is refused.
 *
 * Thread:    any.
 * Errors:    INVALID_STATE (the context counts no spending), INVALID_ARGUMENT (a struct
 *            without its size).
 */
TKX_API tkx_status tkx_spending_look(const tkx_context *context, tkx_spending_info *info,
                                     tkx_error **err);

/** "prefill", "sample", "train" or "forward".  Thread: any. */
TKX_API const char *tkx_token_kind_name(tkx_token_kind kind);

TKX_END_DECLS
#endif
