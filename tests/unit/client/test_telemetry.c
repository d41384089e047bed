/* SPDX-License-Identifier: Apache-2.0 */
/* test_telemetry.c - what is told, to whom, how much at most, and what it never costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/telemetry.h>

#include "scripted.h"
#include "support/fail_alloc.h"
#include "support/suite.h"

static scripted s;
static tkx_service_options options;

static void set_up(void)
{
    memset(&s, 0, sizeof s);
    options = (tkx_service_options)TKX_SERVICE_OPTIONS_INIT;
    options.telemetry = 1;
    s.options = &options;
    unsetenv("TINKER_TELEMETRY");
}

static void tear_down(void)
{
    scripted_end(&s);
    unsetenv("TINKER_TELEMETRY");
}

static void start(void)
{
    tkx_future *future;

    scripted_begin(&s);
    ck_assert_int_eq(tkx_service_start(s.service, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    tkx_future_unref(future);
}

static tkx_telemetry_stats stats(void)
{
    tkx_telemetry_stats now = TKX_TELEMETRY_STATS_INIT;

    ck_assert_int_eq(tkx_service_telemetry_stats(s.service, &now, NULL), TKX_OK);
    return now;
}

static tkx_status report(const char *name)
{
    return tkx_service_report(s.service, &(tkx_telemetry_event){.event_name = name},
                              NULL);
}

static const char *last_batch(void)
{
    return fake_io_sent(s.io, scripted_last(&s, "telemetry"))->body;
}

START_TEST(it_is_off_unless_asked_for)
{
    const char *const no[] = {NULL, "", "0", "false", "2"};

    options.telemetry = 0;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (no[i])
            setenv("TINKER_TELEMETRY", no[i], 1);
        start();
        ck_assert_int_eq(report("x"), TKX_OK);
        ck_assert_int_eq(stats().is_on, 0);
        fake_io_advance(s.io, 60000);
        ck_assert_uint_eq(fake_io_count(s.io, "telemetry"), 0);
        scripted_end(&s);
        set_up();
        options.telemetry = 0;
    }
    setenv("TINKER_TELEMETRY", "Yes", 1);
    start();
    ck_assert_int_eq(stats().is_on, 1);
}
END_TEST

START_TEST(minus_one_wins_over_the_environment)
{
    setenv("TINKER_TELEMETRY", "1", 1);
    options.telemetry = -1;
    start();
    ck_assert_int_eq(stats().is_on, 0);
}
END_TEST

START_TEST(events_go_out_every_ten_seconds)
{
    const tkx_json_member data = {"n", "3"};
    const tkx_telemetry_event event = {
        .event_name = "step", .severity = "DEBUG", .event_data = {&data, 1}};

    start();
    ck_assert_int_eq(tkx_service_report(s.service, &event, NULL), TKX_OK);
    fake_io_advance(s.io, 9999);
    ck_assert_uint_eq(fake_io_count(s.io, "telemetry"), 0);
    fake_io_advance(s.io, 1);
    const char *body = last_batch();
    ck_assert_ptr_nonnull(strstr(body, "{\"events\":[{\"event\":\"SESSION_START\","));
    ck_assert_ptr_nonnull(
        strstr(body, "\"event_session_index\":0,\"severity\":\"INFO\","));
    ck_assert_ptr_nonnull(
        strstr(body, "\"event_session_index\":1,\"severity\":\"DEBUG\","));
    ck_assert_ptr_nonnull(
        strstr(body, "\"event_name\":\"step\",\"event_data\":{\"n\":3}}]"));
    ck_assert_ptr_nonnull(
        strstr(body, "\"sdk_version\":\"0.38.0\",\"session_id\":\"S\","));
    ck_assert_ptr_nonnull(strstr(body, "\"process_uuid\":\""));
    ck_assert_str_eq(
        fake_io_header(s.io, scripted_last(&s, "telemetry"), "x-stainless-read-timeout"),
        "5");
    ck_assert_int_eq(stats().n_sent, 2);
    fake_io_advance(s.io, 60000);
    ck_assert_uint_eq(fake_io_count(s.io, "telemetry"), 1); /* nothing, no request */
}
END_TEST

START_TEST(a_full_batch_goes_at_once_and_the_rest_in_batches)
{
    start();
    for (int i = 0; i < 149; i++)
        report("x");
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "telemetry"), 2); /* 100 and 50 */
    ck_assert_int_eq(stats().n_sent, 150);
}
END_TEST

/* A service that does not answer: events pile up to the bound, errors reach the
   caller. */
