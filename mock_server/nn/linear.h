/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/linear.h - up to three frozen maps of one input, one below the other, with their A,
 * B.
 */
#ifndef MOCK_NN_LINEAR_H
#define MOCK_NN_LINEAR_H

#include "mock_server/nn/adapter.h"

typedef struct nn_linear {
    const float *w;    /* [out, in] */
    const float *bias; /* [out], or NULL */
    size_t in;
    size_t out; /* of all maps together */
    size_t n_maps;
    const nn_slot *slots; /* [n_maps], neighbours in an adapter; NULL: no adapter */
    size_t index_a;       /* which expert's A and B, where a slot has several */
    size_t index_b;
} nn_linear;

/* The maps of one layer, and the head.  adapter may be NULL. */
nn_linear nn_linear_qkv(const nn_base *base, const nn_adapter *adapter, size_t layer);
nn_linear nn_linear_o(const nn_base *base, const nn_adapter *adapter, size_t layer);
nn_linear nn_linear_gate_up(const nn_base *base, const nn_adapter *adapter, size_t layer);
nn_linear nn_linear_down(const nn_base *base, const nn_adapter *adapter, size_t layer);
nn_linear nn_linear_head(const nn_base *base, const nn_adapter *adapter);
nn_linear nn_linear_expert_gate_up(const nn_base *base, const nn_adapter *adapter,
                                   size_t layer, size_t expert);
nn_linear nn_linear_expert_down(const nn_base *base, const nn_adapter *adapter,
                                size_t layer, size_t expert);

/* y[m, out] = x[m, in] W^T + bias + s (x A^T) B^T; h[m, n_maps * rank] keeps x A^T. */
void nn_linear_forward(const nn_adapter *adapter, const nn_linear *map, size_t m,
                       const float *x, float *y, float *h);

/*
 * Given dy[m, out] and the x and h of the forward pass: add to the gradients (laid out as
 * the adapter's values) and, unless dx is NULL, set dx[m, in] (add: add to it). dh[m,
 * n_maps * rank] is scratch.
 */
void nn_linear_back(const nn_adapter *adapter, const nn_linear *map, size_t m,
                    const float *x, const float *h, const float *dy, float *dh,
                    float *gradient, float *dx, bool add);

#endif
