/* SPDX-License-Identifier: Apache-2.0 */
/*
 * training_ref64.c - a transformer with LoRA in double, one token and one number at a
 * time.
 */
#include "training_ref64.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct ref {
    const nn_base *base;
    const nn_adapter *layout;
    const double *theta;
    size_t n;       /* positions of this datum */
    double *x;      /* [n, hidden] */
    double *xn;     /* [n, hidden] */
    double *qkv;    /* [n, qkv rows] */
    double *att;    /* [n, q rows] */
    double *scores; /* [n] */
    double *act;    /* [2 * widest intermediate] */
    double *out;    /* [widest of hidden and vocab] */
} ref;

/* y[rows] = w x + s B (A x); a and b choose an expert's matrices. */
static void map(const ref *r, const float *w, size_t in, size_t rows, const nn_slot *slot,
                size_t a, size_t b, const double *x, double *y)
{
    size_t rank = r->layout->rank;

    for (size_t i = 0; i < rows; i++) {
        y[i] = 0;
        for (size_t j = 0; j < in; j++)
            y[i] += (double)w[i * in + j] * x[j];
    }
    if (!slot || !slot->is_on)
        return;
    for (size_t k = 0; k < rank; k++) {
        const double *row = r->theta + slot->a + (a * rank + k) * in;
        double h = 0;

        for (size_t j = 0; j < in; j++)
            h += row[j] * x[j];
        for (size_t i = 0; i < rows; i++)
            y[i] += (double)r->layout->scale * h *
                    r->theta[slot->b + (b * rows + i) * rank + k];
    }
}

static void norm(const double *x, const float *weight, size_t n, double eps, double *y)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    sum = 1 / sqrt(sum / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * sum * (double)weight[i];
}

static double frequency(const nn_base *base, size_t i)
{
    const nn_config *c = &base->config;
    double f = pow(c->rope_theta, -2.0 * (double)i / (double)c->head_dim);
    double wave = 2 * acos(-1.0) / f, low, high, smooth;

    if (base->rope_factors)
        return f / (double)base->rope_factors[i];
    if (c->rope_factor <= 0)
        return f;
    low = c->rope_original_context / c->rope_low_freq_factor;
    high = c->rope_original_context / c->rope_high_freq_factor;
    if (wave < high)
        return f;
    if (wave > low)
        return f / c->rope_factor;
    smooth = (c->rope_original_context / wave - c->rope_low_freq_factor) /
             (c->rope_high_freq_factor - c->rope_low_freq_factor);
    return (1 - smooth) * f / c->rope_factor + smooth * f;
}

static void rotate(const nn_base *base, size_t p, double *head)
{
    size_t half = base->config.head_dim / 2;

    for (size_t i = 0; i < half; i++) {
        double angle = (double)p * frequency(base, i), a = head[i], b = head[i + half];

        head[i] = a * cos(angle) - b * sin(angle);
        head[i + half] = b * cos(angle) + a * sin(angle);
    }
}

static void project(ref *r, size_t layer, size_t t)
{
    const nn_config *c = &r->base->config;
    const nn_layer *l = &r->base->layers[layer];
    const nn_slot *s = r->layout->layers[layer];
    size_t q = nn_q_rows(c), kv = nn_kv_rows(c), h = c->hidden, d = c->head_dim;
    double *to = r->qkv + t * nn_qkv_rows(c), *x = r->xn + t * h;

    norm(r->x + t * h, l->norm1, h, c->rms_eps, x);
    map(r, l->qkv, h, q, &s[NN_Q], 0, 0, x, to);
    map(r, l->qkv + q * h, h, kv, &s[NN_K], 0, 0, x, to + q);
    map(r, l->qkv + (q + kv) * h, h, kv, &s[NN_V], 0, 0, x, to + q + kv);
    for (size_t i = 0; l->qkv_bias && i < q + 2 * kv; i++)
        to[i] += (double)l->qkv_bias[i];
    for (size_t i = 0; i < c->n_heads + c->n_kv_heads; i++) {
        if (c->has_qk_norm)
            norm(to + i * d, i < c->n_heads ? l->q_norm : l->k_norm, d, c->rms_eps,
                 to + i * d);
        rotate(r->base, t, to + i * d);
    }
}

