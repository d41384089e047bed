/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client/observe.h - who looks at a context: its observer, the files it writes, the
 * numbers that a user has seen.
 */
#ifndef TKX_CLIENT_OBSERVE_H
#define TKX_CLIENT_OBSERVE_H

#include <pthread.h>

#include <tkx/metrics.h>

#include "api/observer.h"
#include "base/buf.h"
#include "client/context.h"

/* All numbers of a row, read once. */
typedef struct tkx__plain_histogram {
    uint32_t n[TKX__HISTOGRAM_SIZE];
    uint64_t count, sum_us, max_us;
} tkx__plain_histogram;

typedef struct tkx__plain_request {
    tkx__plain_histogram duration;
    uint64_t n_answers[TKX__N_ANSWERS];
    uint64_t n_resent, bytes_sent, bytes_received;
} tkx__plain_request;

typedef struct tkx__plain_row {
    const char *what;
    uint64_t n_started, n_ok, n_failed, n_dropped;
    tkx__plain_histogram duration;
    tkx__plain_request request[TKX__N_REQUESTS];
    uint64_t phase_us[TKX__N_PHASES];
} tkx__plain_row;

void tkx__metrics_read_row(const tkx__metrics_row *row, tkx__plain_row *out);

typedef struct tkx__observation {
    tkx_context *context;
    tkx__observer *observer;
    char *metrics_path; /* NULL: no file */
    int64_t metrics_every_ms;
    tkx__timer *timer; /* the next writing of that file */
    pthread_mutex_t lock;
    /* Under the lock: where the last reset was, row by row. */
    tkx__plain_row *seen[TKX__MAX_METRICS_ROWS];
} tkx__observation;

/* *out stays NULL when the options ask for nothing.  Before the loop runs. */
tkx_status tkx__observation_new(tkx_context *context, tkx__observation **out,
                                tkx_error **err);
/* Writes what is left to write.  After the loop has ended.  Accepts NULL. */
void tkx__observation_free(tkx__observation *observation);

/* Append everything as Prometheus text. */
void tkx__metrics_write_text(tkx_context *context, tkx__metrics *metrics, tkx__buf *out);

#endif
