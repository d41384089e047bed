/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/pass.h - one block of datums through the whole model: logprobs, losses, gradients.
 */
#ifndef MOCK_NN_PASS_H
#define MOCK_NN_PASS_H

#include "mock_server/nn/adapter.h"
#include "mock_server/nn/loss.h"
#include "mock_server/nn/work.h"

typedef struct nn_pass {
    const nn_base *base;
    const nn_adapter *adapter;
    const nn_loss_plan *plan;
    const nn_datum *datums; /* of this block */
    nn_datum_result *results;
    double *losses; /* [n_datums], sum of e over each */
    size_t n_datums;
    bool with_gradient;
    bool recompute; /* keep each layer's input only, and make the rest again */
} nn_pass;

/* Bytes of work that the pass needs (with its gradient buffer). */
size_t nn_pass_size(const nn_pass *pass);
/*
 * Run.  *gradient points into the work: d(sum of losses) by the adapter's values, or NULL
 * without gradient.  Thread: many passes at once on one base and adapter.
 */
void nn_pass_run(const nn_pass *pass, nn_work *work, const float **gradient);

#endif
