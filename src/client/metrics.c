/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - snapshots of the numbers.
 *
 * The loop goes on counting while they are read, and is never disturbed: a reset only
 * remembers where the numbers stood.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "client/observe.h"

/* --- reading --------------------------------------------------------------------- */

static void read_histogram(const tkx__histogram *h, tkx__plain_histogram *out)
{
    for (size_t i = 0; i < TKX__HISTOGRAM_SIZE; i++)
        out->n[i] = atomic_load_explicit((_Atomic uint32_t *)(uintptr_t)&h->n[i],
                                         memory_order_relaxed);
    out->count = tkx__counted(&h->count);
    out->sum_us = tkx__counted(&h->sum_us);
    out->max_us = tkx__counted(&h->max_us);
}

void tkx__metrics_read_row(const tkx__metrics_row *row, tkx__plain_row *out)
{
    out->what = row->what;
    /* Ends before starts, so that nothing seems to be in flight that never began. */
    out->n_ok = tkx__counted(&row->n_ok);
    out->n_failed = tkx__counted(&row->n_failed);
    out->n_dropped = tkx__counted(&row->n_dropped);
    out->n_started = tkx__counted(&row->n_started);
    read_histogram(&row->duration, &out->duration);
    for (size_t i = 0; i < TKX__N_REQUESTS; i++) {
        tkx__plain_request *to = &out->request[i];

        read_histogram(&row->request[i].duration, &to->duration);
        for (size_t k = 0; k < TKX__N_ANSWERS; k++)
            to->n_answers[k] = tkx__counted(&row->request[i].n_answers[k]);
        to->n_resent = tkx__counted(&row->request[i].n_resent);
        to->bytes_sent = tkx__counted(&row->request[i].bytes_sent);
        to->bytes_received = tkx__counted(&row->request[i].bytes_received);
    }
    for (size_t i = 0; i < TKX__N_PHASES; i++)
        out->phase_us[i] = tkx__counted(&row->phase_us[i]);
}

static void subtract_histogram(tkx__plain_histogram *h, const tkx__plain_histogram *seen)
{
    for (size_t i = 0; i < TKX__HISTOGRAM_SIZE; i++)
        h->n[i] -= seen->n[i];
    h->count -= seen->count;
    h->sum_us -= seen->sum_us;
}

static void subtract(tkx__plain_row *row, const tkx__plain_row *seen)
{
    row->n_started -= seen->n_started;
    row->n_ok -= seen->n_ok;
    row->n_failed -= seen->n_failed;
    row->n_dropped -= seen->n_dropped;
    subtract_histogram(&row->duration, &seen->duration);
    for (size_t i = 0; i < TKX__N_REQUESTS; i++) {
        tkx__plain_request *to = &row->request[i];
        const tkx__plain_request *from = &seen->request[i];

        subtract_histogram(&to->duration, &from->duration);
        for (size_t k = 0; k < TKX__N_ANSWERS; k++)
            to->n_answers[k] -= from->n_answers[k];
        to->n_resent -= from->n_resent;
        to->bytes_sent -= from->bytes_sent;
        to->bytes_received -= from->bytes_received;
    }
    for (size_t i = 0; i < TKX__N_PHASES; i++)
        row->phase_us[i] -= seen->phase_us[i];
}

/* --- as the user sees them ------------------------------------------------------- */

static double quantile(const tkx__plain_histogram *h, double wanted)
{
    double us = tkx__histogram_quantile_us(h->n, wanted);

    return (us < (double)h->max_us ? us : (double)h->max_us) / 1e6;
}

static tkx_latency latency_of(const tkx__plain_histogram *h)
{
    return (tkx_latency){
        .count = h->count,
        .sum_s = (double)h->sum_us / 1e6,
        .max_s = h->count ? (double)h->max_us / 1e6 : 0,
        .p50_s = quantile(h, 0.5),
        .p95_s = quantile(h, 0.95),
        .p99_s = quantile(h, 0.99),
    };
}

static tkx_request_metrics request_of(const tkx__plain_request *r)
{
    return (tkx_request_metrics){
        .latency = latency_of(&r->duration),
        .n_2xx = r->n_answers[TKX__ANSWER_2XX],
        .n_3xx = r->n_answers[TKX__ANSWER_3XX],
        .n_4xx = r->n_answers[TKX__ANSWER_4XX],
        .n_429 = r->n_answers[TKX__ANSWER_429],
        .n_5xx = r->n_answers[TKX__ANSWER_5XX],
        .n_no_answer = r->n_answers[TKX__ANSWER_NONE],
        .n_dropped = r->n_answers[TKX__ANSWER_DROPPED],
        .n_resent = r->n_resent,
        .bytes_sent = r->bytes_sent,
        .bytes_received = r->bytes_received,
    };
}

