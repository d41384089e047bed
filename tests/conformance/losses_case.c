/* SPDX-License-Identifier: Apache-2.0 */
/*
 * losses_case.c - one loss on given logits: values, derivatives, refusals.
 */
#include "losses_case.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "mock_server/nn/loss.h"

enum { MAX_N = 32, MAX_K = 8, MAX_V = 64, MAX_PARAMS = 8 };

/* A datum with room for its arrays. */
typedef struct loss_case {
    size_t n, k, v;
    double z[MAX_N][MAX_V];
    int64_t tokens[MAX_N];
    int64_t targets[MAX_N * MAX_K];
    float inputs[6][MAX_N * MAX_K];
    nn_datum datum;
    nn_loss loss;
    nn_loss_param params[MAX_PARAMS];
} loss_case;

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(object, key);
}

/* Numbers of a list, or of a list of lists. */
static size_t flat(const cJSON *array, double *out, size_t max)
{
    const cJSON *item;
    size_t n = 0;

    if (!cJSON_IsArray(cJSON_GetArrayItem(array, 0)))
        return losses_numbers(array, out, max);
    cJSON_ArrayForEach(item, array)
    {
        size_t m = losses_numbers(item, out + n, max - n);

        if (m > max)
            return SIZE_MAX;
        n += m;
    }
    return n;
}

static const char *read_inputs(const cJSON *root, loss_case *c)
{
    static const char *const names[6] = {"weights",
                                         "logprobs",
                                         "advantages",
                                         "clip_low_threshold",
                                         "clip_high_threshold",
                                         "sequence_ratio_mask"};
    nn_input *to[6] = {&c->datum.weights,    &c->datum.logprobs,
                       &c->datum.advantages, &c->datum.clip_low,
                       &c->datum.clip_high,  &c->datum.sequence_ratio_mask};
    const cJSON *item;

    cJSON_ArrayForEach(item, get(root, "loss_fn_inputs"))
    {
        double values[MAX_N * MAX_K];
        size_t which = 0, n = flat(item, values, MAX_N * MAX_K);

        while (which < 6 && strcmp(names[which], item->string) != 0)
            which++;
        if (which == 6 || n > MAX_N * MAX_K)
            return "unknown or oversized loss input";
        for (size_t i = 0; i < n; i++)
            c->inputs[which][i] = (float)values[i];
        *to[which] = (nn_input){c->inputs[which], n};
    }
    return NULL;
}

static const char *read_loss(const cJSON *root, loss_case *c)
{
    const cJSON *item;

    c->loss.name = cJSON_GetStringValue(get(root, "loss_fn"));
    if (!c->loss.name)
        return "no loss_fn";
    cJSON_ArrayForEach(item, get(root, "loss_fn_config"))
    {
        if (c->loss.n_params == MAX_PARAMS || !cJSON_IsNumber(item))
            return "loss_fn_config is no map of numbers";
        c->params[c->loss.n_params++] = (nn_loss_param){item->string, item->valuedouble};
    }
    c->loss.params = c->params;
    return NULL;
}

static const char *read_case(const cJSON *root, loss_case *c)
{
    const cJSON *rows = get(root, "logits"), *row, *targets = get(root, "target_tokens");
    double ids[MAX_N * MAX_K];
    const char *wrong;

    memset(c, 0, sizeof *c);
    cJSON_ArrayForEach(row, rows)
    {
        size_t v = c->n < MAX_N ? losses_numbers(row, c->z[c->n], MAX_V) : 0;

        if (v == 0 || v > MAX_V || (c->v && v != c->v))
            return "logits are no matrix of a fitting size";
        c->v = v;
        c->n++;
    }
    c->datum.n_targets = flat(targets, ids, MAX_N * MAX_K);
    c->datum.is_matrix = cJSON_IsArray(cJSON_GetArrayItem(targets, 0));
    c->k = c->datum.is_matrix ? (size_t)cJSON_GetArraySize(cJSON_GetArrayItem(targets, 0))
                              : 1;
    if (c->n == 0 || c->datum.n_targets > MAX_N * MAX_K)
        return "no positions, or too many targets";
    for (size_t i = 0; i < c->datum.n_targets; i++)
        c->targets[i] = (int64_t)ids[i];
    c->datum.tokens = c->tokens;
    c->datum.n_tokens = c->n;
    c->datum.targets = c->targets;
    c->datum.k = c->k;
    wrong = read_inputs(root, c);
    return wrong ? wrong : read_loss(root, c);
}

static double log_sum_exp(const double *z, size_t n)
{
    double max = z[0], sum = 0;

    for (size_t i = 1; i < n; i++)
        max = z[i] > max ? z[i] : max;
    for (size_t i = 0; i < n; i++)
        sum += exp(z[i] - max);
    return max + log(sum);
}

typedef struct outcome {
    double l[MAX_N * MAX_K], e[MAX_N], g[MAX_N * MAX_K], ratio;
} outcome;

static double evaluate(const loss_case *c, const nn_loss_plan *plan, outcome *o)
{
    double sum = 0;

    o->ratio = plan->kind == NN_GSPO ? nn_loss_ratio(&c->datum, o->l) : 1;
    nn_loss_eval(plan, &c->datum, 0, c->n, o->l, o->ratio, o->e, o->g);
    for (size_t t = 0; t < c->n; t++)
        sum += o->e[t];
    return sum;
}

/*
 * g against central differences of the sum.  cispo's and gspo's g are not derivatives of
 * their e (part of e is held constant), and a clipped ppo has a kink: these are left out.
 */
