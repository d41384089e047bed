// SPDX-License-Identifier: Apache-2.0
/*
 * sample.c - tokens and their logprobs from a row of logits; see sample.h for the order.
 *
 * Probabilities come from the kernels' exp, relative to the largest logit, in ascending
 * id order; sums are double.  What is left to draw from is in sample_filter.c.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/sample_in.h"

/* ---- the generator ---- */

uint64_t tkx__rng_next(tkx__rng *rng)
{
    uint64_t z;

    rng->state += UINT64_C(0x9E3779B97F4A7C15);
    z = rng->state;
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

double tkx__rng_uniform(tkx__rng *rng)
{
    return (double)(tkx__rng_next(rng) >> 11) * 0x1p-53;
}

/* ---- parameters ---- */

static bool in_range(float v, float low, float high)
{
    return v >= low && v <= high; /* false for NaN */
}

static tkx_status check_extras(const tkx__sample_extras *e, size_t vocab_size,
                               tkx_error **err)
{
    if (!in_range(e->min_p, 0, 1))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "min_p is %g, not in 0 .. 1",
                         (double)e->min_p);
    if (!in_range(e->repetition_penalty, 0, 1e4f))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "repetition_penalty is %g, not in 0 .. 10000",
                         (double)e->repetition_penalty);
    if (!in_range(e->frequency_penalty, -1e4f, 1e4f) ||
        !in_range(e->presence_penalty, -1e4f, 1e4f))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "frequency_penalty and presence_penalty must be in -10000 .. "
                         "10000");
    for (size_t i = 0; i < e->n_bias; i++) {
        if (e->bias_ids[i] < 0 || (uint64_t)e->bias_ids[i] >= vocab_size)
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "logit bias for token %lld, but the vocabulary has %zu",
                             (long long)e->bias_ids[i], vocab_size);
        if (!in_range(e->bias_values[i], -INFINITY, 1e30f)) /* infinite ones make NaN */
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "logit bias for token %lld is %g: no number up to 1e30",
                             (long long)e->bias_ids[i], (double)e->bias_values[i]);
    }
    return TKX_OK;
}

tkx_status tkx__sample_params_check(const tkx__sample_params *p, size_t vocab_size,
                                    tkx_error **err)
{
    if (!in_range(p->temperature, 0, 1e6f))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "temperature is %g, not in 0 .. 1000000",
                         (double)p->temperature);
    if (!(p->top_p > 0))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "top_p is %g, not above 0",
                         (double)p->top_p);
    return p->extras ? check_extras(p->extras, vocab_size, err) : TKX_OK;
}

/* ---- life ---- */

tkx_status tkx__token_sampler_new(const tkx__kernels *k, size_t vocab_size,
                                  tkx__token_sampler **out, tkx_error **err)
{
    tkx__token_sampler *s;

    if (vocab_size == 0 || vocab_size > UINT32_MAX)
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "sampler: a vocabulary of %zu tokens", vocab_size);
    s = tkx__calloc(1, sizeof *s);
    if (!s)
        return tkx__fail_memory(err);
    s->k = k;
    s->n_vocab = vocab_size;
    s->logits = tkx__calloc(vocab_size, sizeof *s->logits);
    s->weight = tkx__calloc(vocab_size, sizeof *s->weight);
    s->best = tkx__calloc(vocab_size, sizeof *s->best);
    s->kept = tkx__calloc(vocab_size, sizeof *s->kept);
    s->probs = tkx__calloc(vocab_size, sizeof *s->probs);
    s->n_times = tkx__calloc(vocab_size, sizeof *s->n_times);
    s->blocks = tkx__calloc((vocab_size + TKX__SAMPLE_BLOCK - 1) / TKX__SAMPLE_BLOCK,
                            sizeof *s->blocks);
    if (!s->logits || !s->weight || !s->best || !s->kept || !s->probs || !s->n_times ||
        !s->blocks) {
        tkx__token_sampler_free(s);
        return tkx__fail_memory(err);
    }
    *out = s;
    return TKX_OK;
}

void tkx__token_sampler_free(tkx__token_sampler *s)
{
    if (!s)
        return;
    tkx__free(s->blocks);
    tkx__free(s->n_times);
    tkx__free(s->probs);
    tkx__free(s->kept);
    tkx__free(s->best);
    tkx__free(s->weight);
    tkx__free(s->logits);
    tkx__free(s);
}

/* ---- extras ---- */

static bool changes_logits(const tkx__sample_extras *e)
{
    return e &&
           (e->n_bias > 0 || (e->repetition_penalty > 0 && e->repetition_penalty != 1) ||
            e->frequency_penalty != 0 || e->presence_penalty != 0);
}

static void penalise(const tkx__sample_extras *e, float *logit, uint32_t n_times)
{
    if (e->repetition_penalty > 0)
        *logit =
            *logit > 0 ? *logit / e->repetition_penalty : *logit * e->repetition_penalty;
    *logit -= e->frequency_penalty * (float)n_times + e->presence_penalty;
}

/* The logits with bias and penalties, in s->logits; each token once, as often as it was.
 */
