/* SPDX-License-Identifier: Apache-2.0 */
/* infer/sample_in.h - the inside of a token sampler, for sample*.c alone. */
#ifndef TKX_INFER_SAMPLE_IN_H
#define TKX_INFER_SAMPLE_IN_H

#include "infer/kernels/table.h"
#include "infer/sample.h"

typedef struct candidate {
    float value; /* logit */
    uint32_t id;
} candidate;

/* Ids whose weights are summed together when one of all is drawn. */
#define TKX__SAMPLE_BLOCK 1024
/* Of the difference to the largest logit, in steps of 1/32. */
#define TKX__SAMPLE_BUCKETS 1024

struct tkx__token_sampler {
    const tkx__kernels *k;
    size_t n_vocab;
    float *logits;     /* with the extras applied */
    float *weight;     /* exp(tempered - largest) */
    candidate *best;   /* [n_vocab] heap or list */
    int64_t *kept;     /* [n_vocab] ascending; only for tkx__sample_filter() */
    double *probs;     /* [n_vocab] of kept */
    uint32_t *n_times; /* [n_vocab] occurrences in the history; all zero between calls */
    double *blocks;    /* sums of weights */
    double buckets[TKX__SAMPLE_BUCKETS];
};

/* What the filters leave. */
typedef struct tkx__sample_left {
    bool is_all; /* the vocabulary; else s->best[0 .. n-1], ids ascending */
    size_t n;    /* 0: the logits are no numbers, or all are ruled out */
    double mass; /* sum of the weights of what is left */
    float max;   /* the largest logit */
    double sum;  /* of the weights of the whole vocabulary */
} tkx__sample_left;

/* 1 / temperature, finite also for the smallest. */
float tkx__sample_inverse(float temperature);

/* Fills s->weight; temperature > 0. */
tkx__sample_left tkx__sample_cut(tkx__token_sampler *s, const float *logits,
                                 const tkx__sample_params *p);
/* The first id whose cumulative weight exceeds u * mass. */
int64_t tkx__sample_draw(const tkx__token_sampler *s, const tkx__sample_left *left,
                         double u);
/* The n largest of v to s->best, the first one first; n <= n_vocab. */
void tkx__sample_rank(tkx__token_sampler *s, const float *v, size_t n);

#endif
