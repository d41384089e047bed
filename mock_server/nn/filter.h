/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/filter.h - from logits to a token: temperature, top-k, top-p, one draw.
 *
 * Everything is in double.  Ties go to the lower id.
 */
#ifndef MOCK_NN_FILTER_H
#define MOCK_NN_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "mock_server/nn/random.h"

typedef struct nn_candidate {
    double p; /* before normalisation, then a probability */
    int32_t id;
} nn_candidate;

typedef struct nn_filter {
    double temperature;
    int64_t top_k; /* <= 0: off */
    double top_p;  /* >= 1: off */
} nn_filter;

int32_t nn_argmax(const float *logits, size_t n);

/*
 * What the filter leaves of logits[n]: kept[] (room for n) in ascending id with
 * probabilities that sum to 1; returns how many.  Temperature 0 keeps the argmax.
 */
size_t nn_filter_apply(const nn_filter *filter, const float *logits, size_t n,
                       nn_candidate *kept);

/* The first whose cumulative probability exceeds u. */
int32_t nn_filter_draw(const nn_candidate *kept, size_t n, double u);

/* The k best of logits[n], descending; room for k in both. */
void nn_top_k(const float *logits, size_t n, size_t k, int32_t *ids, float *values);

/* log of the sum of exp(logits * by). */
double nn_log_sum_exp(const float *logits, size_t n, double by);

#endif
