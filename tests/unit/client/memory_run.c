/* SPDX-License-Identifier: Apache-2.0 */
/* memory_run.c - see the header. */
#include "memory_run.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tkx/custom_loss.h>
#include <tkx/metrics.h>
#include <tkx/record.h>
#include <tkx/spending.h>
#include <tkx/trace.h>

#include "support/fail_alloc.h"

scripted s;

void memory_sweep(int slice, int n_slices, void (*run)(void), void (*look)(void))
{
    int is_over = 0;

    for (size_t n = (size_t)slice + 1; !is_over; n += (size_t)n_slices) {
        fail_alloc_begin(n);
        run();
        is_over = !fail_alloc_hit();
        long n_left = fail_alloc_end();
        ck_assert_msg(n_left == 0, "allocation %zu: %ld blocks left", n, n_left);
        ck_assert_uint_lt(n, 100000);
        if (look)
            look();
    }
}

bool memory_begin(void (*tune)(tkx_context_options *options))
{
    memset(&s, 0, sizeof s);
    s.tune = tune;
    s.config = "{\"fwdbwd_max_chunk_len\":1}";
    return scripted_try_begin(&s);
}

bool memory_ends_well(tkx_future *future)
{
    fake_io_turn(s.io);
    for (int64_t ms = 2000; ms <= 2000000 && !tkx_future_is_done(future); ms *= 10)
        fake_io_advance(s.io, ms); /* what watches works all that time */
    ck_assert_msg(tkx_future_is_done(future), "a future hangs");
    ck_assert_msg(tkx_error_status(tkx_future_error(future)) != TKX_ERR_TIMEOUT,
                  "nothing ended it but its limit: %s",
                  tkx_error_message(tkx_future_error(future)));
    return !tkx_future_error(future);
}

tkx_training *memory_create(tkx_journal *journal)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_training *training = NULL;
    tkx_future *future = NULL;

    options.base_model = "acme/tiny";
    options.journal = journal;
    if (tkx_service_create_lora(s.service, &options, &future, NULL) != TKX_OK)
        return NULL;
    if (memory_ends_well(future))
        tkx_future_take_training(future, &training, NULL);
    tkx_future_unref(future);
    return training;
}

static int loss(tkx_custom_item *items, size_t n_items, tkx_custom_report *report,
                void *user_data)
{
    (void)user_data;
    for (size_t i = 0; i < n_items; i++)
        items[i].gradient[0] = -1;
    tkx_custom_report_loss(report, 1);
    return tkx_custom_report_metric(report, "a:sum", 1) != TKX_OK;
}

void memory_step(tkx_training *t)
{
    const tkx_datum data[] = {scripted_datum, scripted_datum};
    tkx_future *f[6] = {NULL};
    size_t n = 0;

    n += tkx_training_forward_backward(t, data, 2, "cross_entropy", NULL, &f[n], NULL) ==
         TKX_OK;
    n += tkx_training_forward_backward_custom(t, data, 2, loss, NULL, NULL, &f[n],
                                              NULL) == TKX_OK;
    n += tkx_training_optim_step(t, NULL, &f[n], NULL) == TKX_OK;
    n += tkx_training_save_state(t, "x", NULL, &f[n], NULL) == TKX_OK;
    n +=
        tkx_training_save_weights_and_get_sampling_client(t, NULL, &f[n], NULL) == TKX_OK;
    n += tkx_training_get_info(t, 0, &f[n], NULL) == TKX_OK;
    if (n > 0)
        tkx_future_set_deadline(f[0], 900000, NULL);
    for (size_t i = 0; i < n; i++) {
        memory_ends_well(f[i]);
        tkx_future_unref(f[i]);
    }
}

/* --- what watches ---------------------------------------------------------------- */

static char watched[64];
char watched_paths[4][96];

void watched_open(void)
{
    static const char *const names[] = {"trace", "metrics", "record", "prices"};

    strcpy(watched, "/tmp/tkx-watched-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(watched));
    for (size_t i = 0; i < 4; i++)
        snprintf(watched_paths[i], sizeof watched_paths[i], "%s/%s", watched, names[i]);
    FILE *to = fopen(watched_paths[3], "w");
    fputs("{\"currency\":\"EUR\",\"models\":{\"*\":{\"train\":1,\"sample\":1,"
          "\"prefill\":1,\"forward\":1}}}",
          to);
    fclose(to);
    to = fopen(watched_paths[2], "w");
    fputs("{\"tkx_record\":1}\n{\"n\":0,\"method\":\"POST\",\"url\":\"/a?b\","
          "\"body\":\"x\",\"status\":200,\"headers\":{\"a\":\"b\"},"
          "\"answer_base64\":\"eA==\"}\n",
          to);
    fclose(to);
}

void watched_close(void)
{
    for (size_t i = 0; i < 4; i++)
        unlink(watched_paths[i]);
    rmdir(watched);
}

void watched_tune(tkx_context_options *options)
{
    static tkx_metrics_options metrics;
    static tkx_trace_options trace;
    static tkx_record_options record;
    static tkx_spending_options spending;

    metrics = (tkx_metrics_options)TKX_METRICS_OPTIONS_INIT;
    trace = (tkx_trace_options)TKX_TRACE_OPTIONS_INIT;
    record = (tkx_record_options)TKX_RECORD_OPTIONS_INIT;
    spending = (tkx_spending_options)TKX_SPENDING_OPTIONS_INIT;
    trace.path = watched_paths[0];
    trace.generates_context = 1;
    metrics.path = watched_paths[1];
    record.record_path = watched_paths[2];
    spending.prices_path = watched_paths[3];
    spending.max_cost = 1000;
    options->metrics = &metrics;
    options->trace = &trace;
    options->record = &record;
    options->spending = &spending;
}
