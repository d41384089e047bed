/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer/sample.h - from a row of logits to a token.
 *
 * Order: local extras, temperature, top-k, top-p on what top-k left; then one draw of
 * SplitMix64 against cumulative probabilities summed in double over ascending ids.
 * Temperature 0 takes the largest logit, the lowest id on ties, and draws nothing.
 *
 * Thread: one at a time per sampler.  No allocation after tkx__token_sampler_new().
 */
#ifndef TKX_INFER_SAMPLE_H
#define TKX_INFER_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tkx/error.h>

#include "infer/kernels/kernels.h"

typedef enum tkx__logprob_mode {
    TKX__LOGPROB_RAW = 0,  /* log softmax of the logits */
    TKX__LOGPROB_TEMPERED, /* of logits / temperature */
    TKX__LOGPROB_FILTERED  /* of what the filters left */
} tkx__logprob_mode;

/* Controls that the service does not have; zero means off. */
typedef struct tkx__sample_extras {
    float min_p;              /* drop tokens below min_p times the best probability */
    float repetition_penalty; /* > 0: divide (positive) or multiply (negative) logits */
    float frequency_penalty;  /* subtract count * penalty */
    float presence_penalty;   /* subtract penalty when the token occurred */
    const int64_t *bias_ids;  /* [n_bias], borrowed; added to the logits */
    const float *bias_values;
    size_t n_bias;
} tkx__sample_extras;

typedef struct tkx__sample_params {
    float temperature; /* >= 0 */
    int64_t top_k;     /* <= 0: off */
    float top_p;       /* >= 1: off */
    tkx__logprob_mode mode;
    const tkx__sample_extras *extras; /* NULL: none */
} tkx__sample_params;

/* The generator of one sample; init with seed + index modulo 2^64. */
typedef struct tkx__rng {
    uint64_t state;
} tkx__rng;

static inline void tkx__rng_init(tkx__rng *rng, uint64_t seed, uint64_t sample_index)
{
    rng->state = seed + sample_index;
}
/* As if n numbers had been drawn. */
static inline void tkx__rng_skip(tkx__rng *rng, uint64_t n)
{
    rng->state += n * UINT64_C(0x9E3779B97F4A7C15);
}
uint64_t tkx__rng_next(tkx__rng *rng);
double tkx__rng_uniform(tkx__rng *rng); /* [0, 1), 53 bits */

/* INVALID_ARGUMENT on a temperature, top_p or extra that is NaN, negative or absurd. */
tkx_status tkx__sample_params_check(const tkx__sample_params *p, size_t vocab_size,
                                    tkx_error **err);

typedef struct tkx__token_sampler tkx__token_sampler;

tkx_status tkx__token_sampler_new(const tkx__kernels *k, size_t vocab_size,
                                  tkx__token_sampler **out, tkx_error **err);
void tkx__token_sampler_free(tkx__token_sampler *s);

/*
 * Choose a token; *logprob is NaN when the logits are no numbers or all tokens are ruled
 * out.  history [n_history] (may be NULL, 0) is the sequence so far, read only
 * by the penalties.  *logprob is as params->mode says; raw at temperature 0.
 * The logits are not changed.
 */
int64_t tkx__sample_token(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, tkx__rng *rng, float *logprob);

/*
 * What the filters leave: ids ascending and their probabilities [vocab_size at most];
 * returns how many.  Borrowed from s until its next call.
 */
size_t tkx__sample_filter(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, const int64_t **ids, const double **probs);

/*
 * The n largest logits, descending, lowest id first on ties, as raw logprobs.  n is cut
 * to vocab_size; returns how many.
 */
size_t tkx__sample_top(tkx__token_sampler *s, const float *logits, size_t n, int64_t *ids,
                       float *logprobs);

/*
 * Draw n tokens with replacement at a temperature, unfiltered; at 0 all are the largest.
 * Logprobs are raw, or tempered when the mode says so.
 */
void tkx__sample_alternatives(tkx__token_sampler *s, const float *logits,
                              float temperature, tkx__logprob_mode mode, tkx__rng *rng,
                              size_t n, int64_t *ids, float *logprobs);

/* log softmax of the logits at id. */
float tkx__sample_logprob(tkx__token_sampler *s, const float *logits, int64_t id);

#endif