START_TEST(a_dead_route_costs_nobody_anything)
{
    tkx_future *future;
    tkx_training *training;

    s.held = "telemetry";
    start();
    training = scripted_lora(&s);
    for (int i = 0; i < 11000; i++)
        report("x");
    ck_assert_int_eq(report("one more"), TKX_ERR_LIMIT);
    ck_assert_int_eq(stats().n_queued, 10000);
    s.refused = "optim_step";
    ck_assert_int_eq(tkx_training_optim_step(training, NULL, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_ERR_HTTP); /* no clock was moved */
    tkx_future_unref(future);
    tkx_training_free(training);
    fake_io_advance(s.io, 100000); /* time-outs, resends, the batch given up */
    ck_assert_int_gt(stats().n_dropped, 1000);
}
END_TEST

START_TEST(a_service_without_the_route_is_left_alone)
{
    s.missing = "telemetry";
    start();
    fake_io_advance(s.io, 10000);
    ck_assert_uint_eq(fake_io_count(s.io, "telemetry"), 1);
    for (int i = 0; i < 300; i++)
        ck_assert_int_eq(report("x"), TKX_OK);
    fake_io_advance(s.io, 60000);
    ck_assert_uint_eq(fake_io_count(s.io, "telemetry"), 1);
}
END_TEST

START_TEST(one_that_knows_no_process_gets_none)
{
    s.refused = "telemetry";
    start();
    fake_io_advance(s.io, 10000);
    s.refused = NULL;
    report("x");
    fake_io_advance(s.io, 10000);
    ck_assert_uint_eq(fake_io_count(s.io, "telemetry"), 2);
    ck_assert_ptr_null(strstr(last_batch(), "process_uuid"));
}
END_TEST

START_TEST(no_key_leaves_the_house)
{
    const tkx_telemetry_event event = {.event = "UNHANDLED_EXCEPTION",
                                       .error_type = "E",
                                       .error_message = "header x-api-key: tml-secret!",
                                       .traceback = "tml-secret tml-secret"};

    start();
    ck_assert_int_eq(tkx_service_report(s.service, &event, NULL), TKX_OK);
    fake_io_advance(s.io, 10000);
    ck_assert_ptr_null(strstr(last_batch(), "tml-secret"));
    ck_assert_ptr_nonnull(strstr(last_batch(), "x-api-key: **********!"));
    ck_assert_ptr_nonnull(strstr(last_batch(), "\"severity\":\"ERROR\""));
}
END_TEST

START_TEST(failed_operations_are_told_without_their_words)
{
    tkx_future *future;
    tkx_training *training;

    s.refused = "optim_step";
    start();
    training = scripted_lora(&s);
    ck_assert_int_eq(tkx_training_optim_step(training, NULL, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_ERR_HTTP);
    tkx_future_unref(future);
    tkx_training_free(training);
    fake_io_advance(s.io, 10000);
    ck_assert_ptr_nonnull(strstr(
        last_batch(), "\"event_name\":\"optim_step result.failed\",\"event_data\":{"
                      "\"status\":\"TKX_ERR_HTTP\",\"http_status\":422"));
    ck_assert_ptr_null(strstr(last_batch(), "refused"));
}
END_TEST

START_TEST(the_last_events_go_out_when_the_service_is_freed)
{
    start();
    ck_assert_int_eq(tkx_service_report(
                         s.service, &(tkx_telemetry_event){.event = "SESSION_END"}, NULL),
                     TKX_OK);
    tkx_service_free(s.service);
    s.service = NULL;
    fake_io_turn(s.io);
    ck_assert_ptr_nonnull(strstr(last_batch(), "\"duration\":\"0:00:00.000000\""));
}
END_TEST

START_TEST(a_client_without_a_session_has_an_id_of_its_own)
{
    options.is_sessionless = 1;
    start();
    report("list");
    fake_io_advance(s.io, 10000);
    ck_assert_ptr_nonnull(strstr(last_batch(), "\"session_id\":\"sessionless-"));
    ck_assert_ptr_null(strstr(last_batch(), "SESSION_START"));
}
END_TEST

START_TEST(events_are_dropped_when_memory_is_short_or_they_are_huge)
{
    char *huge = malloc(100001);

    start();
    memset(huge, 'x', 100000);
    huge[100000] = '\0';
    ck_assert_int_eq(report(huge), TKX_ERR_LIMIT);
    free(huge);
    fail_alloc_begin(1);
    ck_assert_int_eq(report("x"), TKX_ERR_LIMIT);
    fail_alloc_end();
    fake_io_advance(s.io, 10000);
    ck_assert_int_eq(stats().n_sent, 1);
    ck_assert_int_eq(stats().n_dropped, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("telemetry");
    TCase *tcase = tcase_create("telemetry");

    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, it_is_off_unless_asked_for);
    tcase_add_test(tcase, minus_one_wins_over_the_environment);
    tcase_add_test(tcase, events_go_out_every_ten_seconds);
    tcase_add_test(tcase, a_full_batch_goes_at_once_and_the_rest_in_batches);
    tcase_add_test(tcase, a_dead_route_costs_nobody_anything);
    tcase_add_test(tcase, a_service_without_the_route_is_left_alone);
    tcase_add_test(tcase, one_that_knows_no_process_gets_none);
    tcase_add_test(tcase, no_key_leaves_the_house);
    tcase_add_test(tcase, failed_operations_are_told_without_their_words);
    tcase_add_test(tcase, the_last_events_go_out_when_the_service_is_freed);
    tcase_add_test(tcase, a_client_without_a_session_has_an_id_of_its_own);
    tcase_add_test(tcase, events_are_dropped_when_memory_is_short_or_they_are_huge);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
