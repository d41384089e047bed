/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nn/optim.h - AdamW's arithmetic for one number, in double.
 */
#ifndef MOCK_NN_OPTIM_H
#define MOCK_NN_OPTIM_H

#include <math.h>

#include "mock_server/nn/train.h"

typedef struct nn_adam {
    double beta1, beta2, lr, eps, decay;
    double correct1, correct2; /* 1 - beta^k with the betas of this step */
    double clip;               /* factor on the gradient */
} nn_adam;

/* 1, or what brings a norm down to max (<= 0: off). */
static inline double nn_clip_factor(double norm, double max)
{
    return max > 0 && norm > max ? max / norm : 1;
}

static inline nn_adam nn_adam_begin(const nn_optim_params *p, int64_t step, double clip)
{
    return (nn_adam){.beta1 = p->beta1,
                     .beta2 = p->beta2,
                     .lr = p->learning_rate,
                     .eps = p->eps,
                     .decay = p->weight_decay,
                     .correct1 = 1 - pow(p->beta1, (double)step),
                     .correct2 = 1 - pow(p->beta2, (double)step),
                     .clip = clip};
}

/* The new weight; *m and *v are updated.  Decay and step both use the old weight. */
static inline double nn_adam_one(const nn_adam *a, double gradient, double *m, double *v,
                                 double theta)
{
    double g = a->clip * gradient;

    *m = a->beta1 * *m + (1 - a->beta1) * g;
    *v = a->beta2 * *v + (1 - a->beta2) * g * g;
    return theta - a->lr * (*m / a->correct1 / (sqrt(*v / a->correct2) + a->eps) +
                            a->decay * theta);
}

#endif
