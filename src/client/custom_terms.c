/* SPDX-License-Identifier: Apache-2.0 */
/*
 * custom_terms.c - losses on log-probabilities, each with its derivative, and differences
 * to check such derivatives by.  Any thread; no state.
 */
#include <tkx/custom_terms.h>

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/custom_report.h"

static const char *const names[TKX_N_TERMS] = {"nll", "dpo", "kl", "entropy", "l1", "l2"};

/* --- the inputs of a datum ------------------------------------------------------- */

/* NULL: the datum has none of that length. */
static const float *input(const tkx_custom_item *item, const char *name)
{
    const tkx_datum *d = item->datum;

    for (size_t i = 0; i < d->n_loss_fn_inputs; i++) {
        const tkx_tensor *t = &d->loss_fn_inputs[i].tensor;

        if (strcmp(d->loss_fn_inputs[i].name, name) == 0 && !t->is_sparse &&
            t->dtype == TKX_DTYPE_FLOAT32 && t->n_values == item->n)
            return t->values.f32;
    }
    return NULL;
}

static double weight_at(const float *weights, size_t k)
{
    return weights ? (double)weights[k] : 1;
}

/* --- terms of one log-probability ------------------------------------------------ */

/* Value and derivative; q is 0 where the term needs none. */
static void evaluate(tkx_custom_term_kind kind, double l, double q, double *value,
                     double *slope)
{
    switch (kind) {
    case TKX_TERM_KL:
        *value = exp(q - l) - (q - l) - 1;
        *slope = 1 - exp(q - l);
        break;
    case TKX_TERM_ENTROPY:
        *value = exp(l) * l;
        *slope = exp(l) * (l + 1);
        break;
    case TKX_TERM_L1:
        *value = fabs(l);
        *slope = l < 0 ? -1 : l > 0;
        break;
    case TKX_TERM_L2:
        *value = l * l;
        *slope = 2 * l;
        break;
    default: /* NLL */
        *value = -l;
        *slope = -1;
        break;
    }
}

static double add_plain(const tkx_custom_term *term, tkx_custom_item *item,
                        const float *weights, const float *reference)
{
    double sum = 0;

    for (size_t k = 0; k < item->n; k++) {
        double w = weight_at(weights, k), value, slope;

        if (w == 0) /* also where the log-probability is infinite */
            continue;
        evaluate(term->kind, (double)item->logprobs[k],
                 reference ? (double)reference[k] : 0, &value, &slope);
        sum += w * value;
        item->gradient[k] += (float)(term->coefficient * w * slope);
    }
    return sum;
}

/* --- pairs ----------------------------------------------------------------------- */

static double margin(const tkx_custom_item *item)
{
    const float *weights = input(item, "weights"), *q = input(item, "logprobs");
    double sum = 0;

    for (size_t k = 0; k < item->n; k++)
        if (weight_at(weights, k) != 0)
            sum += weight_at(weights, k) * ((double)item->logprobs[k] - (double)q[k]);
    return sum;
}

static void push(tkx_custom_item *item, double slope)
{
    const float *weights = input(item, "weights");

    for (size_t k = 0; k < item->n; k++)
        item->gradient[k] += (float)(slope * weight_at(weights, k));
}

static double add_pair(const tkx_custom_term *term, tkx_custom_item *pair)
{
    double beta = term->beta > 0 ? term->beta : 0.1;
    double z = beta * (margin(&pair[0]) - margin(&pair[1]));
    double slope = term->coefficient * -beta / (1 + exp(z));

    push(&pair[0], slope);
    push(&pair[1], -slope);
    return z > 0 ? log1p(exp(-z)) : log1p(exp(z)) - z;
}

/* --- the sum --------------------------------------------------------------------- */

static bool needs_reference(tkx_custom_term_kind kind)
{
    return kind == TKX_TERM_DPO || kind == TKX_TERM_KL;
}

static int fail(tkx_custom_report *report, const char *fmt, const char *name, size_t i)
{
    char text[200];

    snprintf(text, sizeof text, fmt, name, i);
    tkx_custom_report_failure(report, text);
    return 1;
}

static int check_items(const tkx_custom_term *term, const tkx_custom_item *items,
                       size_t n_items, tkx_custom_report *report)
{
    if ((unsigned)term->kind >= TKX_N_TERMS)
        return fail(report, "%s%zu is no kind of term", "", (size_t)term->kind);
    if (term->kind == TKX_TERM_DPO && n_items % 2 != 0)
        return fail(report, "%s wants pairs of datums, and there are %zu", "dpo",
                    n_items);
    for (size_t i = 0; needs_reference(term->kind) && i < n_items; i++)
        if (!input(&items[i], "logprobs"))
            return fail(report, "%s needs \"logprobs\" of a reference in datum %zu",
                        names[term->kind], i);
    return 0;
}

