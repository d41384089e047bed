// SPDX-License-Identifier: Apache-2.0
/*
 * sample_filter.c - what temperature, top-k, top-p and min-p leave, and drawing from it.
 *
 * Nothing sorts the vocabulary: top-k is a selection with a heap of k, and top-p sums
 * weights in buckets by logit and sorts only the one in which the wanted mass is reached.
 * Sorts are heap sorts: the C library's takes memory.
 */
#include <float.h>
#include <math.h>

#include "infer/sample_in.h"

/* Candidates of top-p that are sorted at once. */
#define MOST_SORTED 2048

/* ---- order ---- */

typedef bool order_fn(candidate a, candidate b);

/* Does a come before b: larger, or equal with the lower id? */
static inline bool precedes(candidate a, candidate b)
{
    return a.value > b.value || (a.value == b.value && a.id < b.id);
}

static inline bool is_lower(candidate a, candidate b)
{
    return a.id < b.id;
}

/* The root comes last of all. */
static inline void sift_down(candidate *h, size_t n, size_t i, order_fn *before)
{
    candidate moved = h[i];

    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(h[child], h[child + 1]))
            child++;
        if (!before(moved, h[child]))
            break;
        h[i] = h[child];
    }
    h[i] = moved;
}

static inline void make_heap(candidate *h, size_t n, order_fn *before)
{
    for (size_t i = n / 2; i-- > 0;)
        sift_down(h, n, i, before);
}

static inline void sort_heap(candidate *h, size_t n, order_fn *before)
{
    while (n > 1) {
        candidate last = h[0];

        h[0] = h[--n];
        h[n] = last;
        sift_down(h, n, 0, before);
    }
}

/* The k first of the vocabulary, as a heap in s->best; k <= n_vocab. */
static void select_best(tkx__token_sampler *s, const float *v, size_t k)
{
    for (size_t i = 0; i < k; i++)
        s->best[i] = (candidate){v[i], (uint32_t)i};
    make_heap(s->best, k, precedes);
    for (size_t i = k; i < s->n_vocab; i++) {
        /* a later id loses a tie, so only a larger value enters */
        if (!(v[i] > s->best[0].value))
            continue;
        s->best[0] = (candidate){v[i], (uint32_t)i};
        sift_down(s->best, k, 0, precedes);
    }
}

void tkx__sample_rank(tkx__token_sampler *s, const float *v, size_t n)
{
    select_best(s, v, n);
    sort_heap(s->best, n, precedes);
}

/* ---- top-p ---- */

/* How many of the first in s->best it takes until the sum, `before` at first, reaches
   limit; at least one. */
static size_t count_until(const tkx__token_sampler *s, size_t n, double before,
                          double limit)
{
    size_t i = 0;

    while (i < n && (i == 0 || before < limit))
        before += (double)s->weight[s->best[i++].id];
    return i;
}

static size_t bucket_of(float max, float v, float scale)
{
    return (size_t)fminf((max - v) * scale, TKX__SAMPLE_BUCKETS - 1);
}

/* Of the n in s->best, the one with which the sum reaches limit. */
static candidate last_of(tkx__token_sampler *s, size_t n, double before, double limit)
{
    make_heap(s->best, n, precedes);
    sort_heap(s->best, n, precedes);
    return s->best[count_until(s, n, before, limit) - 1];
}

/* Few logits near the largest have the mass, usually: false when they have not, or are
   too many to be sorted. */
static bool find_among_few(tkx__token_sampler *s, const float *v, float max, double limit,
                           candidate *last)
{
    static const float near[] = {2, 8};

    for (size_t j = 0; j < sizeof near / sizeof *near; j++) {
        double sum = 0;
        size_t n = 0;

        for (size_t i = 0; i < s->n_vocab && n < MOST_SORTED; i++) {
            if (!(v[i] >= max - near[j]))
                continue;
            s->best[n++] = (candidate){v[i], (uint32_t)i};
            sum += (double)s->weight[i];
        }
        if (n == MOST_SORTED)
            return false;
        if (sum >= limit) {
            *last = last_of(s, n, 0, limit);
            return true;
        }
    }
    return false;
}

/* The same by sums in buckets, of which one is sorted. */
static candidate find_among_all(tkx__token_sampler *s, const float *v, float max,
                                float scale, double limit)
{
    double before = 0;
    size_t at = 0;
    size_t n = 0;

    for (size_t b = 0; b < TKX__SAMPLE_BUCKETS; b++)
        s->buckets[b] = 0;
    for (size_t i = 0; i < s->n_vocab; i++)
        s->buckets[bucket_of(max, v[i], scale)] += (double)s->weight[i];
    while (at + 1 < TKX__SAMPLE_BUCKETS && before + s->buckets[at] < limit)
        before += s->buckets[at++];
    for (size_t i = 0; i < s->n_vocab; i++) {
        if (bucket_of(max, v[i], scale) == at)
            s->best[n++] = (candidate){v[i], (uint32_t)i};
    }
    if (n == 0) /* rounding: nothing is left out */
        return (candidate){-INFINITY, UINT32_MAX};
    return last_of(s, n, before, limit);
}

