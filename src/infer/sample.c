// SPDX-License-Identifier: Apache-2.0
/*
 * sample.c - the filters and the draw; see sample.h for the order.
 *
 * Probabilities come from the kernels' exp, relative to the largest logit, in ascending
 * id order; sums are double.  Nothing here sorts the vocabulary: top-k is a selection
 * with a heap of k, and top-p sorts only candidates above a threshold that is lowered
 * until the wanted mass lies above it.
 */
#include "infer/sample.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "infer/kernels/table.h"

typedef struct candidate {
    float value; /* tempered logit */
    uint32_t id;
} candidate;

struct tkx__token_sampler {
    const tkx__kernels *k;
    size_t n_vocab;
    float *logits;     /* with the extras applied */
    float *weight;     /* exp(tempered - largest) */
    candidate *best;   /* [n_vocab] heap or sorted list */
    int64_t *kept;     /* [n_vocab] ascending */
    double *probs;     /* [n_vocab] of kept */
    uint32_t *n_times; /* [n_vocab] occurrences in the history; all zero between calls */
};

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
    if (!s->logits || !s->weight || !s->best || !s->kept || !s->probs || !s->n_times) {
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

/* ---- selection ---- */

/* Does a come before b: larger, or equal with the lower id? */
static bool precedes(candidate a, candidate b)
{
    return a.value > b.value || (a.value == b.value && a.id < b.id);
}

static void sift_down(candidate *h, size_t n, size_t i)
{
    for (;;) { /* the root comes last of all */
        size_t child = 2 * i + 1;
        candidate t;

        if (child >= n)
            return;
        if (child + 1 < n && precedes(h[child], h[child + 1]))
            child++;
        if (!precedes(h[i], h[child]))
            return;
        t = h[i];
        h[i] = h[child];
        h[child] = t;
        i = child;
    }
}

/* The k first of the vocabulary, as a heap in s->best; k <= n_vocab. */
static void select_best(tkx__token_sampler *s, const float *v, size_t k)
{
    for (size_t i = 0; i < k; i++)
        s->best[i] = (candidate){v[i], (uint32_t)i};
    for (size_t i = k / 2; i-- > 0;)
        sift_down(s->best, k, i);
    for (size_t i = k; i < s->n_vocab; i++) {
        /* a later id loses a tie, so only a larger value enters */
        if (!(v[i] > s->best[0].value))
            continue;
        s->best[0] = (candidate){v[i], (uint32_t)i};
        sift_down(s->best, k, 0);
    }
}

static int by_rank(const void *a, const void *b)
{
    return precedes(*(const candidate *)a, *(const candidate *)b) ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const candidate *)a)->id;
    uint32_t y = ((const candidate *)b)->id;

    return x < y ? -1 : x > y;
}

/* ---- filters ---- */

/* What is left: s->best[0 .. n-1], or the whole vocabulary while is_all. */
typedef struct left {
    bool is_all;
    size_t n;
    double mass; /* sum of the weights of what is left */
} left;

static double sum_weights(const tkx__token_sampler *s, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)s->weight[s->best[i].id];
    return sum;
}

/*
 * Make s->best hold, in order of rank, at least the first tokens that reach `mass`.
 * Candidates above a threshold are collected and only those sorted.
 */
static size_t rank_until(tkx__token_sampler *s, const float *v, float max, double mass)
{
    /* weights 1/8, 1/512, ..: then everything */
    for (float below = 2;; below *= 2) {
        float threshold = below < 128 ? max - below : -INFINITY;
        double sum = 0;
        size_t n = 0;

        for (size_t i = 0; i < s->n_vocab; i++) {
            if (!(v[i] >= threshold))
                continue;
            s->best[n++] = (candidate){v[i], (uint32_t)i};
            sum += (double)s->weight[i];
        }
        if (sum >= mass || below >= 128) {
            qsort(s->best, n, sizeof *s->best, by_rank);
            return n;
        }
    }
}

/* Keep entry i while the probabilities before it sum to less than p; always the first. */
static void cut_top_p(tkx__token_sampler *s, const float *tempered, float max, float p,
                      left *l)
{
    double limit = (double)p * l->mass;
    double before = 0;
    size_t n = 0;

    if (l->is_all)
        l->n = rank_until(s, tempered, max, limit);
    else
        qsort(s->best, l->n, sizeof *s->best, by_rank);
    while (n < l->n && (n == 0 || before < limit))
        before += (double)s->weight[s->best[n++].id];
    l->is_all = false;
    l->n = n;
    l->mass = before;
}

static void cut_min_p(tkx__token_sampler *s, float min_p, left *l)
{
    size_t n = 0;

    if (l->is_all) {
        for (size_t i = 0; i < s->n_vocab; i++)
            if (s->weight[i] >= min_p)
                s->best[n++] = (candidate){s->weight[i], (uint32_t)i};
    } else {
        for (size_t i = 0; i < l->n; i++)
            if (s->weight[s->best[i].id] >= min_p)
                s->best[n++] = s->best[i];
    }
    l->is_all = false;
    l->n = n;
    l->mass = sum_weights(s, n);
}