static void attend(ref *r, size_t t)
{
    const nn_config *c = &r->base->config;
    size_t d = c->head_dim, ld = nn_qkv_rows(c), group = c->n_heads / c->n_kv_heads;

    for (size_t h = 0; h < c->n_heads; h++) {
        const double *q = r->qkv + t * ld + h * d;
        const double *k = r->qkv + nn_q_rows(c) + h / group * d;
        double *to = r->att + t * nn_q_rows(c) + h * d, max = -INFINITY, sum = 0;

        memset(to, 0, d * sizeof *to);
        for (size_t j = 0; j <= t; j++) {
            r->scores[j] = 0;
            for (size_t i = 0; i < d; i++)
                r->scores[j] += q[i] * k[j * ld + i] / sqrt((double)d);
            max = fmax(max, r->scores[j]);
        }
        for (size_t j = 0; j <= t; j++)
            sum += r->scores[j] = exp(r->scores[j] - max);
        for (size_t j = 0; j <= t; j++)
            for (size_t i = 0; i < d; i++)
                to[i] += r->scores[j] / sum * k[j * ld + nn_kv_rows(c) + i];
    }
}

/* share * MLP (or one expert of it) of x onto y. */
static void mlp(ref *r, size_t layer, size_t expert, double share, const double *x,
                double *y)
{
    const nn_config *c = &r->base->config;
    const nn_layer *l = &r->base->layers[layer];
    const nn_slot *s = r->layout->layers[layer];
    size_t h = c->hidden, f = l->is_sparse ? c->moe_intermediate : c->intermediate;
    const float *gate_up = l->gate_up + expert * 2 * f * h;

    map(r, gate_up, h, f, &s[NN_GATE], 0, expert, x, r->act);
    map(r, gate_up + f * h, h, f, &s[NN_UP], 0, expert, x, r->act + f);
    for (size_t i = 0; i < f; i++)
        r->act[i] = r->act[i] / (1 + exp(-r->act[i])) * r->act[f + i];
    map(r, l->down + expert * h * f, f, h, &s[NN_DOWN], expert, 0, r->act, r->out);
    for (size_t i = 0; i < h; i++)
        y[i] += share * r->out[i];
}

static void sparse_mlp(ref *r, size_t layer, const double *x, double *y)
{
    const nn_config *c = &r->base->config;
    double p[4096], max = -INFINITY, all = 0, total = 0;
    size_t best[4096];

    for (size_t e = 0; e < c->n_experts; e++) {
        p[e] = 0;
        for (size_t i = 0; i < c->hidden; i++)
            p[e] += (double)r->base->layers[layer].router[e * c->hidden + i] * x[i];
        max = fmax(max, p[e]);
    }
    for (size_t e = 0; e < c->n_experts; e++)
        all += p[e] = exp(p[e] - max);
    for (size_t k = 0; k < c->n_experts_used; k++) {
        best[k] = c->n_experts;
        for (size_t e = 0; e < c->n_experts; e++) {
            size_t j = 0;

            while (j < k && best[j] != e)
                j++;
            if (j == k && (best[k] == c->n_experts || p[e] > p[best[k]]))
                best[k] = e;
        }
        total += p[best[k]];
    }
    for (size_t k = 0; k < c->n_experts_used; k++)
        mlp(r, layer, best[k], p[best[k]] / (c->norm_topk_prob ? total : all), x, y);
}

