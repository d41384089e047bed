/* SPDX-License-Identifier: Apache-2.0 */
/*
 * optim.c - one step of AdamW, or of dimuon (dimuon.c), on the accumulated gradients.
 *
 * Moments are stored in float32 and updated in double.  Decay and step both use the old
 * weight; eps stands outside the square root; the corrections use the betas of this step.
 */
#include <math.h>
#include <string.h>

#include "mock_server/nn/dimuon.h"
#include "mock_server/nn/fail.h"
#include "mock_server/nn/model.h"
#include "mock_server/nn/optim.h"
#include "mock_server/nn/vec.h"

static const char *family_name(nn_optimizer family)
{
    return family == NN_DIMUON ? "dimuon" : "adamw";
}

static bool is_fraction(double beta)
{
    return beta >= 0 && beta < 1;
}

static tkx_status check(const nn_model *model, const nn_optim_params *p, tkx_error **err)
{
    if (p->family != model->adapter.options.optimizer)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "optim_step with %s parameters on a model made for %s",
                            family_name(p->family),
                            family_name(model->adapter.options.optimizer));
    if (!isfinite(p->learning_rate) || p->learning_rate < 0)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "optim_step: learning_rate is %g", p->learning_rate);
    if (!is_fraction(p->beta1) || !is_fraction(p->beta2))
        return nn_fail_user(
            err, TKX_ERR_INVALID_ARGUMENT,
            "optim_step: beta1 is %g and beta2 %g; both must be in [0, 1)", p->beta1,
            p->beta2);
    if (!isfinite(p->eps) || p->eps < 0 || (p->family == NN_ADAMW && p->eps == 0))
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT, "optim_step: eps is %g",
                            p->eps);
    if (!isfinite(p->weight_decay) || p->weight_decay < 0)
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "optim_step: weight_decay is %g", p->weight_decay);
    if (!isfinite(p->grad_clip_norm))
        return nn_fail_user(err, TKX_ERR_INVALID_ARGUMENT,
                            "optim_step: grad_clip_norm is %g", p->grad_clip_norm);
    return TKX_OK;
}

NN_FAST
static double sum_of_squares(const float *g, size_t n)
{
    double lanes[8] = {0}, sum = 0;
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            lanes[j] += (double)g[i + j] * (double)g[i + j];
    for (size_t j = 0; j < 8; j++)
        sum += lanes[j];
    for (; i < n; i++)
        sum += (double)g[i] * (double)g[i];
    return sum;
}

NN_FAST
static void adam_update(const nn_adam *a, size_t n, const float *restrict gradient,
                        float *restrict m, float *restrict v, float *restrict theta)
{
    for (size_t i = 0; i < n; i++) {
        double m1 = (double)m[i], v1 = (double)v[i];

        theta[i] = (float)nn_adam_one(a, (double)gradient[i], &m1, &v1, (double)theta[i]);
        m[i] = (float)m1;
        v[i] = (float)v1;
    }
}

tkx_status nn_model_optim_step(nn_model *model, const nn_optim_params *p,
                               nn_step_result *result, tkx_error **err)
{
    size_t n = model->adapter.n_values;
    tkx_status st = check(model, p, err);
    double norm, clip;

    if (st != TKX_OK)
        return st;
    norm = sqrt(sum_of_squares(model->gradient, n));
    clip = nn_clip_factor(norm, p->grad_clip_norm);
    if (p->family == NN_DIMUON) {
        st = nn_dimuon_step(model, p->learning_rate, p->beta1, clip, err);
        if (st != TKX_OK)
            return st;
    } else {
        nn_adam a = nn_adam_begin(p, model->step + 1, clip);

        adam_update(&a, n, model->gradient, model->m, model->v, model->adapter.values);
    }
    model->step++;
    memset(model->gradient, 0, n * sizeof *model->gradient);
    if (result)
        *result = (nn_step_result){.step = model->step, .grad_norm = norm};
    return TKX_OK;
}
