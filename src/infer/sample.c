/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sample.c - from a row of logits to a token.
 *
 * Works on ids of what is left, in double.  top-k finds its bound by selection and top-p
 * takes from a heap until the sum is reached: neither sorts the vocabulary.  Everything
 * is summed over ascending ids, so a draw depends on the logits alone.
 */
#include "infer/sample.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

struct tkx__token_sampler {
    const tkx__kernels *k;
    size_t vocab_size;
    float *z;        /* [vocab_size] logits after the extras */
    double *probs;   /* [vocab_size] of ids[i], then normalised */
    int64_t *ids;    /* [vocab_size] what is left, ascending */
    uint32_t *heap;  /* [vocab_size] */
    uint32_t *count; /* [vocab_size] of the history */
    bool *keep;      /* [vocab_size] false between calls */
};

uint64_t tkx__rng_next(tkx__rng *rng)
{
    uint64_t z = rng->state += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

double tkx__rng_uniform(tkx__rng *rng)
{
    return (double)(tkx__rng_next(rng) >> 11) * 0x1p-53;
}

static tkx_status check_extras(const tkx__sample_extras *e, size_t vocab_size,
                               tkx_error **err)
{
    if (!(e->min_p >= 0 && e->min_p <= 1))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "min_p %g is not within 0 and 1",
                         (double)e->min_p);
    if (!(e->repetition_penalty >= 0 && e->repetition_penalty < 1e4f) ||
        !(fabsf(e->frequency_penalty) < 1e4f) || !(fabsf(e->presence_penalty) < 1e4f))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "a penalty cannot be used");
    for (size_t i = 0; i < e->n_bias; i++) {
        if (e->bias_ids[i] < 0 || (uint64_t)e->bias_ids[i] >= vocab_size ||
            isnan(e->bias_values[i]))
            return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                             "logit bias %zu cannot be used", i);
    }
    return TKX_OK;
}

tkx_status tkx__sample_params_check(const tkx__sample_params *p, size_t vocab_size,
                                    tkx_error **err)
{
    if (!(p->temperature >= 0 && p->temperature <= 1e4f))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT,
                         "temperature %g is not within 0 and 10000",
                         (double)p->temperature);
    if (!(p->top_p > 0))
        return tkx__fail(err, TKX_ERR_INVALID_ARGUMENT, "top_p %g is not above 0",
                         (double)p->top_p);
    return p->extras ? check_extras(p->extras, vocab_size, err) : TKX_OK;
}