static void run_layer(ref *r, size_t layer)
{
    const nn_config *c = &r->base->config;
    const nn_layer *l = &r->base->layers[layer];
    size_t h = c->hidden;

    for (size_t t = 0; t < r->n; t++)
        project(r, layer, t);
    for (size_t t = 0; t < r->n; t++) {
        double *x = r->x + t * h, *xn = r->xn + t * h;

        attend(r, t);
        map(r, l->o, nn_q_rows(c), h, &r->layout->layers[layer][NN_O], 0, 0,
            r->att + t * nn_q_rows(c), r->out);
        for (size_t i = 0; i < h; i++)
            x[i] += r->out[i];
        norm(x, l->norm2, h, c->rms_eps, xn);
        if (l->is_sparse)
            sparse_mlp(r, layer, xn, x);
        else
            mlp(r, layer, 0, 1, xn, x);
    }
}

static void target_logprobs(ref *r, const nn_datum *d, double *l)
{
    const nn_config *c = &r->base->config;

    for (size_t t = 0; t < r->n; t++) {
        double *xn = r->xn + t * c->hidden, max = -INFINITY, sum = 0;

        norm(r->x + t * c->hidden, r->base->norm, c->hidden, c->rms_eps, xn);
        map(r, r->base->head, c->hidden, c->vocab_size, &r->layout->unembed, 0, 0, xn,
            r->out);
        for (size_t v = 0; v < c->vocab_size; v++)
            max = fmax(max, r->out[v]);
        for (size_t v = 0; v < c->vocab_size; v++)
            sum += exp(r->out[v] - max);
        for (size_t j = 0; j < d->k; j++)
            l[t * d->k + j] = r->out[d->targets[t * d->k + j]] - max - log(sum);
    }
}

static double run_datum(const nn_adapter *layout, const double *theta, const nn_datum *d,
                        const nn_loss_plan *plan, double *l)
{
    const nn_config *c = &layout->base->config;
    size_t n = d->n_tokens, f = c->intermediate, sum_size = n + d->n_targets;
    ref r = {.base = layout->base, .layout = layout, .theta = theta, .n = n};
    double *e = calloc(sum_size, sizeof *e), sum = 0;

    f = c->moe_intermediate > f ? c->moe_intermediate : f;
    r.x = calloc(n * c->hidden, sizeof *r.x);
    r.xn = calloc(n * c->hidden, sizeof *r.xn);
    r.qkv = calloc(n * nn_qkv_rows(c), sizeof *r.qkv);
    r.att = calloc(n * nn_q_rows(c), sizeof *r.att);
    r.scores = calloc(n, sizeof *r.scores);
    r.act = calloc(2 * f, sizeof *r.act);
    r.out = calloc(c->hidden + c->vocab_size, sizeof *r.out);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < c->hidden; i++)
            r.x[t * c->hidden + i] =
                (double)layout->base->embedding[(size_t)d->tokens[t] * c->hidden + i];
    for (size_t i = 0; i < c->n_layers; i++)
        run_layer(&r, i);
    target_logprobs(&r, d, l);
    nn_loss_eval(plan, d, 0, n, l, plan->kind == NN_GSPO ? nn_loss_ratio(d, l) : 1, e,
                 e + n);
    for (size_t t = 0; t < n; t++)
        sum += e[t];
    free(e);
    free(r.x);
    free(r.xn);
    free(r.qkv);
    free(r.att);
    free(r.scores);
    free(r.act);
    free(r.out);
    return sum;
}

double ref64_loss(const nn_adapter *layout, const double *theta, const nn_datum *datums,
                  size_t n_datums, const nn_loss_plan *plan, double *logprobs)
{
    size_t most = 0, at = 0;
    double *own, sum = 0;

    for (size_t i = 0; i < n_datums; i++)
        most += datums[i].n_targets;
    own = calloc(most, sizeof *own);
    for (size_t i = 0; i < n_datums; i++) {
        sum += run_datum(layout, theta, &datums[i], plan, own + at);
        at += datums[i].n_targets;
    }
    if (logprobs)
        memcpy(logprobs, own, most * sizeof *own);
    free(own);
    return sum;
}
