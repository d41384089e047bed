/* SPDX-License-Identifier: Apache-2.0 */
/* test_metrics.c - counters and latencies of a client on a scripted server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observed.h"
#include "support/suite.h"

static tkx_metrics *snapshot(unsigned flags)
{
    tkx_metrics *m = NULL;

    ck_assert_int_eq(tkx_metrics_snapshot(s.context, flags, &m, NULL), TKX_OK);
    return m;
}

START_TEST(operations_are_counted)
{
    has_metrics = true;
    scripted_begin(&s);
    work();
    tkx_metrics *m = snapshot(TKX_METRICS_RESET);
    const tkx_operation_metrics *step = tkx_metrics_find(m, "forward_backward");
    const tkx_operation_metrics *optim = tkx_metrics_find(m, "optim_step");

    ck_assert_uint_eq(step->n_started, 1);
    ck_assert_uint_eq(step->n_ok, 1);
    ck_assert_uint_eq(step->submit.n_2xx, 3);
    ck_assert_uint_eq(step->poll.n_2xx, 3);
    ck_assert_uint_gt(step->submit.bytes_sent, 1000);
    ck_assert_uint_eq(optim->n_ok, 2);
    ck_assert_uint_eq(optim->submit.n_5xx, 3);
    ck_assert_uint_eq(optim->submit.n_resent, 3);
    ck_assert_uint_eq(optim->n_in_flight, 0);
    ck_assert_double_eq_tol(optim->backed_off_s, 0.375 + 0.75 + 1.5, 0.01);
    ck_assert_double_eq_tol(optim->latency.max_s, 2.625, 0.001);
    ck_assert_double_eq_tol(optim->latency.p99_s, 2.625, 0.2);
    ck_assert_uint_eq(tkx_metrics_find(m, "sample")->n_ok, 1);
    ck_assert_ptr_null(tkx_metrics_find(m, "save_weights"));
    tkx_metrics_free(m);

    m = snapshot(0);
    ck_assert_uint_eq(tkx_metrics_find(m, "optim_step")->n_started, 0);
    ck_assert_uint_eq(tkx_metrics_find(m, "optim_step")->latency.count, 0);
    ck_assert_double_eq(tkx_metrics_find(m, "optim_step")->latency.p50_s, 0);
    tkx_metrics_free(m);
    scripted_end(&s);
}
END_TEST

START_TEST(what_is_open_is_a_gauge)
{
    has_metrics = true;
    scripted_begin(&s);
    tkx_sampling *sampling = scripted_sampling(&s);
    s.held = "retrieve_future";
    tkx_future *a = sample(sampling), *b = sample(sampling);
    fake_io_turn(s.io);
    tkx_metrics *m = snapshot(TKX_METRICS_RESET);
    ck_assert_uint_eq(tkx_metrics_find(m, "sample")->n_in_flight, 2);
    tkx_metrics_free(m);
    tkx_future_cancel(a);
    fake_io_turn(s.io);
    m = snapshot(0);
    ck_assert_uint_eq(tkx_metrics_find(m, "sample")->n_in_flight, 1);
    ck_assert_uint_eq(tkx_metrics_find(m, "sample")->n_dropped, 1);
    ck_assert_uint_eq(tkx_metrics_find(m, "sample")->poll.n_dropped, 1);
    tkx_metrics_free(m);
    tkx_future_cancel(b);
    fake_io_turn(s.io);
    tkx_future_unref(a);
    tkx_future_unref(b);
    tkx_sampling_free(sampling);
    scripted_end(&s);
}
END_TEST

static int count(const char *text, const char *part)
{
    int n = 0;

    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

START_TEST(the_text_keeps_to_the_conventions)
{
    char *text;
    size_t size;

    has_metrics = true;
    scripted_begin(&s);
    work();
    ck_assert_int_eq(tkx_metrics_prometheus(s.context, &text, &size, NULL), TKX_OK);
    ck_assert_uint_eq(strlen(text), size);
    ck_assert_ptr_nonnull(strstr(
        text, "\ntkx_operations_total{operation=\"optim_step\",outcome=\"ok\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "\ntkx_requests_total{operation=\"optim_step\","
                                       "kind=\"submit\",code=\"5xx\"} 3\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ntkx_operation_duration_seconds_bucket{operation=\"optim_step\","
                     "le=\"5\"} 2\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "\ntkx_operation_duration_seconds_bucket{operation=\"optim_step\","
                     "le=\"2.5\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(
        text, "\ntkx_operation_duration_seconds_count{operation=\"optim_step\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "\ntkx_breaker_state{endpoint=\"sample\"} 0\n"));
    ck_assert_int_eq(count(text, "# TYPE tkx_requests_total counter\n"), 1);
    ck_assert_int_eq(count(text, "# HELP "), count(text, "# TYPE "));
    /* Every line is a comment or "name{labels} number" of a family told before. */
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        double value;
        int used = 0;
        if (line[0] == '#')
            continue;
        ck_assert_int_eq(strncmp(line, "tkx_", 4), 0);
        char *end = strrchr(line, ' ');
        ck_assert_msg(end && sscanf(end, " %lf%n", &value, &used) == 1 && !end[used],
                      "%s", line);
    }
    tkx_metrics_text_free(text);
    scripted_end(&s);
}
END_TEST

START_TEST(the_file_is_written_at_the_end_at_the_latest)
{
    size_t size;

    has_metrics = true;
    metrics_options.path = path;
    metrics_options.every_ms = 1000;
    scripted_begin(&s);
    work(); /* longer than a second */
    char *text = read_file(&size);
    ck_assert_ptr_nonnull(strstr(text, "operation=\"sample\",outcome=\"ok\"} 1\n"));
    free(text);
    scripted_end(&s);
    text = read_file(&size);
    ck_assert_ptr_nonnull(strstr(text, "operation=\"optim_step\",outcome=\"ok\"} 2\n"));
    free(text);
}
END_TEST

START_TEST(without_metrics_there_are_none)
{
    tkx_metrics *m;

    scripted_begin(&s);
    ck_assert_int_eq(tkx_metrics_snapshot(s.context, 0, &m, NULL), TKX_ERR_INVALID_STATE);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tc = tcase_create("metrics");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, operations_are_counted);
    tcase_add_test(tc, what_is_open_is_a_gauge);
    tcase_add_test(tc, the_text_keeps_to_the_conventions);
    tcase_add_test(tc, the_file_is_written_at_the_end_at_the_latest);
    tcase_add_test(tc, without_metrics_there_are_none);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