tkx_status tkx__token_sampler_new(const tkx__kernels *k, size_t vocab_size,
                                  tkx__token_sampler **out, tkx_error **err)
{
    tkx__token_sampler *s = tkx__calloc(1, sizeof *s);

    if (!s)
        return tkx__fail_memory(err);
    s->k = k;
    s->vocab_size = vocab_size;
    s->z = tkx__calloc(vocab_size, sizeof *s->z);
    s->probs = tkx__calloc(vocab_size, sizeof *s->probs);
    s->ids = tkx__calloc(vocab_size, sizeof *s->ids);
    s->heap = tkx__calloc(vocab_size, sizeof *s->heap);
    s->count = tkx__calloc(vocab_size, sizeof *s->count);
    s->keep = tkx__calloc(vocab_size, sizeof *s->keep);
    if (!s->z || !s->probs || !s->ids || !s->heap || !s->count || !s->keep) {
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
    tkx__free(s->z);
    tkx__free(s->probs);
    tkx__free(s->ids);
    tkx__free(s->heap);
    tkx__free(s->count);
    tkx__free(s->keep);
    tkx__free(s);
}

/* ---- local extras: on the logits, before everything else ---- */

static void penalise(tkx__token_sampler *s, const tkx__sample_extras *e,
                     const int64_t *history, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s->count[history[i]]++;
    for (size_t i = 0; i < n; i++) {
        size_t id = (size_t)history[i];
        float *z = &s->z[id];

        if (s->count[id] == 0)
            continue; /* an earlier occurrence has been dealt with */
        if (e->repetition_penalty > 0)
            *z = *z > 0 ? *z / e->repetition_penalty : *z * e->repetition_penalty;
        *z -= (float)s->count[id] * e->frequency_penalty + e->presence_penalty;
        s->count[id] = 0;
    }
}

static void apply_extras(tkx__token_sampler *s, const tkx__sample_extras *e,
                         const int64_t *history, size_t n_history)
{
    float floor_z;

    if (e->repetition_penalty > 0 || e->frequency_penalty != 0 ||
        e->presence_penalty != 0)
        penalise(s, e, history, n_history);
    for (size_t i = 0; i < e->n_bias; i++)
        s->z[e->bias_ids[i]] += e->bias_values[i];
    if (!(e->min_p > 0))
        return;
    floor_z = s->z[tkx__argmax(s->k, s->z, s->vocab_size)] + logf(e->min_p);
    for (size_t i = 0; i < s->vocab_size; i++) {
        if (s->z[i] < floor_z)
            s->z[i] = -INFINITY;
    }
}

/* ---- the order of candidates: larger logit first, then lower id ---- */

static bool before(const float *z, uint32_t a, uint32_t b)
{
    return z[a] > z[b] || (z[a] == z[b] && a < b);
}

static void sift(const float *z, uint32_t *heap, size_t n, size_t i)
{
    uint32_t moved = heap[i];

    for (;;) {
        size_t child = 2 * i + 1;

        if (child >= n)
            break;
        if (child + 1 < n && before(z, heap[child + 1], heap[child]))
            child++;
        if (!before(z, heap[child], moved))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

/* The first of n candidates on top. */
static void make_heap(const float *z, uint32_t *heap, size_t n)
{
    for (size_t i = n / 2; i > 0; i--)
        sift(z, heap, n, i - 1);
}

static uint32_t pop(const float *z, uint32_t *heap, size_t *n)
{
    uint32_t top = heap[0];

    heap[0] = heap[--*n];
    if (*n > 1)
        sift(z, heap, *n, 0);
    return top;
}

/* Ids that are not ruled out already; returns how many. */
static size_t candidates(const tkx__token_sampler *s, const float *z, uint32_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < s->vocab_size; i++) {
        if (z[i] > -INFINITY) /* NaN neither */
            out[n++] = (uint32_t)i;
    }
    if (n == 0)
        out[n++] = 0; /* a row without a number: any token, always the same */
    return n;
}

/* ---- filters ---- */

/* What top-k and top-p leave, ascending in s->ids with weights exp((z - max) / T) in
   s->probs; returns how many. */
static size_t gather(tkx__token_sampler *s, double max, double temperature)
{
    size_t n = 0;

    for (size_t i = 0; i < s->vocab_size; i++) {
        if (!s->keep[i])
            continue;
        s->keep[i] = false;
        s->ids[n] = (int64_t)i;
        s->probs[n++] = exp(((double)s->z[i] - max) / temperature);
    }
    return n;
}

static double weight_sum(const tkx__token_sampler *s, const uint32_t *ids, size_t n,
                         double max, double temperature)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += exp(((double)s->z[ids[i]] - max) / temperature);
    return sum;
}

/* Pop from the heap of n candidates: at most k of them, and while the sum before is < p.
 */
static void keep_best(tkx__token_sampler *s, size_t n, size_t k, double top_p, double max,
                      double temperature)
{
    double total = 0;
    double sum = 0;
    size_t left = n;

    make_heap(s->z, s->heap, n);
    if (k <
        n) { /* the popped ones move behind the heap: pop puts them nowhere, so keep */
        size_t n_popped = 0;

        while (n_popped < k) {
            uint32_t id = pop(s->z, s->heap, &left);

            s->heap[left] = id; /* best at the end, in falling order towards `left` */
            n_popped++;
        }
        for (size_t i = 0; i < k; i++) /* sum in order of rank */
            total += exp(((double)s->z[s->heap[n - 1 - i]] - max) / temperature);
        for (size_t i = 0; i < k; i++) {
            uint32_t id = s->heap[n - 1 - i];

            if (i > 0 && !(sum < top_p * total))
                break;
            s->keep[id] = true;
            sum += exp(((double)s->z[id] - max) / temperature);
        }
        return;
    }
    total = weight_sum(s, s->heap, n, max, temperature);
    while (left > 0 && (left == n || sum < top_p * total)) {
        uint32_t id = pop(s->z, s->heap, &left);

        s->keep[id] = true;
        sum += exp(((double)s->z[id] - max) / temperature);
    }
}

static void normalise(tkx__token_sampler *s, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += s->probs[i];
    for (size_t i = 0; i < n; i++)
        s->probs[i] /= sum;
}

/* Fills ids and probs; returns how many are left. */
static size_t filter(tkx__token_sampler *s, const float *logits,
                     const tkx__sample_params *p, const int64_t *history,
                     size_t n_history)
{
    size_t best;
    size_t n;
    double max;
    double t = (double)p->temperature;

    memcpy(s->z, logits, s->vocab_size * sizeof *s->z);
    if (p->extras)
        apply_extras(s, p->extras, history, n_history);
    best = tkx__argmax(s->k, s->z, s->vocab_size);
    if (p->temperature == 0) {
        s->ids[0] = (int64_t)best;
        s->probs[0] = 1;
        return 1;
    }
    max = (double)s->z[best];
    n = candidates(s, s->z, s->heap);
    if ((p->top_k > 0 && (uint64_t)p->top_k < n) || p->top_p < 1) {
        size_t k = p->top_k > 0 && (uint64_t)p->top_k < n ? (size_t)p->top_k : n;

        keep_best(s, n, k, p->top_p < 1 ? (double)p->top_p : 2, max, t);
    } else {
        for (size_t i = 0; i < n; i++)
            s->keep[s->heap[i]] = true;
    }
    n = gather(s, max, t);
    normalise(s, n);
    return n;
}

size_t tkx__sample_filter(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, const int64_t **ids, const double **probs)
{
    size_t n = filter(s, logits, p, history, n_history);

    *ids = s->ids;
    *probs = s->probs;
    return n;
}

/* ---- tokens and logprobs ---- */

float tkx__sample_logprob(tkx__token_sampler *s, const float *logits, int64_t id)
{
    return (float)((double)logits[id] - tkx__logsumexp(s->k, logits, s->vocab_size));
}

/* log softmax of z / T, the extras included. */
static float tempered_logprob(const tkx__token_sampler *s, double temperature, int64_t id)
{
    double max = (double)s->z[tkx__argmax(s->k, s->z, s->vocab_size)];
    double sum = 0;

    for (size_t i = 0; i < s->vocab_size; i++) {
        if (s->z[i] > -INFINITY)
            sum += exp(((double)s->z[i] - max) / temperature);
    }
    return (float)(((double)s->z[id] - max) / temperature - log(sum));
}

static size_t draw(const tkx__token_sampler *s, size_t n, tkx__rng *rng)
{
    double u = tkx__rng_uniform(rng);
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += s->probs[i];
        if (sum > u)
            return i;
    }
    return n - 1; /* the sum fell short of 1 by rounding */
}