/* Finite also for the smallest temperatures. */
static float inverse(float temperature)
{
    return fminf(1 / temperature, FLT_MAX);
}

/* Fills s->kept and s->probs; *max is the largest logit.  Needs temperature > 0.  0 when
   the logits are no numbers, or all are ruled out. */
static size_t filter(tkx__token_sampler *s, const float *logits,
                     const tkx__sample_params *p, float *max)
{
    float min_p = p->extras ? p->extras->min_p : 0;
    left l = {.is_all = true, .n = s->n_vocab};

    *max = s->k->max(logits, s->n_vocab);
    l.mass = s->k->sum_exp(logits, s->n_vocab, *max, inverse(p->temperature), s->weight);
    if (p->top_k > 0 && (uint64_t)p->top_k < s->n_vocab) {
        select_best(s, logits, (size_t)p->top_k);
        l = (left){.n = (size_t)p->top_k};
        l.mass = sum_weights(s, l.n);
    }
    if (p->top_p < 1)
        cut_top_p(s, logits, *max, p->top_p, &l);
    if (min_p > 0)
        cut_min_p(s, min_p, &l);

    if (!l.is_all)
        qsort(s->best, l.n, sizeof *s->best, by_id);
    l.mass = 0;
    for (size_t i = 0; i < l.n; i++) {
        size_t id = l.is_all ? i : s->best[i].id;

        s->kept[i] = (int64_t)id;
        s->probs[i] = (double)s->weight[id];
        l.mass += s->probs[i];
    }
    if (!(l.mass > 0))
        return 0;
    for (size_t i = 0; i < l.n; i++)
        s->probs[i] /= l.mass;
    return l.n;
}

size_t tkx__sample_filter(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, const int64_t **ids, const double **probs)
{
    size_t n = 1;
    float max;

    logits = apply_extras(s, logits, p->extras, history, n_history);
    if (p->temperature == 0) {
        s->kept[0] = (int64_t)tkx__argmax(s->k, logits, s->n_vocab);
        s->probs[0] = 1;
    } else {
        n = filter(s, logits, p, &max);
    }
    *ids = s->kept;
    *probs = s->probs;
    return n;
}

/* ---- tokens ---- */

float tkx__sample_logprob(tkx__token_sampler *s, const float *logits, int64_t id)
{
    return (float)((double)logits[id] - tkx__logsumexp(s->k, logits, s->n_vocab));
}

static float tempered_logprob(const tkx__token_sampler *s, const float *logits, float max,
                              float temperature, int64_t id)
{
    double sum = s->k->sum_exp(logits, s->n_vocab, max, inverse(temperature), NULL);

    return (float)(((double)logits[id] - (double)max) / (double)temperature - log(sum));
}

/* First kept id whose cumulative probability exceeds u. */
static size_t draw(const tkx__token_sampler *s, size_t n, double u)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += s->probs[i];
        if (sum > u)
            return i;
    }
    return n - 1; /* rounding kept the sum just below 1 */
}

int64_t tkx__sample_token(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, tkx__rng *rng, float *logprob)
{
    const float *used = apply_extras(s, logits, p->extras, history, n_history);
    float max;
    size_t n;
    size_t at;
    int64_t id;

    if (p->temperature == 0) {
        id = (int64_t)tkx__argmax(s->k, used, s->n_vocab);
        *logprob = tkx__sample_logprob(s, logits, id);
        return id;
    }
    n = filter(s, used, p, &max);
    if (n == 0) {
        *logprob = NAN;
        return 0;
    }
    at = draw(s, n, tkx__rng_uniform(rng));
    id = s->kept[at];
    if (p->mode == TKX__LOGPROB_FILTERED)
        *logprob = (float)log(s->probs[at]);
    else if (p->mode == TKX__LOGPROB_TEMPERED)
        *logprob = tempered_logprob(s, used, max, p->temperature, id);
    else
        *logprob = tkx__sample_logprob(s, logits, id);
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
    size_t n_kept = 0;
    float max = 0;

    if (n == 0)
        return;
    if (temperature > 0)
        n_kept = filter(s, logits, &all, &max);
    for (size_t i = 0; i < n; i++) {
        size_t at = n_kept > 0 ? draw(s, n_kept, tkx__rng_uniform(rng)) : best;

        ids[i] = (int64_t)at; /* all are kept: the place is the id */
        logprobs[i] = is_tempered && n_kept > 0 ? (float)log(s->probs[at])
                                                : (float)((double)logits[at] - lse);
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
    select_best(s, logits, n);
    qsort(s->best, n, sizeof *s->best, by_rank);
    for (size_t i = 0; i < n; i++) {
        ids[i] = (int64_t)s->best[i].id;
        logprobs[i] = (float)((double)s->best[i].value - lse);
    }
    return n;
}