/* Keep entries while the probabilities before them sum to less than p; always the first.
 */
static void cut_top_p(tkx__token_sampler *s, const float *v, float temperature, float p,
                      tkx__sample_left *l)
{
    double limit = (double)p * l->mass;
    float scale = fminf(32 * tkx__sample_inverse(temperature), FLT_MAX);
    candidate last;

    if (!l->is_all) {
        make_heap(s->best, l->n, precedes);
        sort_heap(s->best, l->n, precedes);
        l->n = count_until(s, l->n, 0, limit);
        make_heap(s->best, l->n, is_lower);
        sort_heap(s->best, l->n, is_lower);
        return;
    }
    if (!find_among_few(s, v, l->max, limit, &last))
        last = find_among_all(s, v, l->max, scale, limit);
    l->is_all = false;
    l->n = 0;
    for (size_t i = 0; i < s->n_vocab; i++) {
        candidate c = {v[i], (uint32_t)i};

        if (!precedes(last, c))
            s->best[l->n++] = c;
    }
}

/* ---- the filters ---- */

static void cut_top_k(tkx__token_sampler *s, const float *v, size_t k,
                      tkx__sample_left *l)
{
    select_best(s, v, k);
    make_heap(s->best, k, is_lower);
    sort_heap(s->best, k, is_lower);
    l->is_all = false;
    l->n = k;
}

static void cut_min_p(tkx__token_sampler *s, const float *v, float min_p,
                      tkx__sample_left *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++) {
        candidate c = l->is_all ? (candidate){v[i], (uint32_t)i} : s->best[i];

        if (s->weight[c.id] >= min_p)
            s->best[n++] = c;
    }
    l->is_all = false;
    l->n = n;
}

/* Of a block of ids: 8 lanes, added as the kernels' sums are. */
static double sum_block(const float *w, size_t n)
{
    double lane[8] = {0};
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            lane[j] += (double)w[i + j];
    for (; i < n; i++)
        lane[i % 8] += (double)w[i];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static double sum_all(tkx__token_sampler *s)
{
    double sum = 0;

    for (size_t i = 0, b = 0; i < s->n_vocab; i += TKX__SAMPLE_BLOCK, b++) {
        size_t left = s->n_vocab - i;

        s->blocks[b] =
            sum_block(s->weight + i, left < TKX__SAMPLE_BLOCK ? left : TKX__SAMPLE_BLOCK);
        sum += s->blocks[b];
    }
    return sum;
}

static double sum_listed(const tkx__token_sampler *s, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)s->weight[s->best[i].id];
    return sum;
}

float tkx__sample_inverse(float temperature)
{
    return fminf(1 / temperature, FLT_MAX);
}

tkx__sample_left tkx__sample_cut(tkx__token_sampler *s, const float *logits,
                                 const tkx__sample_params *p)
{
    float min_p = p->extras ? p->extras->min_p : 0;
    tkx__sample_left l = {.is_all = true, .n = s->n_vocab};

    l.max = s->k->max(logits, s->n_vocab);
    l.sum = s->k->sum_exp(logits, s->n_vocab, l.max, tkx__sample_inverse(p->temperature),
                          s->weight);
    l.mass = l.sum;
    if (!(l.mass > 0)) /* NaN, too */
        return (tkx__sample_left){.n = 0};
    if (p->top_k > 0 && (uint64_t)p->top_k < s->n_vocab) {
        cut_top_k(s, logits, (size_t)p->top_k, &l);
        l.mass = sum_listed(s, l.n);
    }
    if (p->top_p < 1)
        cut_top_p(s, logits, p->temperature, p->top_p, &l);
    if (min_p > 0)
        cut_min_p(s, logits, min_p, &l);
    l.mass = l.is_all ? sum_all(s) : sum_listed(s, l.n);
    if (!(l.mass > 0))
        l.n = 0;
    return l;
}

/* ---- the draw ---- */

static int64_t draw_of_list(const tkx__token_sampler *s, size_t n, double target)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += (double)s->weight[s->best[i].id];
        if (sum > target)
            return s->best[i].id;
    }
    return s->best[n - 1].id; /* rounding kept the sum just below */
}

static int64_t draw_of_all(const tkx__token_sampler *s, double target)
{
    double before = 0;
    size_t last = 0; /* with a weight */

    for (size_t i = 0, b = 0; i < s->n_vocab; i += TKX__SAMPLE_BLOCK, b++) {
        size_t end =
            i + TKX__SAMPLE_BLOCK < s->n_vocab ? i + TKX__SAMPLE_BLOCK : s->n_vocab;
        double sum = before;

        before += s->blocks[b];
        if (before <= target && end < s->n_vocab)
            continue;
        for (size_t id = i; id < end; id++) {
            sum += (double)s->weight[id];
            if (s->weight[id] > 0)
                last = id;
            if (sum > target)
                return (int64_t)id;
        }
    }
    return (int64_t)last; /* rounding kept the sum just below */
}

int64_t tkx__sample_draw(const tkx__token_sampler *s, const tkx__sample_left *left,
                         double u)
{
    double target = u * left->mass;

    return left->is_all ? draw_of_all(s, target) : draw_of_list(s, left->n, target);
}
