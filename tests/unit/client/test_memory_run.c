/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memory_run.c - the nth allocation fails, for every n, anywhere in a run from the
 * first request to the last: plain, watched by all that can watch, and with a pipeline.
 * Each call gives a clean error or a result, every future completes, nothing leaks.
 */
#include <check.h>

#include <tkx/limiter.h>
#include <tkx/metrics.h>
#include <tkx/pipeline.h>
#include <tkx/spending.h>

#include "memory_run.h"
#include "support/suite.h"

enum { N_SLICES = 8 };

static void sample(void)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_sampling *sampling = NULL;
    tkx_future *future = NULL;

    options.base_model = "acme/tiny";
    if (tkx_service_create_sampling(s.service, &options, &future, NULL) != TKX_OK)
        return;
    if (memory_ends_well(future))
        tkx_future_take_sampling(future, &sampling, NULL);
    tkx_future_unref(future);
    if (!sampling)
        return;
    request.prompt = scripted_datum.model_input;
    if (tkx_sampling_sample(sampling, &request, 60000, &future, NULL) == TKX_OK) {
        memory_ends_well(future);
        tkx_future_unref(future);
    }
    tkx_sampling_free(sampling);
}

static void train_and_sample(void)
{
    tkx_training *t = memory_create(NULL);

    if (t)
        memory_step(t);
    tkx_training_free(t);
    sample();
}

static void run_plain(void)
{
    if (memory_begin(NULL))
        train_and_sample();
    scripted_end(&s);
}

/* What is asked of the watchers while they watch. */
static void ask_watchers(void)
{
    tkx_spending_info spent = TKX_SPENDING_INFO_INIT;
    tkx_limiter_info limiter = TKX_LIMITER_INFO_INIT;
    tkx_metrics *metrics = NULL;
    char *text = NULL;
    size_t size;

    tkx_spending_look(s.context, &spent, NULL);
    tkx_limiter_look(s.context, &limiter, NULL);
    tkx_metrics_snapshot(s.context, 0, &metrics, NULL);
    tkx_metrics_prometheus(s.context, &text, &size, NULL);
    tkx_metrics_free(metrics);
    tkx_metrics_text_free(text);
}

/* One sample is pushed back, so that the limiter has something to learn. */
static bool push_back_once(fake_io *io, size_t i, const char *route)
{
    if (fake_io_count(io, "asample") != 1 || strcmp(route, "asample") != 0)
        return false;
    fake_io_answer(io, i, 429, NULL, "{\"detail\":\"slow down\"}");
    return true;
}

static void run_watched(void)
{
    bool has_begun = memory_begin(watched_tune);

    s.serve = push_back_once;
    if (has_begun) {
        train_and_sample();
        ask_watchers();
    }
    scripted_end(&s);
}

/* The fake io's only thread is its loop thread: nothing here may block. */
static void drive_pipeline(tkx_pipeline *pipeline)
{
    tkx_pipeline_step step = TKX_PIPELINE_STEP_INIT;
    tkx_future *snapshot = NULL;
    uint64_t number;

    step.data = &scripted_datum;
    step.n_data = 1;
    for (int i = 0; i < 3; i++) {
        (void)tkx_pipeline_submit(pipeline, &step, 0, &number, NULL);
        fake_io_turn(s.io);
    }
    if (tkx_pipeline_snapshot(pipeline, &number, &snapshot, NULL) == TKX_OK)
        memory_ends_well(snapshot);
    tkx_future_unref(snapshot);
    fake_io_advance(s.io, 1000000);
    while (tkx_pipeline_size(pipeline) > 0) {
        tkx_pipeline_outcome outcome = TKX_PIPELINE_OUTCOME_INIT;
        tkx_status st = tkx_pipeline_next(pipeline, 0, &outcome, NULL);

        ck_assert_msg(st != TKX_ERR_TIMEOUT, "a step hangs");
        if (st != TKX_OK)
            break; /* no memory for the outcome */
        ck_assert(outcome.error || (outcome.forward && outcome.optim));
        tkx_pipeline_outcome_clear(&outcome);
    }
}

static void run_pipeline(void)
{
    tkx_pipeline_options options = TKX_PIPELINE_OPTIONS_INIT;
    tkx_pipeline *pipeline = NULL;

    options.step_timeout_ms = 5000000;
    if (memory_begin(NULL)) {
        tkx_training *t = memory_create(NULL);

        if (t && tkx_pipeline_new(t, &options, &pipeline, NULL) == TKX_OK)
            drive_pipeline(pipeline);
        tkx_pipeline_free(pipeline);
        tkx_training_free(t);
    }
    scripted_end(&s);
}

START_TEST(a_run_survives_any_failed_allocation)
{
    memory_sweep(_i, N_SLICES, run_plain, NULL);
}
END_TEST

START_TEST(so_does_a_watched_run)
{
    watched_open();
    memory_sweep(_i, N_SLICES, run_watched, NULL);
    watched_close();
}
END_TEST

START_TEST(so_does_a_pipeline)
{
    memory_sweep(_i, N_SLICES, run_pipeline, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_run");
    TCase *tc = tcase_create("memory_run");

    tcase_add_loop_test(tc, a_run_survives_any_failed_allocation, 0, N_SLICES);
    tcase_add_loop_test(tc, so_does_a_watched_run, 0, N_SLICES);
    tcase_add_loop_test(tc, so_does_a_pipeline, 0, N_SLICES);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
