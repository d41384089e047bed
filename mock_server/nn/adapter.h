/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/adapter.h - where each A and B lies in one flat array of trainable numbers.
 *
 * y = W x + s B (A x) on q, k, v, o, gate, up, down and the unembedding.  The A of maps
 * with a common input are neighbours (q, k, v; gate, up), so that one product serves
 * them. Experts: gate and up share one A and have a B each; down has an A each and one
 * shared B.
 */
#ifndef MOCK_NN_ADAPTER_H
#define MOCK_NN_ADAPTER_H

#include "mock_server/nn/base.h"
#include "mock_server/nn/train.h"

typedef enum nn_map { NN_Q, NN_K, NN_V, NN_O, NN_GATE, NN_UP, NN_DOWN, NN_N_MAPS } nn_map;

typedef struct nn_slot {
    bool is_on;
    size_t in;
    size_t out;
    size_t n_a; /* experts: matrices of A (1 or n_experts); 0: dense, two dimensions */
    size_t n_b;
    size_t a; /* offset of A [n_a, r, in] in the flat array */
    size_t b; /* of B [n_b, out, r] */
} nn_slot;

typedef struct nn_adapter {
    const nn_base *base;
    nn_lora_options options;
    size_t rank;
    float scale;
    nn_slot (*layers)[NN_N_MAPS]; /* [n_layers] */
    nn_slot unembed;
    size_t n_values;
    float *values; /* [n_values] */
} nn_adapter;

/* Checks the options; the values are zero. */
tkx_status nn_adapter_init(nn_adapter *adapter, const nn_base *base,
                           const nn_lora_options *options, tkx_error **err);
/* A random by the seed, uniform in +-1/sqrt(in); B zero. */
void nn_adapter_randomize(nn_adapter *adapter);
tkx_status nn_adapter_copy(nn_adapter *to, const nn_adapter *from, tkx_error **err);
void nn_adapter_clear(nn_adapter *adapter);
size_t nn_adapter_count(const nn_base *base, const nn_lora_options *options);

/* One tensor of the adapter as a checkpoint names it. */
typedef struct nn_adapter_tensor {
    char name[160]; /* base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight */
    size_t n_dims;
    size_t shape[3];
    size_t offset; /* in the flat array */
    size_t n;
} nn_adapter_tensor;

/* Called for every tensor in a fixed order; stops at the first false. */
typedef bool nn_adapter_tensor_fn(const nn_adapter_tensor *tensor, void *user_data);
bool nn_adapter_each(const nn_adapter *adapter, nn_adapter_tensor_fn *fn,
                     void *user_data);

#endif