static const char *check_differences(const loss_case *c, const nn_loss_plan *plan,
                                     const outcome *o, char *why, size_t size)
{
    const double h = 1e-6;

    if (plan->kind == NN_CISPO || plan->kind == NN_GSPO)
        return NULL;
    for (size_t i = 0; i < c->n * c->k; i++) {
        outcome up = *o, down = *o;
        double slope;

        if (!isfinite(o->l[i]))
            continue;
        up.l[i] += h;
        down.l[i] -= h;
        slope = (evaluate(c, plan, &up) - evaluate(c, plan, &down)) / (2 * h);
        if (!(fabs(slope - o->g[i]) <= 1e-7 * (1 + fabs(slope)))) {
            snprintf(why, size, "g[%zu] is %.12g, central difference %.12g", i, o->g[i],
                     slope);
            return why;
        }
    }
    return NULL;
}

static const char *compare(const cJSON *expect, const char *key, const double *have,
                           size_t n, double tolerance, char *why, size_t size)
{
    const cJSON *array = get(expect, key);
    double want[MAX_N * MAX_K];

    if (!array)
        return NULL;
    if (flat(array, want, MAX_N * MAX_K) != n) {
        snprintf(why, size, "%s: another number of elements, expected %zu", key, n);
        return why;
    }
    for (size_t i = 0; i < n; i++)
        if (!(fabs(have[i] - want[i]) <= tolerance)) {
            snprintf(why, size, "%s[%zu] is %.12g, expected %.12g", key, i, have[i],
                     want[i]);
            return why;
        }
    return NULL;
}

static const char *check_logit_gradient(const loss_case *c, const outcome *o,
                                        const cJSON *expect, double tolerance, char *why,
                                        size_t size)
{
    const cJSON *row;

    cJSON_ArrayForEach(row, get(expect, "logit_gradient"))
    {
        size_t t = (size_t)(row->string[0] - '0');
        double want[MAX_V], lse, total = 0;

        if (t >= c->n || row->string[1] || losses_numbers(row, want, MAX_V) != c->v)
            return "logit_gradient: no such row, or another length";
        lse = log_sum_exp(c->z[t], c->v);
        for (size_t j = 0; j < c->k; j++)
            total += o->g[t * c->k + j];
        for (size_t v = 0; v < c->v; v++) {
            double have = -total * exp(c->z[t][v] - lse);

            for (size_t j = 0; j < c->k; j++)
                have += c->targets[t * c->k + j] == (int64_t)v ? o->g[t * c->k + j] : 0;
            if (!(fabs(have - want[v]) <= tolerance)) {
                snprintf(why, size,
                         "logit_gradient row %zu [%zu] is %.12g, expected %.12g", t, v,
                         have, want[v]);
                return why;
            }
        }
    }
    return NULL;
}

static const char *check_values(const loss_case *c, const nn_loss_plan *plan,
                                const cJSON *expect, double tolerance, char *why,
                                size_t size)
{
    const cJSON *sum = get(expect, "loss:sum");
    size_t cells = c->n * c->k;
    double ratios[MAX_N * MAX_K] = {0}, total;
    outcome o = {0};
    const char *wrong;

    for (size_t i = 0; i < cells; i++) {
        const double *z = c->z[i / c->k];

        o.l[i] = z[c->targets[i]] - log_sum_exp(z, c->v);
        if (c->k == 1 && c->datum.logprobs.data)
            ratios[i] = exp(o.l[i] - (double)c->datum.logprobs.data[i]);
    }
    total = evaluate(c, plan, &o);
    wrong = compare(expect, "target_logprobs", o.l, cells, tolerance, why, size);
    if (!wrong)
        wrong = compare(expect, "ratios", ratios, cells, tolerance, why, size);
    if (!wrong)
        wrong = compare(expect, "elementwise_loss", o.e, c->n, tolerance, why, size);
    if (!wrong)
        wrong = compare(expect, "gradient", o.g, cells, tolerance, why, size);
    if (!wrong)
        wrong = check_logit_gradient(c, &o, expect, tolerance, why, size);
    if (!wrong && sum && !(fabs(total - sum->valuedouble) <= 2 * tolerance)) {
        snprintf(why, size, "loss:sum is %.12g, expected %.12g", total, sum->valuedouble);
        wrong = why;
    }
    return wrong ? wrong : check_differences(c, plan, &o, why, size);
}

const char *losses_run_loss(const cJSON *root, double tolerance, char *why, size_t size)
{
    const cJSON *expect = get(root, "expect");
    loss_case c;
    nn_loss_plan plan;
    tkx_error *err = NULL;
    const char *wrong = read_case(root, &c);
    tkx_status st;

    if (wrong || !cJSON_IsObject(expect))
        return wrong ? wrong : "no expect";
    st = nn_loss_parse(&c.loss, &plan, &err);
    if (st == TKX_OK)
        st = nn_loss_check(&plan, &c.datum, 0, c.v, MAX_N, true, &err);
    if (cJSON_IsTrue(get(expect, "error"))) {
        if (st == TKX_OK)
            wrong = "accepted, must be refused";
        else if (tkx_error_get_category(err) != TKX_ERROR_CATEGORY_USER)
            wrong = "refused, but not as the user's error";
    } else if (st != TKX_OK) {
        snprintf(why, size, "refused: %s", tkx_error_message(err));
        wrong = why;
    } else {
        wrong = check_values(&c, &plan, expect, tolerance, why, size);
    }
    tkx_error_free(err);
    return wrong;
}