static const float *apply_extras(tkx__token_sampler *s, const float *logits,
                                 const tkx__sample_extras *e, const int64_t *history,
                                 size_t n_history)
{
    if (!changes_logits(e))
        return logits;
    memcpy(s->logits, logits, s->n_vocab * sizeof *s->logits);
    for (size_t i = 0; i < e->n_bias; i++)
        s->logits[e->bias_ids[i]] += e->bias_values[i];
    for (size_t i = 0; i < n_history; i++)
        if (history[i] >= 0 && (uint64_t)history[i] < s->n_vocab)
            s->n_times[history[i]]++;
    for (size_t i = 0; i < n_history; i++) {
        if (history[i] < 0 || (uint64_t)history[i] >= s->n_vocab ||
            s->n_times[history[i]] == 0)
            continue;
        penalise(e, &s->logits[history[i]], s->n_times[history[i]]);
        s->n_times[history[i]] = 0;
    }
    return s->logits;
}

size_t tkx__sample_filter(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, const int64_t **ids, const double **probs)
{
    const float *used = apply_extras(s, logits, p->extras, history, n_history);
    tkx__sample_left left = {.n = 1};

    *ids = s->kept;
    *probs = s->probs;
    if (p->temperature == 0) {
        s->kept[0] = (int64_t)tkx__argmax(s->k, used, s->n_vocab);
        s->probs[0] = 1;
        return 1;
    }
    left = tkx__sample_cut(s, used, p);
    for (size_t i = 0; i < left.n; i++) {
        s->kept[i] = left.is_all ? (int64_t)i : s->best[i].id;
        s->probs[i] = (double)s->weight[s->kept[i]] / left.mass;
    }
    return left.n;
}

/* ---- tokens ---- */

float tkx__sample_logprob(tkx__token_sampler *s, const float *logits, int64_t id)
{
    return (float)((double)logits[id] - tkx__logsumexp(s->k, logits, s->n_vocab));
}

static float tempered_logprob(const tkx__sample_left *left, const float *logits,
                              float temperature, int64_t id)
{
    return (float)(((double)logits[id] - (double)left->max) / (double)temperature -
                   log(left->sum));
}

/* Without extras and at temperature 1, the sum is there. */
static float raw_logprob(tkx__token_sampler *s, const tkx__sample_left *left,
                         const float *used, const float *logits, float temperature,
                         int64_t id)
{
    if (used != logits || temperature != 1)
        return tkx__sample_logprob(s, logits, id);
    return (float)((double)logits[id] - (log(left->sum) + (double)left->max));
}

int64_t tkx__sample_token(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, tkx__rng *rng, float *logprob)
{
    const float *used = apply_extras(s, logits, p->extras, history, n_history);
    tkx__sample_left left;
    int64_t id;

    if (p->temperature == 0) {
        id = (int64_t)tkx__argmax(s->k, used, s->n_vocab);
        *logprob = tkx__sample_logprob(s, logits, id);
        return id;
    }
    left = tkx__sample_cut(s, used, p);
    if (left.n == 0) {
        *logprob = NAN;
        return 0;
    }
    id = tkx__sample_draw(s, &left, tkx__rng_uniform(rng));
    if (p->mode == TKX__LOGPROB_FILTERED)
        *logprob = (float)log((double)s->weight[id] / left.mass);
    else if (p->mode == TKX__LOGPROB_TEMPERED)
        *logprob = tempered_logprob(&left, used, p->temperature, id);
    else
        *logprob = raw_logprob(s, &left, used, logits, p->temperature, id);
    return id;
}

void tkx__sample_alternatives(tkx__token_sampler *s, const float *logits,
                              float temperature, tkx__logprob_mode mode, tkx__rng *rng,
                              size_t n, int64_t *ids, float *logprobs)
{
    const tkx__sample_params all = {.temperature = temperature, .top_p = 1};
    bool is_tempered = temperature > 0 && mode != TKX__LOGPROB_RAW;
    double lse = tkx__logsumexp(s->k, logits, s->n_vocab);
    size_t best = tkx__argmax(s->k, logits, s->n_vocab);
    tkx__sample_left left = {.n = 0};

    if (n == 0)
        return;
    if (temperature > 0)
        left = tkx__sample_cut(s, logits, &all);
    for (size_t i = 0; i < n; i++) {
        int64_t id = left.n > 0 ? tkx__sample_draw(s, &left, tkx__rng_uniform(rng))
                                : (int64_t)best;

        ids[i] = id;
        logprobs[i] = is_tempered && left.n > 0
                          ? (float)log((double)s->weight[id] / left.mass)
                          : (float)((double)logits[id] - lse);
    }
}

size_t tkx__sample_top(tkx__token_sampler *s, const float *logits, size_t n, int64_t *ids,
                       float *logprobs)
{
    double lse = tkx__logsumexp(s->k, logits, s->n_vocab);

    if (n > s->n_vocab)
        n = s->n_vocab;
    if (n == 0)
        return 0;
    tkx__sample_rank(s, logits, n);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int64_t)s->best[i].id;
        logprobs[i] = (float)((double)s->best[i].value - lse);
    }
    return n;
}
