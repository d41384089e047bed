/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/attention.h - causal attention over one sequence of a block, and its derivative.
 *
 * qkv[n, q + 2 kv] holds rotated queries, keys and values, heads side by side; a group of
 * n_heads / n_kv_heads query heads shares one key head.
 */
#ifndef MOCK_NN_ATTENTION_H
#define MOCK_NN_ATTENTION_H

#include "mock_server/nn/base.h"
#include "mock_server/nn/work.h"

enum { NN_ATTENTION_TILE = 64 }; /* query rows at a time */

/* out[n, q]; lse[n_heads, n] the log of each row's normaliser; s holds tile * n
   floats. */
void nn_attention(const nn_config *config, size_t n, const float *qkv, float *out,
                  float *lse, float *s);
/* dqkv[n, q + 2 kv] is written; s and ds hold tile * n floats each. */
void nn_attention_back(const nn_config *config, size_t n, const float *qkv,
                       const float *out, const float *lse, const float *dout, float *dqkv,
                       float *s, float *ds);

#endif
