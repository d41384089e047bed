/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/metrics.h - counters, gauges and latency histograms of one context.
 *
 * One writer, the loop thread; any thread reads.  Every number is an atomic that only the
 * writer changes, with plain loads and stores: no lock and no allocation per request.  A
 * histogram has 8 buckets for each power of two, so a quantile errs by
 * an eighth at most.
 */
#ifndef TKX_API_METRICS_H
#define TKX_API_METRICS_H

#include <stdatomic.h>

#include "api/span.h"

#define TKX__HISTOGRAM_SIZE 312 /* up to 2^41 us, 25 days */

typedef struct tkx__histogram {
    _Atomic uint32_t n[TKX__HISTOGRAM_SIZE];
    _Atomic uint64_t count;
    _Atomic uint64_t sum_us;
    _Atomic uint64_t max_us;
} tkx__histogram;

void tkx__histogram_add(tkx__histogram *histogram, int64_t us);
/* The first value beyond a bucket. */
uint64_t tkx__histogram_limit(size_t index);
/* From counts[TKX__HISTOGRAM_SIZE]; 0 when they are empty. */
double tkx__histogram_quantile_us(const uint32_t *counts, double quantile);

typedef enum tkx__answer_class {
    TKX__ANSWER_NONE = 0, /* no link, a time-out */
    TKX__ANSWER_2XX,
    TKX__ANSWER_3XX,
    TKX__ANSWER_4XX,
    TKX__ANSWER_429,
    TKX__ANSWER_5XX,
    TKX__ANSWER_DROPPED, /* nobody waited any more */
    TKX__N_ANSWERS
} tkx__answer_class;

typedef enum tkx__request_kind {
    TKX__REQUEST_SUBMIT = 0, /* or a call whose answer is its result */
    TKX__REQUEST_POLL,
    TKX__N_REQUESTS
} tkx__request_kind;

/* Of all operations of one kind. */
typedef struct tkx__metrics_row {
    const char *what; /* static */
    _Atomic uint64_t n_started, n_ok, n_failed, n_dropped;
    tkx__histogram duration;
    struct {
        tkx__histogram duration;
        _Atomic uint64_t n_answers[TKX__N_ANSWERS];
        _Atomic uint64_t n_resent; /* beyond the first send of a call */
        _Atomic uint64_t bytes_sent, bytes_received;
    } request[TKX__N_REQUESTS];
    _Atomic uint64_t phase_us[TKX__N_PHASES];
} tkx__metrics_row;

#define TKX__MAX_METRICS_ROWS 48

typedef struct tkx__metrics {
    tkx__metrics_row *_Atomic rows[TKX__MAX_METRICS_ROWS];
    _Atomic size_t n_rows;
} tkx__metrics;

tkx__metrics *tkx__metrics_new(void); /* NULL: out of memory */
void tkx__metrics_free(tkx__metrics *metrics);
/* The row of that name, made when it is new; NULL: no memory, or too many. */
tkx__metrics_row *tkx__metrics_row_of(tkx__metrics *metrics, const char *what);

static inline void tkx__count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter,
                          atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t tkx__counted(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)counter,
                                memory_order_relaxed);
}

#endif
