/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_ref64.h - the model once more, in double and as plainly as possible.
 *
 * For directional finite differences: losses as a function of the adapter, without a
 * backward pass and without sharing any forward code with the trainer.
 */
#ifndef TESTS_CONFORMANCE_TRAINING_REF64_H
#define TESTS_CONFORMANCE_TRAINING_REF64_H

#include "mock_server/nn/adapter.h"
#include "mock_server/nn/loss.h"

/*
 * Sum of the loss over the datums with adapter values theta[layout->n_values].
 * logprobs, when not NULL, gets the target logprobs, datum after datum.
 */
double ref64_loss(const nn_adapter *layout, const double *theta, const nn_datum *datums,
                  size_t n_datums, const nn_loss_plan *plan, double *logprobs);

#endif
