/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pass.c - embedding, layers, head, loss; then back.
 *
 * The head works on a few rows at a time, so that logits of a large vocabulary stay in
 * the cache: logits, logprobs, losses and their derivative are done before the next rows.
 * gspo and custom losses need the whole sequence's logprobs first, and so compute their
 * logits twice.
 */
#include "mock_server/nn/pass.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "mock_server/nn/layer.h"
#include "mock_server/nn/linear.h"
#include "mock_server/nn/ops.h"

enum {
    LOGIT_BYTES = 16 << 20, /* of one piece of the head */
    MIN_HEAD_ROWS = 64
};

/* Everything a pass keeps in its work. */
typedef struct plan {
    nn_block block;
    size_t *starts;
    size_t *cells; /* [n_datums + 1], where a datum's targets begin */
    size_t head_rows;
    float **x;     /* [n_layers + 1], inputs of the layers; the last is the output */
    nn_acts *acts; /* [n_layers], or one when they are made again */
    nn_layer_scratch scratch;
    float *xn; /* [m, hidden], after the last norm */
    float *rstd;
    float *logits;  /* [head_rows, vocab] */
    float *h, *dh;  /* [head_rows, rank] */
    double *l, *g;  /* [cells] target logprobs and derivatives */
    double *e;      /* [m] */
    double *ratios; /* [n_datums] */
    float *dx;      /* [m, hidden] */
    float *gradient;
} plan;

static size_t rows_of(const nn_pass *p)
{
    size_t m = 0;

    for (size_t i = 0; i < p->n_datums; i++)
        m += p->datums[i].n_tokens;
    return m;
}

static void set_block(const nn_pass *p, nn_work *work, plan *s)
{
    s->starts = nn_take(work, p->n_datums + 1, sizeof *s->starts);
    s->cells = nn_take(work, p->n_datums + 1, sizeof *s->cells);
    s->block = (nn_block){.base = p->base,
                          .adapter = p->adapter,
                          .m = rows_of(p),
                          .n_sequences = p->n_datums,
                          .starts = s->starts};
    for (size_t i = 0; i < p->n_datums; i++)
        if (p->datums[i].n_tokens > s->block.longest)
            s->block.longest = p->datums[i].n_tokens;
    if (!s->starts || !s->cells)
        return;
    s->starts[0] = s->cells[0] = 0;
    for (size_t i = 0; i < p->n_datums; i++) {
        s->starts[i + 1] = s->starts[i] + p->datums[i].n_tokens;
        s->cells[i + 1] = s->cells[i] + p->datums[i].n_targets;
    }
}

static void take_layers(const nn_pass *p, nn_work *work, plan *s)
{
    size_t n = p->base->config.n_layers, m = s->block.m, hidden = p->base->config.hidden;
    bool keep = p->with_gradient && !p->recompute;
    bool has_sparse = false, has_dense = false;

    s->x = nn_take(work, n + 1, sizeof *s->x);
    s->acts = nn_take(work, n, sizeof *s->acts);
    for (size_t i = 0; i <= n; i++) {
        float *x = p->with_gradient || i < 2 ? nn_take_floats(work, m, hidden) : NULL;

        if (s->x)
            s->x[i] = p->with_gradient || i < 2 ? x : s->x[i - 2];
    }
    if (keep) {
        for (size_t i = 0; i < n; i++) {
            nn_acts acts;

            nn_acts_take(work, &s->block, p->base->layers[i].is_sparse, &acts);
            if (s->acts)
                s->acts[i] = acts;
        }
    } else {
        nn_acts dense = {0}, sparse = {0};

        for (size_t i = 0; i < n; i++) {
            bool is_sparse = p->base->layers[i].is_sparse;

            if (is_sparse && !has_sparse)
                nn_acts_take(work, &s->block, true, &sparse);
            if (!is_sparse && !has_dense)
                nn_acts_take(work, &s->block, false, &dense);
            has_sparse |= is_sparse;
            has_dense |= !is_sparse;
            if (s->acts)
                s->acts[i] = is_sparse ? sparse : dense;
        }
    }
    for (size_t i = 0; s->acts && s->x && i < n; i++)
        s->acts[i].x = s->x[i];
    nn_layer_scratch_take(work, &s->block, &s->scratch);
}

