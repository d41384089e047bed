/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/loss.h - the losses as functions of target logprobs, in double.
 *
 * A loss sees a datum's l (target logprobs) and the datum's constants, and gives e_t and
 * g_t = d(sum of e) / d l_t.  It knows nothing of models.
 */
#ifndef MOCK_NN_LOSS_H
#define MOCK_NN_LOSS_H

#include "mock_server/nn/train.h"

typedef enum nn_loss_kind {
    NN_CROSS_ENTROPY,
    NN_IMPORTANCE_SAMPLING,
    NN_PPO,
    NN_CISPO,
    NN_DRO,
    NN_GSPO,
    NN_CUSTOM
} nn_loss_kind;

typedef struct nn_loss_plan {
    nn_loss_kind kind;
    double low; /* bounds on the ratio itself */
    double high;
    double beta;
    const nn_custom_loss *custom;
} nn_loss_plan;

/* Name and parameters to a plan; USER errors for unknown names, keys and values. */
tkx_status nn_loss_parse(const nn_loss *loss, nn_loss_plan *plan, tkx_error **err);

/*
 * Check one datum against the loss and the model: presence, lengths, finite values, token
 * ranges, context.  index is for messages.  weights may be absent unless needs_weights.
 */
tkx_status nn_loss_check(const nn_loss_plan *plan, const nn_datum *datum, size_t index,
                         size_t vocab_size, size_t max_context, bool needs_weights,
                         tkx_error **err);

/*
 * Evaluate positions [first, first + n) of a datum: logprobs[n, k] are theirs, e[n] and
 * g[n, k] are written.  ratio is the sequence's, for gspo (nn_loss_ratio()).
 */
void nn_loss_eval(const nn_loss_plan *plan, const nn_datum *datum, size_t first, size_t n,
                  const double *logprobs, double ratio, double *e, double *g);

/* custom: the whole datum at once; its loss stands at the first position of e. */
void nn_loss_custom(const nn_loss_plan *plan, const nn_datum *datum,
                    const double *logprobs, double *e, double *g);

/* gspo: exp of the mean of l - q over the mask; logprobs[n_tokens]. */
double nn_loss_ratio(const nn_datum *datum, const double *logprobs);

#endif
