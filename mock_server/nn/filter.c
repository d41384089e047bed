/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter.c - order matters: top-p sees probabilities renormalised after top-k.
 *
 * The best candidates are popped off a heap, so that a vocabulary is never sorted for the
 * few that survive.
 */
#include "mock_server/nn/filter.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

int32_t nn_argmax(const float *logits, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (logits[i] > logits[best])
            best = i;
    return (int32_t)best;
}

static bool is_before(const nn_candidate *a, const nn_candidate *b)
{
    return a->p > b->p || (a->p == b->p && a->id < b->id);
}

static void swap(nn_candidate *a, nn_candidate *b)
{
    nn_candidate t = *a;

    *a = *b;
    *b = t;
}

static void sift_down(nn_candidate *heap, size_t n, size_t at)
{
    for (;;) {
        size_t best = at;

        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < n; child++)
            if (is_before(&heap[child], &heap[best]))
                best = child;
        if (best == at)
            return;
        swap(&heap[at], &heap[best]);
        at = best;
    }
}

/* The best of what is left goes behind the heap: descending order from the array's
   end. */
static void pop(nn_candidate *heap, size_t n)
{
    swap(&heap[0], &heap[n - 1]);
    sift_down(heap, n - 1, 0);
}

static int by_id(const void *a, const void *b)
{
    const nn_candidate *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* Pop what the cuts leave to the end of c[n]; returns how many. */
static size_t cut(const nn_filter *f, nn_candidate *c, size_t n, double total)
{
    size_t limit = f->top_k > 0 && (uint64_t)f->top_k < n ? (size_t)f->top_k : n;
    size_t popped = 0, kept = 0;
    double before = 0;

    for (size_t i = n / 2; i-- > 0;)
        sift_down(c, n, i);
    if (limit < n) { /* top-p needs the sum of what top-k leaves */
        total = 0;
        for (; popped < limit; popped++) {
            pop(c, n - popped);
            total += c[n - 1 - popped].p;
        }
    }
    if (f->top_p >= 1)
        return limit;
    while (kept < limit && (kept == 0 || before / total < f->top_p)) {
        if (kept == popped) {
            pop(c, n - popped);
            popped++;
        }
        before += c[n - 1 - kept].p;
        kept++;
    }
    return kept;
}

size_t nn_filter_apply(const nn_filter *f, const float *logits, size_t n,
                       nn_candidate *kept)
{
    int32_t best = nn_argmax(logits, n);
    double max = (double)logits[best], total = 0, sum = 0;
    size_t m = n;

    if (f->temperature == 0) {
        kept[0] = (nn_candidate){1, best};
        return 1;
    }
    for (size_t i = 0; i < n; i++) {
        kept[i] =
            (nn_candidate){exp(((double)logits[i] - max) / f->temperature), (int32_t)i};
        total += kept[i].p;
    }
    if ((f->top_k > 0 && (uint64_t)f->top_k < n) || f->top_p < 1) {
        m = cut(f, kept, n, total);
        for (size_t i = 0; i < m; i++) /* from the array's end to its front */
            swap(&kept[i], &kept[n - m + i]);
        qsort(kept, m, sizeof *kept, by_id);
    }
    for (size_t i = 0; i < m; i++)
        sum += kept[i].p;
    for (size_t i = 0; i < m; i++)
        kept[i].p /= sum;
    return m;
}

int32_t nn_filter_draw(const nn_candidate *kept, size_t n, double u)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        sum += kept[i].p;
        if (sum > u)
            return kept[i].id;
    }
    return kept[n - 1].id; /* rounding left the sum below u */
}

void nn_top_k(const float *logits, size_t n, size_t k, int32_t *ids, float *values)
{
    size_t have = 0;

    for (size_t i = 0; i < n; i++) {
        size_t at = have;

        if (have == k && !(logits[i] > values[k - 1]))
            continue;
        if (have < k)
            have++;
        else
            at = k - 1;
        for (; at > 0 && values[at - 1] < logits[i]; at--) {
            values[at] = values[at - 1];
            ids[at] = ids[at - 1];
        }
        values[at] = logits[i];
        ids[at] = (int32_t)i;
    }
}

double nn_log_sum_exp(const float *logits, size_t n, double by)
{
    double max = (double)logits[nn_argmax(logits, n)] * by, sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] * by - max);
    return max + (sum > 0 ? log(sum) : 0); /* the maximum itself adds 1 */
}
