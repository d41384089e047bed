/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_diff.c - directional finite differences, the loss computed in double.
 *
 * Where part of a loss is held constant (cispo's factor, gspo's ratio), its derivative is
 * that of sum(g_t l_t) with g frozen at the starting point: cross_entropy with weights
 * -g.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "training_ref64.h"
#include "training_steps.h"

/* A copy of the datums whose ratios keep away from the bounds of the loss. */
static void avoid_kinks(steps *s, const nn_loss_plan *plan, const double *logprobs,
                        nn_datum *datums, float *room)
{
    size_t at = 0;

    for (size_t i = 0; i < s->n_datums; i++) {
        datums[i] = s->datums[i];
        memcpy(room + at, s->datums[i].logprobs.data,
               s->datums[i].n_tokens * sizeof *room);
        for (size_t t = 0; t < datums[i].n_tokens; t++) {
            double r = exp(logprobs[at + t] - (double)room[at + t]);

            if (fabs(r - plan->low) < 0.01 || fabs(r - plan->high) < 0.01)
                room[at + t] -= 0.05f;
        }
        datums[i].logprobs.data = room + at;
        at += datums[i].n_tokens;
    }
}

/*
 * Gradient of the loss times a direction, against the slope of the double model along it.
 * The direction is the gradient's own plus as much noise, so that no entry is left out.
 */
static void check_direction(steps *s, nn_model *model, const nn_loss *loss,
                            const nn_datum *datums, const nn_datum *frozen,
                            const nn_loss_plan *plan, uint64_t seed)
{
    size_t n = model->adapter.n_values;
    double *theta = calloc(3 * n, sizeof *theta), *at = theta + n, *d = at + n;
    double norm = 0, slope = 0, difference, h = 1e-6;
    nn_loss_result *r;

    memset(model->gradient, 0, n * sizeof *model->gradient);
    r = steps_run(s, model, datums, s->n_datums, loss, true);
    for (size_t i = 0; i < n; i++)
        norm += (double)model->gradient[i] * (double)model->gradient[i];
    for (size_t i = 0; i < n; i++) {
        /* splitmix-like scatter: any fixed directions do */
        uint64_t z = (i + 1) * 0x9E3779B97F4A7C15u + seed * 0xBF58476D1CE4E5B9u;

        z = (z ^ (z >> 29)) * 0x94D049BB133111EBu;
        theta[i] = (double)model->adapter.values[i];
        d[i] = (double)model->gradient[i] / sqrt(norm) +
               ((double)(z >> 11) * 0x1p-52 - 1) / sqrt((double)n);
        slope += (double)model->gradient[i] * d[i];
    }
    for (size_t i = 0; i < n; i++)
        at[i] = theta[i] + h * d[i];
    difference = ref64_loss(&model->adapter, at, frozen, s->n_datums, plan, NULL);
    for (size_t i = 0; i < n; i++)
        at[i] = theta[i] - h * d[i];
    difference -= ref64_loss(&model->adapter, at, frozen, s->n_datums, plan, NULL);
    difference /= 2 * h;
    if (!(fabs(difference - slope) <= 1e-4 * fabs(difference)))
        train_differs(s->w, "%s, direction %d: gradient gives %.9g, differences %.9g",
                      loss->name, (int)seed, slope, difference);
    nn_loss_result_free(r);
    free(theta);
}

/* Weights -g at the starting point; room holds as many floats as there are positions. */
static void freeze(steps *s, const nn_loss_plan *plan, const double *logprobs,
                   const nn_datum *datums, nn_datum *frozen, float *room)
{
    size_t at = 0;

    for (size_t i = 0; i < s->n_datums; i++) {
        size_t n = datums[i].n_tokens;
        double *e = calloc(2 * n, sizeof *e), *g = e + n;
        double ratio =
            plan->kind == NN_GSPO ? nn_loss_ratio(&datums[i], logprobs + at) : 1;

        nn_loss_eval(plan, &datums[i], 0, n, logprobs + at, ratio, e, g);
        for (size_t t = 0; t < n; t++)
            room[at + t] = (float)-g[t];
        frozen[i] = datums[i];
        frozen[i].weights = (nn_input){room + at, n};
        at += n;
        free(e);
    }
}

static void check_loss(steps *s, const char *name, double *logprobs, float *room,
                       size_t n_cells)
{
    const nn_loss_plan linear = {.kind = NN_CROSS_ENTROPY};
    nn_loss loss = {.name = name};
    nn_loss_plan plan;
    nn_datum datums[MAX_DATUMS], frozen[MAX_DATUMS];
    nn_model *model = steps_new_model(s);
    double *theta;

    if (!model || nn_loss_parse(&loss, &plan, NULL) != TKX_OK)
        return;
    theta = calloc(model->adapter.n_values, sizeof *theta);
    for (size_t i = 0; i < model->adapter.n_values; i++)
        theta[i] = (double)model->adapter.values[i];
    ref64_loss(&model->adapter, theta, s->datums, s->n_datums, &plan, logprobs);
    avoid_kinks(s, &plan, logprobs, datums, room);
    for (size_t i = 0; plan.kind != NN_CROSS_ENTROPY && i < s->n_datums; i++)
        datums[i].weights = (nn_input){NULL, 0};
    if (plan.kind == NN_CISPO || plan.kind == NN_GSPO) {
        freeze(s, &plan, logprobs, datums, frozen, room + n_cells);
        plan = linear;
    } else {
        memcpy(frozen, datums, sizeof frozen);
    }
    for (uint64_t seed = 1; seed <= 2; seed++)
        check_direction(s, model, &loss, datums, frozen, &plan, seed);
    free(theta);
    nn_model_free(model);
}

void steps_check_differences(steps *s)
{
    static const char *const names[] = {
        "cross_entropy", "importance_sampling", "ppo", "cispo", "dro", "gspo"};
    size_t n_cells = 0;
    double *logprobs;
    float *room;

    for (size_t i = 0; i < s->n_datums; i++)
        n_cells += s->datums[i].n_tokens;
    logprobs = calloc(n_cells, sizeof *logprobs);
    room = calloc(2 * n_cells, sizeof *room);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        check_loss(s, names[k], logprobs, room, n_cells);
    train_report(s->w, "train/differences");
    free(logprobs);
    free(room);
}