/* Measures with an empty work, else hands out memory. */
static void take(const nn_pass *p, nn_work *work, plan *s)
{
    size_t vocab = p->base->config.vocab_size, hidden = p->base->config.hidden, cells = 0;
    size_t rank = p->adapter ? p->adapter->rank : 0, m;

    memset(s, 0, sizeof *s);
    set_block(p, work, s);
    m = s->block.m;
    for (size_t i = 0; i < p->n_datums; i++)
        cells += p->datums[i].n_targets;
    s->head_rows = LOGIT_BYTES / sizeof(float) / vocab;
    if (s->head_rows < MIN_HEAD_ROWS)
        s->head_rows = MIN_HEAD_ROWS;
    if (s->head_rows > m)
        s->head_rows = m;
    take_layers(p, work, s);
    s->xn = nn_take_floats(work, m, hidden);
    s->rstd = nn_take_floats(work, m, 1);
    s->logits = nn_take_floats(work, s->head_rows, vocab);
    s->h = nn_take_floats(work, s->head_rows, rank);
    s->dh = nn_take_floats(work, s->head_rows, rank);
    s->l = nn_take(work, cells, sizeof *s->l);
    s->g = nn_take(work, cells, sizeof *s->g);
    s->e = nn_take(work, m, sizeof *s->e);
    s->ratios = nn_take(work, p->n_datums, sizeof *s->ratios);
    if (!p->with_gradient || !p->adapter)
        return;
    s->dx = nn_take_floats(work, m, hidden);
    s->gradient = nn_take_floats(work, p->adapter->n_values, 1);
}

size_t nn_pass_size(const nn_pass *pass)
{
    nn_work measure = {0};
    plan s;

    take(pass, &measure, &s);
    return measure.used;
}

static void forward(const nn_pass *p, plan *s)
{
    const nn_config *c = &p->base->config;
    float *row = s->x[0];

    for (size_t i = 0; i < p->n_datums; i++)
        for (size_t t = 0; t < p->datums[i].n_tokens; t++, row += c->hidden)
            memcpy(row, p->base->embedding + (size_t)p->datums[i].tokens[t] * c->hidden,
                   c->hidden * sizeof *row);
    for (size_t i = 0; i < c->n_layers; i++)
        nn_layer_forward(&s->block, i, &s->acts[i], &s->scratch, s->x[i + 1]);
    nn_rms_norm(s->block.m, c->hidden, s->x[c->n_layers], c->hidden, p->base->norm,
                c->rms_eps, s->xn, c->hidden, s->rstd);
}

/* One logit row to probabilities before division; target logprobs into l. */
static float finish_row(const nn_pass *p, const plan *s, size_t datum, size_t t, float *z)
{
    const nn_datum *d = &p->datums[datum];
    const int64_t *y = d->targets + t * d->k;
    double *l = s->l + s->cells[datum] + t * d->k, sum;
    float max;

    for (size_t j = 0; j < d->k; j++)
        l[j] = (double)z[y[j]];
    sum = nn_exp_row(z, p->base->config.vocab_size, &max);
    for (size_t j = 0; j < d->k; j++)
        l[j] -= (double)max + log(sum);
    return (float)(1 / sum);
}

/* exp(z - max) to the derivative of the logits: sum of g times (one-hot - p). */
static void derive_row(const nn_pass *p, const plan *s, size_t datum, size_t t, float *z,
                       float inverse)
{
    const nn_datum *d = &p->datums[datum];
    const int64_t *y = d->targets + t * d->k;
    const double *g = s->g + s->cells[datum] + t * d->k;
    double total = 0;

    for (size_t j = 0; j < d->k; j++)
        total += g[j];
    nn_scale_row(z, p->base->config.vocab_size, (float)(-total * (double)inverse));
    for (size_t j = 0; j < d->k; j++)
        z[y[j]] += (float)g[j];
}

