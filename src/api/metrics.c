/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - the numbers: rows for kinds of operations, histograms of durations.
 */
#include "api/metrics.h"

#include <string.h>

#include "base/mem.h"

/* --- histograms ------------------------------------------------------------------ */

/* 0 to 7 have a bucket each; from there 8 for each power of two. */
static size_t index_of(uint64_t us)
{
    if (us < 8)
        return (size_t)us;
    unsigned exponent = 63u - (unsigned)__builtin_clzll(us);
    size_t index = (size_t)(exponent - 2) * 8 + (size_t)(us >> (exponent - 3) & 7);
    return index < TKX__HISTOGRAM_SIZE ? index : TKX__HISTOGRAM_SIZE - 1;
}

uint64_t tkx__histogram_limit(size_t index)
{
    if (index < 8)
        return index + 1;
    return (uint64_t)(8 + index % 8 + 1) << (index / 8 - 1);
}

void tkx__histogram_add(tkx__histogram *h, int64_t us)
{
    uint64_t value = us > 0 ? (uint64_t)us : 0;
    _Atomic uint32_t *n = &h->n[index_of(value)];

    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    tkx__count(&h->sum_us, value);
    if (value > tkx__counted(&h->max_us))
        atomic_store_explicit(&h->max_us, value, memory_order_relaxed);
    tkx__count(&h->count, 1);
}

/* Evenly spread inside a bucket. */
double tkx__histogram_quantile_us(const uint32_t *counts, double quantile)
{
    uint64_t total = 0, before = 0;

    for (size_t i = 0; i < TKX__HISTOGRAM_SIZE; i++)
        total += counts[i];
    if (total == 0)
        return 0;
    double rank = quantile * (double)total;
    for (size_t i = 0; i < TKX__HISTOGRAM_SIZE; i++) {
        if (counts[i] && (double)(before + counts[i]) >= rank) {
            double low = i ? (double)tkx__histogram_limit(i - 1) : 0;
            double width = (double)tkx__histogram_limit(i) - low;
            return low + width * (rank - (double)before) / (double)counts[i];
        }
        before += counts[i];
    }
    return (double)tkx__histogram_limit(TKX__HISTOGRAM_SIZE - 1);
}

/* --- rows ------------------------------------------------------------------------ */

tkx__metrics *tkx__metrics_new(void)
{
    return tkx__calloc(1, sizeof(tkx__metrics));
}

void tkx__metrics_free(tkx__metrics *metrics)
{
    if (!metrics)
        return;
    for (size_t i = 0; i < TKX__MAX_METRICS_ROWS; i++)
        tkx__free(atomic_load_explicit(&metrics->rows[i], memory_order_relaxed));
    tkx__free(metrics);
}

/* Names are static, so most look-ups end at the first comparison of addresses. */
tkx__metrics_row *tkx__metrics_row_of(tkx__metrics *m, const char *what)
{
    size_t n = atomic_load_explicit(&m->n_rows, memory_order_relaxed);

    for (size_t i = 0; i < n; i++) {
        tkx__metrics_row *row = atomic_load_explicit(&m->rows[i], memory_order_relaxed);
        if (row->what == what || strcmp(row->what, what) == 0)
            return row;
    }
    tkx__metrics_row *row =
        n < TKX__MAX_METRICS_ROWS ? tkx__calloc(1, sizeof *row) : NULL;
    if (!row)
        return NULL;
    row->what = what;
    atomic_store_explicit(&m->rows[n], row, memory_order_relaxed);
    atomic_store_explicit(&m->n_rows, n + 1, memory_order_release);
    return row;
}