int tkx_custom_terms_loss(tkx_custom_item *items, size_t n_items,
                          tkx_custom_report *report, void *user_data)
{
    const tkx_custom_terms *all = user_data;
    double loss = 0;

    for (size_t t = 0; t < all->n_terms; t++) {
        const tkx_custom_term *term = &all->terms[t];
        bool is_pairs = term->kind == TKX_TERM_DPO;
        double sum = 0;
        char name[32];

        if (check_items(term, items, n_items, report) != 0)
            return 1;
        for (size_t i = 0; i < n_items; i += is_pairs ? 2 : 1)
            sum += is_pairs ? add_pair(term, &items[i])
                            : add_plain(term, &items[i], input(&items[i], "weights"),
                                        input(&items[i], "logprobs"));
        loss += term->coefficient * sum;
        snprintf(name, sizeof name, "%s:sum", names[term->kind]);
        if (tkx_custom_report_metric(report, name, sum) != TKX_OK)
            return 1;
    }
    tkx_custom_report_loss(report, loss);
    return 0;
}

/* --- checking -------------------------------------------------------------------- */

static void clear_gradients(tkx_custom_item *items, size_t n_items)
{
    for (size_t i = 0; i < n_items; i++)
        memset(items[i].gradient, 0, items[i].n * sizeof(float));
}

/* What is called, and on what. */
typedef struct trial {
    tkx_custom_loss_fn *fn;
    tkx_custom_item *items;
    size_t n_items;
    void *user_data;
    double step;
} trial;

static tkx_status run(const trial *t, double *loss, tkx_error **err)
{
    tkx_custom_report report;
    tkx_status st = TKX_OK;

    tkx__custom_report_init(&report);
    clear_gradients(t->items, t->n_items);
    if (t->fn(t->items, t->n_items, &report, t->user_data) != 0)
        st = tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "the custom loss failed: %s",
                       report.failure);
    *loss = report.loss;
    tkx__custom_report_clear(&report);
    return st;
}

/* The slope of the loss at @p at, one log-probability of an item, which is put back. */
static tkx_status measure(const trial *t, float *at, double *slope, tkx_error **err)
{
    float given = *at;
    float up = (float)((double)given + t->step);
    float down = (float)((double)given - t->step);
    double above, below;
    tkx_status st;

    *at = up;
    st = run(t, &above, err);
    if (st == TKX_OK) {
        *at = down;
        st = run(t, &below, err);
    }
    *at = given;
    if (st == TKX_OK)
        *slope = (above - below) / ((double)up - (double)down);
    return st;
}

/* One datum: its log-probabilities in a copy that is moved, its gradients in another. */
static tkx_status check_item(const trial *t, tkx_custom_item *item, double *max_error,
                             tkx_error **err)
{
    const float *given = item->logprobs;
    float *moved = tkx__calloc(2 * item->n + 1, sizeof *moved);
    double loss, slope = 0;
    tkx_status st;

    if (!moved)
        return tkx__fail_memory(err);
    float *gradient = moved + item->n;
    memcpy(moved, given, item->n * sizeof *moved);
    st = run(t, &loss, err);
    memcpy(gradient, item->gradient, item->n * sizeof *gradient);
    item->logprobs = moved;
    for (size_t k = 0; st == TKX_OK && k < item->n; k++) {
        double g = (double)gradient[k];

        st = measure(t, &moved[k], &slope, err);
        if (st != TKX_OK)
            break;
        double error = fabs(g - slope) / (1 + fabs(g));
        if (!(error <= *max_error)) /* what is no number is the largest error */
            *max_error = error;
    }
    item->logprobs = given;
    memcpy(item->gradient, gradient, item->n * sizeof *gradient);
    tkx__free(moved);
    return st;
}

tkx_status tkx_custom_loss_check(tkx_custom_loss_fn *fn, tkx_custom_item *items,
                                 size_t n_items, void *user_data, double step,
                                 double *max_error, tkx_error **err)
{
    trial t = {fn, items, n_items, user_data, step > 0 ? step : 1e-3};
    tkx_status st = TKX_OK;

    *max_error = 0;
    for (size_t i = 0; i < n_items && st == TKX_OK; i++)
        st = check_item(&t, &items[i], max_error, err);
    return st;
}