/* Through the head for rows r0 .. r1, and back when with_back and some g is not zero. */
static void head_piece(const nn_pass *p, plan *s, size_t r0, size_t r1, bool with_back)
{
    const nn_config *c = &p->base->config;
    nn_linear head = nn_linear_head(p->base, p->adapter);
    size_t hidden = c->hidden, vocab = c->vocab_size, datum = 0;
    bool is_needed = false;

    nn_linear_forward(p->adapter, &head, r1 - r0, s->xn + r0 * hidden, s->logits, s->h);
    for (size_t r = r0; r < r1; r++) {
        while (s->starts[datum + 1] <= r)
            datum++;
        size_t t = r - s->starts[datum], cell = s->cells[datum] + t * p->datums[datum].k;
        float *z = s->logits + (r - r0) * vocab;
        float inverse = finish_row(p, s, datum, t, z);

        nn_loss_eval(p->plan, &p->datums[datum], t, 1, s->l + cell, s->ratios[datum],
                     s->e + r, s->g + cell);
        for (size_t j = 0; j < p->datums[datum].k; j++)
            is_needed |= s->g[cell + j] != 0;
        if (with_back)
            derive_row(p, s, datum, t, z, inverse);
    }
    if (!with_back)
        return;
    if (is_needed)
        nn_linear_back(p->adapter, &head, r1 - r0, s->xn + r0 * hidden, s->h, s->logits,
                       s->dh, s->gradient, s->dx + r0 * hidden, false);
    else
        memset(s->dx + r0 * hidden, 0, (r1 - r0) * hidden * sizeof *s->dx);
}

static void run_head(const nn_pass *p, plan *s)
{
    bool twice = p->plan->kind == NN_GSPO || p->plan->kind == NN_CUSTOM;

    for (size_t i = 0; i < p->n_datums; i++)
        s->ratios[i] = 1;
    for (size_t r = 0; r < s->block.m; r += s->head_rows) {
        size_t end = r + s->head_rows < s->block.m ? r + s->head_rows : s->block.m;

        head_piece(p, s, r, end, p->with_gradient && !twice);
    }
    if (!twice)
        return;
    for (size_t i = 0; i < p->n_datums; i++)
        if (p->plan->kind == NN_CUSTOM)
            nn_loss_custom(p->plan, &p->datums[i], s->l + s->cells[i],
                           s->e + s->starts[i], s->g + s->cells[i]);
        else
            s->ratios[i] = nn_loss_ratio(&p->datums[i], s->l + s->cells[i]);
    for (size_t r = 0; r < s->block.m; r += s->head_rows) {
        size_t end = r + s->head_rows < s->block.m ? r + s->head_rows : s->block.m;

        head_piece(p, s, r, end, p->with_gradient);
    }
}

static void report(const nn_pass *p, const plan *s)
{
    for (size_t i = 0; i < p->n_datums; i++) {
        nn_datum_result *to = &p->results[i];

        for (size_t j = 0; j < p->datums[i].n_targets; j++)
            to->logprobs[j] = (float)s->l[s->cells[i] + j];
        p->losses[i] = 0;
        for (size_t t = 0; t < p->datums[i].n_tokens; t++) {
            to->elementwise[t] = (float)s->e[s->starts[i] + t];
            p->losses[i] += s->e[s->starts[i] + t];
        }
    }
}

/* Layers below the lowest trained one need no derivative. */
static void backward(const nn_pass *p, plan *s)
{
    const nn_config *c = &p->base->config;

    if (!p->adapter->options.train_attn && !p->adapter->options.train_mlp)
        return;
    nn_rms_norm_back(s->block.m, c->hidden, s->x[c->n_layers], c->hidden, p->base->norm,
                     s->rstd, s->dx, c->hidden, s->dx, c->hidden, false);
    for (size_t i = c->n_layers; i-- > 0;) {
        if (p->recompute)
            nn_layer_forward(&s->block, i, &s->acts[i], &s->scratch, s->xn);
        nn_layer_back(&s->block, i, &s->acts[i], &s->scratch, s->gradient, s->dx, i == 0);
    }
}

void nn_pass_run(const nn_pass *p, nn_work *work, const float **gradient)
{
    plan s;

    take(p, work, &s);
    if (p->with_gradient)
        memset(s.gradient, 0, p->adapter->n_values * sizeof *s.gradient);
    forward(p, &s);
    run_head(p, &s);
    report(p, &s);
    if (p->with_gradient)
        backward(p, &s);
    *gradient = s.gradient;
}
