/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_text.c - the numbers as Prometheus text, by its conventions: base units, _total
 * for what only grows, all samples of one name together under their HELP and TYPE.
 */
#include <inttypes.h>
#include <stdio.h>

#include <tkx/breaker.h>
#include <tkx/limiter.h>

#include "client/observe.h"
#include "client/spending.h"

#include "base/mem.h"

static void head(tkx__buf *out, const char *name, const char *type, const char *help)
{
    tkx__buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Upper limits of the histograms' buckets, in seconds. */
static const double limits[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                0.25,  0.5,    1,     2.5,  5,     10,   30,
                                60,    120,    300,   600,  1800,  3600};
#define N_LIMITS (sizeof limits / sizeof *limits)

/* How many lie below a limit; a bucket of ours belongs where its upper end does, so that
   a count errs by an eighth of the limit at most. */
static uint64_t count_below(const tkx__plain_histogram *h, double limit_s)
{
    uint64_t n = 0;

    for (size_t i = 0; i < TKX__HISTOGRAM_SIZE; i++) {
        double low = i ? (double)tkx__histogram_limit(i - 1) : 0;
        double high = (double)tkx__histogram_limit(i);

        if ((low + high) / 2 <= limit_s * 1e6)
            n += h->n[i];
    }
    return n;
}

static void histogram(tkx__buf *out, const char *name, const char *labels,
                      const tkx__plain_histogram *h)
{
    uint64_t total = 0;

    for (size_t i = 0; i < TKX__HISTOGRAM_SIZE; i++)
        total += h->n[i];
    for (size_t i = 0; i < N_LIMITS; i++)
        tkx__buf_printf(out, "%s_bucket{%s,le=\"%g\"} %" PRIu64 "\n", name, labels,
                        limits[i], count_below(h, limits[i]));
    tkx__buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n", name, labels, total);
    tkx__buf_printf(out, "%s_sum{%s} %.6f\n", name, labels, (double)h->sum_us / 1e6);
    tkx__buf_printf(out, "%s_count{%s} %" PRIu64 "\n", name, labels, total);
}

static void quantiles(tkx__buf *out, const char *name, const char *labels,
                      const tkx__plain_histogram *h)
{
    static const double wanted[] = {0.5, 0.95, 0.99};

    for (size_t i = 0; i < 3; i++)
        tkx__buf_printf(out, "%s{%s,quantile=\"%g\"} %.6f\n", name, labels, wanted[i],
                        tkx__histogram_quantile_us(h->n, wanted[i]) / 1e6);
}

/* --- operations ------------------------------------------------------------------ */

static void write_outcomes(tkx__buf *out, const tkx__plain_row *rows, size_t n)
{
    head(out, "tkx_operations_started_total", "counter", "Operations begun.");
    for (size_t i = 0; i < n; i++)
        tkx__buf_printf(out,
                        "tkx_operations_started_total{operation=\"%s\"} %" PRIu64 "\n",
                        rows[i].what, rows[i].n_started);
    head(out, "tkx_operations_total", "counter", "Operations ended, by outcome.");
    for (size_t i = 0; i < n; i++) {
        const struct {
            const char *outcome;
            uint64_t n;
        } ends[] = {{"ok", rows[i].n_ok},
                    {"failed", rows[i].n_failed},
                    {"dropped", rows[i].n_dropped}};
        for (size_t k = 0; k < 3; k++)
            tkx__buf_printf(
                out,
                "tkx_operations_total{operation=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                rows[i].what, ends[k].outcome, ends[k].n);
    }
    head(out, "tkx_operations_in_flight", "gauge", "Operations open now.");
    for (size_t i = 0; i < n; i++)
        tkx__buf_printf(
            out, "tkx_operations_in_flight{operation=\"%s\"} %" PRIu64 "\n", rows[i].what,
            rows[i].n_started - rows[i].n_ok - rows[i].n_failed - rows[i].n_dropped);
}

static void write_durations(tkx__buf *out, const tkx__plain_row *rows, size_t n)
{
    char labels[128];

    head(out, "tkx_operation_duration_seconds", "histogram",
         "From the start of an operation to its end, all waits included.");
    for (size_t i = 0; i < n; i++) {
        snprintf(labels, sizeof labels, "operation=\"%s\"", rows[i].what);
        histogram(out, "tkx_operation_duration_seconds", labels, &rows[i].duration);
    }
    head(out, "tkx_operation_duration_quantile_seconds", "gauge",
         "Quantiles of the same since the start, from finer buckets.");
    for (size_t i = 0; i < n; i++) {
        snprintf(labels, sizeof labels, "operation=\"%s\"", rows[i].what);
        quantiles(out, "tkx_operation_duration_quantile_seconds", labels,
                  &rows[i].duration);
    }
    head(out, "tkx_operation_phase_seconds_total", "counter",
         "Time that operations spent in each phase.");
    for (size_t i = 0; i < n; i++)
        for (unsigned k = 1; k < TKX__N_PHASES; k++)
            if (rows[i].phase_us[k])
                tkx__buf_printf(out,
                                "tkx_operation_phase_seconds_total{operation=\"%s\","
                                "phase=\"%s\"} %.6f\n",
                                rows[i].what, tkx__phase_name((tkx__phase)k),
                                (double)rows[i].phase_us[k] / 1e6);
}

/* --- requests -------------------------------------------------------------------- */

static const char *const kind_names[TKX__N_REQUESTS] = {"submit", "poll"};

static bool is_used(const tkx__plain_request *r)
{
    for (size_t i = 0; i < TKX__N_ANSWERS; i++)
        if (r->n_answers[i])
            return true;
    return r->bytes_sent != 0;
}

static void request_labels(char *to, size_t size, const char *what, size_t kind)
{
    snprintf(to, size, "operation=\"%s\",kind=\"%s\"", what, kind_names[kind]);
}

static void write_answers(tkx__buf *out, const tkx__plain_row *rows, size_t n)
{
    static const char *const codes[TKX__N_ANSWERS] = {"none", "2xx", "3xx",    "4xx",
                                                      "429",  "5xx", "dropped"};
    char labels[160];

    head(out, "tkx_requests_total", "counter",
         "Requests sent, by what was answered (4xx without 429).");
    for (size_t i = 0; i < n * TKX__N_REQUESTS; i++) {
        const tkx__plain_row *row = &rows[i / TKX__N_REQUESTS];
        size_t kind = i % TKX__N_REQUESTS;

        request_labels(labels, sizeof labels, row->what, kind);
        for (size_t k = 0; k < TKX__N_ANSWERS; k++)
            if (row->request[kind].n_answers[k])
                tkx__buf_printf(out, "tkx_requests_total{%s,code=\"%s\"} %" PRIu64 "\n",
                                labels, codes[k], row->request[kind].n_answers[k]);
    }
}

static void write_request_counter(tkx__buf *out, const tkx__plain_row *rows, size_t n,
                                  size_t offset, const char *name, const char *help)
{
    char labels[160];

    head(out, name, "counter", help);
    for (size_t i = 0; i < n * TKX__N_REQUESTS; i++) {
        const tkx__plain_row *row = &rows[i / TKX__N_REQUESTS];
        const tkx__plain_request *r = &row->request[i % TKX__N_REQUESTS];

        if (!is_used(r))
            continue;
        request_labels(labels, sizeof labels, row->what, i % TKX__N_REQUESTS);
        tkx__buf_printf(out, "%s{%s} %" PRIu64 "\n", name, labels,
                        *(const uint64_t *)(const void *)((const char *)r + offset));
    }
}

static void write_requests(tkx__buf *out, const tkx__plain_row *rows, size_t n)
{
    char labels[160];

    write_answers(out, rows, n);
    write_request_counter(out, rows, n, offsetof(tkx__plain_request, n_resent),
                          "tkx_request_retries_total",
                          "Sends beyond the first of a call.");
    write_request_counter(out, rows, n, offsetof(tkx__plain_request, bytes_sent),
                          "tkx_request_bytes_total", "Bytes of request bodies.");
    write_request_counter(out, rows, n, offsetof(tkx__plain_request, bytes_received),
                          "tkx_response_bytes_total", "Bytes of answers' bodies.");
    head(out, "tkx_request_duration_seconds", "histogram",
         "One request, from its sending to the end of its answer.");
    for (size_t i = 0; i < n * TKX__N_REQUESTS; i++) {
        const tkx__plain_row *row = &rows[i / TKX__N_REQUESTS];

        if (!is_used(&row->request[i % TKX__N_REQUESTS]))
            continue;
        request_labels(labels, sizeof labels, row->what, i % TKX__N_REQUESTS);
        histogram(out, "tkx_request_duration_seconds", labels,
                  &row->request[i % TKX__N_REQUESTS].duration);
    }
}

/* --- breakers -------------------------------------------------------------------- */

static void write_breakers(tkx__buf *out, const tkx_context *context)
{
    tkx_breaker_info info[TKX_N_ENDPOINTS];

    for (int i = 0; i < TKX_N_ENDPOINTS; i++) {
        info[i] = (tkx_breaker_info)TKX_BREAKER_INFO_INIT;
        tkx_breaker_look(context, (tkx_endpoint)i, &info[i], NULL);
    }
    head(out, "tkx_breaker_state", "gauge",
         "Circuit breaker of an endpoint: 0 closed, 1 open, 2 half open.");
    for (int i = 0; i < TKX_N_ENDPOINTS; i++)
        tkx__buf_printf(out, "tkx_breaker_state{endpoint=\"%s\"} %d\n",
                        tkx_endpoint_name((tkx_endpoint)i), (int)info[i].state);
    head(out, "tkx_breaker_opened_total", "counter", "How often it has opened.");
    for (int i = 0; i < TKX_N_ENDPOINTS; i++)
        tkx__buf_printf(out, "tkx_breaker_opened_total{endpoint=\"%s\"} %" PRIu64 "\n",
                        tkx_endpoint_name((tkx_endpoint)i), info[i].n_opened);
    head(out, "tkx_breaker_refused_total", "counter", "Calls that it failed.");
    for (int i = 0; i < TKX_N_ENDPOINTS; i++)
        tkx__buf_printf(out, "tkx_breaker_refused_total{endpoint=\"%s\"} %" PRIu64 "\n",
                        tkx_endpoint_name((tkx_endpoint)i), info[i].n_refused);
}

static void write_limiter(tkx__buf *out, const tkx_context *context)
{
    tkx_limiter_info info = TKX_LIMITER_INFO_INIT;

    tkx_limiter_look(context, &info, NULL);
    head(out, "tkx_limiter_max_in_flight", "gauge",
         "Sample submits at once, as learnt from push-backs.");
    tkx__buf_printf(out, "tkx_limiter_max_in_flight %d\n", info.max_in_flight);
    head(out, "tkx_limiter_in_flight", "gauge", "Sample submits under way.");
    tkx__buf_printf(out, "tkx_limiter_in_flight %d\n", info.n_in_flight);
    head(out, "tkx_limiter_push_backs_total", "counter", "Push-backs (429, 402).");
    tkx__buf_printf(out, "tkx_limiter_push_backs_total %" PRIu64 "\n", info.n_push_backs);
    head(out, "tkx_limiter_cuts_total", "counter", "How often the number was halved.");
    tkx__buf_printf(out, "tkx_limiter_cuts_total %" PRIu64 "\n", info.n_cuts);
}

void tkx__metrics_write_text(tkx_context *context, tkx__metrics *metrics, tkx__buf *out)
{
    size_t n = metrics ? atomic_load_explicit(&metrics->n_rows, memory_order_acquire) : 0;
    tkx__plain_row *rows = tkx__calloc(n + 1, sizeof *rows);

    if (!rows) {
        out->status = TKX_ERR_NO_MEMORY;
        return;
    }
    for (size_t i = 0; i < n; i++)
        tkx__metrics_read_row(
            atomic_load_explicit(&metrics->rows[i], memory_order_relaxed), &rows[i]);
    write_outcomes(out, rows, n);
    write_durations(out, rows, n);
    write_requests(out, rows, n);
    write_breakers(out, context);
    write_limiter(out, context);
    if (tkx__context_spending(context))
        tkx__spending_write_text(tkx__context_spending(context), out);
    tkx__free(rows);
}