static double seconds(const tkx__plain_row *row, unsigned phases)
{
    uint64_t us = 0;

    for (unsigned i = 0; i < TKX__N_PHASES; i++)
        if (phases >> i & 1)
            us += row->phase_us[i];
    return (double)us / 1e6;
}

static tkx_operation_metrics operation_of(const tkx__plain_row *row)
{
    const unsigned queued = 1u << TKX__PHASE_TURN | 1u << TKX__PHASE_SLOT |
                            1u << TKX__PHASE_GATE | 1u << TKX__PHASE_BYTES |
                            1u << TKX__PHASE_ROOM;

    return (tkx_operation_metrics){
        .operation = row->what,
        .n_started = row->n_started,
        .n_ok = row->n_ok,
        .n_failed = row->n_failed,
        .n_dropped = row->n_dropped,
        .latency = latency_of(&row->duration),
        .submit = request_of(&row->request[TKX__REQUEST_SUBMIT]),
        .poll = request_of(&row->request[TKX__REQUEST_POLL]),
        .queued_s = seconds(row, queued),
        .backed_off_s =
            seconds(row, 1u << TKX__PHASE_BACK_OFF | 1u << TKX__PHASE_BILLING),
        .encode_s = seconds(row, 1u << TKX__PHASE_ENCODE),
        .decode_s = seconds(row, 1u << TKX__PHASE_DECODE),
    };
}

/* One row; what is in flight does not depend on the last reset. */
static tkx_status take_row(tkx__observation *o, size_t i, const tkx__metrics_row *from,
                           unsigned flags, tkx_operation_metrics *out, tkx_error **err)
{
    tkx__plain_row *now = tkx__malloc(sizeof *now);
    tkx__plain_row *since = now ? tkx__malloc(sizeof *since) : NULL;

    if (!since) {
        tkx__free(now);
        return tkx__fail_memory(err);
    }
    tkx__metrics_read_row(from, now);
    *since = *now;
    if (o->seen[i])
        subtract(since, o->seen[i]);
    *out = operation_of(since);
    out->n_in_flight = now->n_started - now->n_ok - now->n_failed - now->n_dropped;
    tkx__free(since);
    if (flags & TKX_METRICS_RESET) {
        tkx__free(o->seen[i]);
        o->seen[i] = now;
    } else {
        tkx__free(now);
    }
    return TKX_OK;
}

static tkx__metrics *metrics_of(tkx_context *context, tkx_error **err)
{
    tkx__metrics *metrics =
        context ? tkx__observer_metrics(tkx__context_observer(context)) : NULL;

    if (!metrics)
        tkx__fail(err, TKX_ERR_INVALID_STATE,
                  "the context keeps no metrics: give tkx_context_options.metrics");
    return metrics;
}

tkx_status tkx_metrics_snapshot(tkx_context *context, unsigned flags, tkx_metrics **out,
                                tkx_error **err)
{
    tkx__metrics *metrics = metrics_of(context, err);
    tkx_status st = TKX_OK;

    *out = NULL;
    if (!metrics)
        return TKX_ERR_INVALID_STATE;
    tkx__observation *o = tkx__context_observation(context);
    size_t n = atomic_load_explicit(&metrics->n_rows, memory_order_acquire);
    tkx_metrics *m =
        tkx__calloc(1, sizeof *m + n * sizeof(tkx_operation_metrics)); /* n: 48 at most */
    if (!m)
        return tkx__fail_memory(err);
    tkx_operation_metrics *rows = (tkx_operation_metrics *)(void *)(m + 1);
    m->operations = rows;
    m->n_operations = n;
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < n && st == TKX_OK; i++)
        st = take_row(o, i, atomic_load_explicit(&metrics->rows[i], memory_order_relaxed),
                      flags, &rows[i], err);
    pthread_mutex_unlock(&o->lock);
    if (st == TKX_OK)
        *out = m;
    else
        tkx__free(m);
    return st;
}

void tkx_metrics_free(tkx_metrics *metrics)
{
    tkx__free(metrics); /* one block with its rows */
}

const tkx_operation_metrics *tkx_metrics_find(const tkx_metrics *metrics,
                                              const char *operation)
{
    for (size_t i = 0; i < metrics->n_operations; i++)
        if (strcmp(metrics->operations[i].operation, operation) == 0)
            return &metrics->operations[i];
    return NULL;
}

tkx_status tkx_metrics_prometheus(tkx_context *context, char **text, size_t *size,
                                  tkx_error **err)
{
    tkx__metrics *metrics = metrics_of(context, err);
    tkx__buf buf;

    *text = NULL;
    if (!metrics)
        return TKX_ERR_INVALID_STATE;
    tkx__buf_init(&buf, (size_t)16 << 20);
    tkx__metrics_write_text(context, metrics, &buf);
    *text = tkx__buf_take(&buf, size);
    tkx__buf_clear(&buf);
    return *text ? TKX_OK : tkx__fail_memory(err);
}

void tkx_metrics_text_free(char *text)
{
    tkx__free(text);
}
