/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tkx/metrics.h - what a context has done so far, in numbers.
 *
 * Given in tkx_context_options; without that nothing is counted.  Operations are named as
 * on the wire ("sample", "forward_backward", "optim_step", ...).  Counting takes no lock
 * and no memory per request; a quantile errs by an eighth of its value at most.
 */
#ifndef TKX_METRICS_H
#define TKX_METRICS_H

#include <tkx/context.h>

TKX_BEGIN_DECLS

/* Start from TKX_METRICS_OPTIONS_INIT.  Everything is copied. */
typedef struct tkx_metrics_options {
    size_t struct_size;
    const char *path; /* written as Prometheus text, a whole file each time, and at the
                         end; NULL: no file */
    int64_t every_ms; /* 0: 15,000 */
} tkx_metrics_options;

#define TKX_METRICS_OPTIONS_INIT                                                         \
    {                                                                                    \
        .struct_size = sizeof(tkx_metrics_options)                                       \
    }

/* How long something took; all 0 when it never happened. */
typedef struct tkx_latency {
    uint64_t count;
    double sum_s;
    double max_s; /* since the start, also after a reset */
    double p50_s, p95_s, p99_s;
} tkx_latency;

/* The requests of an operation, of one kind. */
typedef struct tkx_request_metrics {
    tkx_latency latency;                        /* of one send */
    uint64_t n_2xx, n_3xx, n_4xx, n_429, n_5xx; /* 4xx: without 429 */
    uint64_t n_no_answer;
    uint64_t n_dropped; /* nobody waited any more */
    uint64_t n_resent;  /* sends beyond the first of a call */
    uint64_t bytes_sent, bytes_received;
} tkx_request_metrics;

typedef struct tkx_operation_metrics {
    const char *operation;
    uint64_t n_started;
    uint64_t n_ok, n_failed;
    uint64_t n_dropped;         /* cancelled */
    uint64_t n_in_flight;       /* now */
    tkx_latency latency;        /* from its start to its end, all waits included */
    tkx_request_metrics submit; /* and calls whose answer is the result */
    tkx_request_metrics poll;   /* waiting for the promise */
    double queued_s;            /* for its turn, a slot, limits, memory */
    double backed_off_s;        /* before another try, billing pauses included */
    double encode_s, decode_s;
} tkx_operation_metrics;

typedef struct tkx_metrics {
    const tkx_operation_metrics *operations; /* [n_operations] */
    size_t n_operations;
} tkx_metrics;

/* Flags of tkx_metrics_snapshot(). */
#define TKX_METRICS_RESET 1u /* the next snapshot counts from here */

/**
 * The numbers since the start, or since the last snapshot with TKX_METRICS_RESET.  What
 * is written as Prometheus text never goes back.
 *
 * Thread:    any.
 * Ownership: @p out is the caller's, tkx_metrics_free().
 * Errors:    INVALID_STATE (the context keeps no metrics), NO_MEMORY.
 */
TKX_API tkx_status tkx_metrics_snapshot(tkx_context *context, unsigned flags,
                                        tkx_metrics **out, tkx_error **err);
/** Thread: any.  Accepts NULL. */
TKX_API void tkx_metrics_free(tkx_metrics *metrics);

/** The row of an operation, or NULL.  Borrowed from @p metrics.  Thread: any. */
TKX_API const tkx_operation_metrics *tkx_metrics_find(const tkx_metrics *metrics,
                                                      const char *operation);

/**
 * The numbers since the start in Prometheus' text format, 0.0.4.
 *
 * Thread:    any.
 * Ownership: @p text is the caller's, tkx_metrics_text_free().
 * Errors:    as above.
 */
TKX_API tkx_status tkx_metrics_prometheus(tkx_context *context, char **text, size_t *size,
                                          tkx_error **err);
/** Thread: any.  Accepts NULL. */
TKX_API void tkx_metrics_text_free(char *text);

TKX_END_DECLS
#endif