int64_t tkx__sample_token(tkx__token_sampler *s, const float *logits,
                          const tkx__sample_params *p, const int64_t *history,
                          size_t n_history, tkx__rng *rng, float *logprob)
{
    size_t n = filter(s, logits, p, history, n_history);
    size_t i = p->temperature == 0 ? 0 : draw(s, n, rng);
    int64_t id = s->ids[i];

    if (p->mode == TKX__LOGPROB_RAW || p->temperature == 0)
        *logprob = tkx__sample_logprob(s, logits, id);
    else if (p->mode == TKX__LOGPROB_TEMPERED)
        *logprob = tempered_logprob(s, (double)p->temperature, id);
    else
        *logprob = (float)log(s->probs[i]);
    return id;
}

size_t tkx__sample_top(tkx__token_sampler *s, const float *logits, size_t n, int64_t *ids,
                       float *logprobs)
{
    double sum = tkx__logsumexp(s->k, logits, s->vocab_size);
    size_t left = candidates(s, logits, s->heap);
    size_t n_out = 0;

    make_heap(logits, s->heap, left);
    while (n_out < n && left > 0) {
        uint32_t id = pop(logits, s->heap, &left);

        ids[n_out] = id;
        logprobs[n_out++] = (float)((double)logits[id] - sum);
    }
    return n_out;
}
