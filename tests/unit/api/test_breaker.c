/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_breaker.c - when a breaker opens, what it lets through, and how calls meet it, on
 * a virtual clock.
 */
#include <string.h>

#include "api/breaker.h"
#include "api/call.h"
#include "base/error.h"
#include "support/fake_io.h"
#include "support/suite.h"

typedef struct world {
    fake_io *io;
    tkx__site *site;
    tkx__breakers breakers;
    int n_done, n_failed;
    tkx_error *error; /* of the latest */
} world;

static world w;

static void begin(const tkx_breaker_options *rules)
{
    w = (world){.io = fake_io_new()};
    ck_assert_int_eq(tkx__breakers_init(&w.breakers, rules, NULL), TKX_OK);
    const tkx__site_options options = {
        .io = *fake_io_table(w.io), .base_url = "http://x/svc", .breakers = &w.breakers};
    ck_assert_int_eq(tkx__site_new(&options, &w.site, NULL), TKX_OK);
}

static void end(void)
{
    tkx_error_free(w.error);
    tkx__site_free(w.site);
    fake_io_free(w.io);
}

static void done(void *arg, tkx__outcome *outcome)
{
    (void)arg;
    w.n_done++;
    w.n_failed += outcome->error != NULL;
    tkx_error_free(w.error);
    w.error = outcome->error;
}

static tkx_status start_on(tkx__lane lane, unsigned max_retries, tkx_error **err)
{
    static const tkx__body body = {.bytes = "{}", .size_bytes = 2};
    const tkx__call_spec spec = {.what = "thing",
                                 .route = "thing",
                                 .lane = lane,
                                 .body = &body,
                                 .seq_id = -1,
                                 .max_retries = max_retries};
    tkx__call *call = NULL;
    tkx_status st = tkx__call_start(w.site, &spec, done, NULL, &call, err);

    fake_io_turn(w.io);
    return st;
}

/* One call on the lane, answered; http 0: no link. */
static void one(tkx__lane lane, int http)
{
    size_t i = fake_io_n_sent(w.io);

    ck_assert_int_eq(start_on(lane, 0, NULL), TKX_OK);
    if (http)
        fake_io_answer(w.io, i, http, NULL, "{}");
    else
        fake_io_fail(w.io, i, TKX_ERR_CONNECTION, "no route");
}

static tkx_breaker_info look(tkx__lane lane)
{
    tkx_breaker_info info = TKX_BREAKER_INFO_INIT;

    tkx__breaker_look(&w.breakers, lane, w.site->io.ops->now_ms(w.site->io.ctx), &info);
    return info;
}

static tkx_breaker_options strict(void)
{
    tkx_breaker_options rules = TKX_BREAKER_OPTIONS_INIT;

    rules.refuses = 1;
    rules.n_failures = 3;
    return rules;
}

START_TEST(opens_after_failures_in_a_row)
{
    begin(NULL);
    for (int i = 0; i < 4; i++)
        one(TKX__LANE_SAMPLE, i % 2 ? 503 : 0);
    one(TKX__LANE_SAMPLE, 200); /* the row is broken */
    for (int i = 0; i < 4; i++)
        one(TKX__LANE_SAMPLE, 500);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_CLOSED);
    one(TKX__LANE_SAMPLE, 502);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_OPEN);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).open_ms, 30000);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).last_http_status, 502);
    ck_assert_int_eq(look(TKX__LANE_TRAIN).state, TKX_BREAKER_CLOSED);
    fake_io_advance(w.io, 29999);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_OPEN);
    fake_io_advance(w.io, 1);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_HALF_OPEN);
    one(TKX__LANE_SAMPLE, 200);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_CLOSED);
    end();
}
END_TEST

START_TEST(watching_alone_refuses_nothing)
{
    begin(NULL);
    for (int i = 0; i < 12; i++)
        one(TKX__LANE_SAMPLE, 500);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 12);
    ck_assert_uint_eq(look(TKX__LANE_SAMPLE).n_opened, 1);
    ck_assert_uint_eq(look(TKX__LANE_SAMPLE).n_refused, 0);
    end();
}
END_TEST

START_TEST(errors_of_the_user_never_count)
{
    static const int statuses[] = {400, 401, 403, 404, 408, 409, 422, 429};
    tkx_breaker_options rules = strict();

    rules.n_failures = 1;
    begin(&rules);
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        one(TKX__LANE_TRAIN, statuses[i]);
    ck_assert_int_eq(look(TKX__LANE_TRAIN).state, TKX_BREAKER_CLOSED);
    end();
}
END_TEST

START_TEST(a_long_poll_that_runs_out_is_no_failure)
{
    tkx_breaker_options rules = strict();

    rules.n_failures = 1;
    begin(&rules);
    ck_assert_int_eq(start_on(TKX__LANE_RETRIEVE, 0, NULL), TKX_OK);
    fake_io_advance(w.io, 60000);
    ck_assert_int_eq(w.n_failed, 1);
    ck_assert_int_eq(look(TKX__LANE_RETRIEVE).state, TKX_BREAKER_CLOSED);
    ck_assert_int_eq(start_on(TKX__LANE_SAMPLE, 0, NULL), TKX_OK);
    fake_io_advance(w.io, 60000);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_OPEN);
    end();
}
END_TEST

START_TEST(an_open_breaker_fails_a_new_call_before_it_is_sent)
{
    tkx_breaker_options rules = strict();
    tkx_error *err = NULL;

    begin(&rules);
    for (int i = 0; i < 3; i++)
        one(TKX__LANE_SAMPLE, 503);
    fake_io_advance(w.io, 1500);
    ck_assert_int_eq(start_on(TKX__LANE_SAMPLE, 5, &err), TKX_ERR_BREAKER_OPEN);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 3);
    ck_assert_int_eq(tkx_error_retry_after_ms(err), 28500);
    ck_assert_int_eq(tkx_error_attempts(err), 0);
    ck_assert_int_eq(tkx_error_is_retryable(err), 1);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err),
                                 "the breaker of the sample endpoint is open after 3 "
                                 "failures in a row (the last: HTTP status 503), until "
                                 "2023-11-14T22:13:50Z, 28.5 s from now"));
    ck_assert_uint_eq(look(TKX__LANE_SAMPLE).n_refused, 1);
    one(TKX__LANE_TRAIN, 200); /* another endpoint */
    tkx_error_free(err);
    end();
}
END_TEST

START_TEST(one_probe_decides)
{
    tkx_breaker_options rules = strict();

    begin(&rules);
    for (int i = 0; i < 3; i++)
        one(TKX__LANE_SAMPLE, 503);
    fake_io_advance(w.io, 30000);
    ck_assert_int_eq(start_on(TKX__LANE_SAMPLE, 0, NULL), TKX_OK); /* the probe */
    ck_assert_int_eq(start_on(TKX__LANE_SAMPLE, 0, NULL), TKX_ERR_BREAKER_OPEN);
    fake_io_answer(w.io, 3, 500, NULL, "{}");
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_OPEN);
    fake_io_advance(w.io, 30000);
    one(TKX__LANE_SAMPLE, 404); /* an answer is an answer */
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_CLOSED);
    ck_assert_int_eq(start_on(TKX__LANE_SAMPLE, 0, NULL), TKX_OK);
    fake_io_answer(w.io, fake_io_n_sent(w.io) - 1, 200, NULL, "{}");
    end();
}
END_TEST

START_TEST(a_probe_that_is_dropped_makes_room_for_another)
{
    static const tkx__body body = {.bytes = "{}", .size_bytes = 2};
    const tkx__call_spec spec = {.what = "thing",
                                 .route = "thing",
                                 .lane = TKX__LANE_SAMPLE,
                                 .body = &body,
                                 .seq_id = -1};
    tkx_breaker_options rules = strict();
    tkx__call *call;

    begin(&rules);
    for (int i = 0; i < 3; i++)
        one(TKX__LANE_SAMPLE, 503);
    fake_io_advance(w.io, 30000);
    ck_assert_int_eq(tkx__call_start(w.site, &spec, done, NULL, &call, NULL), TKX_OK);
    tkx__call_cancel(call);
    one(TKX__LANE_SAMPLE, 200);
    ck_assert_int_eq(look(TKX__LANE_SAMPLE).state, TKX_BREAKER_CLOSED);
    end();
}
END_TEST

START_TEST(the_cool_down_doubles_with_each_failed_probe)
{
    tkx_breaker_options rules = strict();

    rules.n_failures = 1;
    rules.cool_down_ms = 1000;
    rules.max_cool_down_ms = 3000;
    begin(&rules);
    one(TKX__LANE_REST, 500);
    ck_assert_int_eq(look(TKX__LANE_REST).open_ms, 1000);
    fake_io_advance(w.io, 1000);
    one(TKX__LANE_REST, 500);
    ck_assert_int_eq(look(TKX__LANE_REST).open_ms, 2000);
    fake_io_advance(w.io, 2000);
    one(TKX__LANE_REST, 0);
    ck_assert_int_eq(look(TKX__LANE_REST).open_ms, 3000);
    fake_io_advance(w.io, 3000);
    one(TKX__LANE_REST, 200);
    one(TKX__LANE_REST, 500);
    ck_assert_int_eq(look(TKX__LANE_REST).open_ms, 1000);
    end();
}
END_TEST

START_TEST(failures_far_apart_are_no_row)
{
    tkx_breaker_options rules = strict();

    rules.window_ms = 1100;
    begin(&rules);
    for (int i = 0; i < 3; i++) {
        one(TKX__LANE_REST, 500);
        fake_io_advance(w.io, 501);
    }
    ck_assert_int_eq(look(TKX__LANE_REST).state, TKX_BREAKER_OPEN); /* at 1,002 */
    end();
    rules.window_ms = 400;
    begin(&rules);
    for (int i = 0; i < 6; i++) {
        one(TKX__LANE_REST, 500);
        fake_io_advance(w.io, 501);
    }
    ck_assert_int_eq(look(TKX__LANE_REST).state, TKX_BREAKER_CLOSED);
    end();
}
END_TEST

START_TEST(a_call_that_has_begun_waits_for_the_breaker)
{
    tkx_breaker_options rules = strict();

    rules.n_failures = 1;
    begin(&rules);
    ck_assert_int_eq(start_on(TKX__LANE_TRAIN, 5, NULL), TKX_OK);
    fake_io_answer(w.io, 0, 503, NULL, "{}");
    fake_io_advance(w.io, 29999);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 1); /* though its back-off has long passed */
    fake_io_advance(w.io, 1);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 2);
    fake_io_answer(w.io, 1, 200, NULL, "{}");
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.n_failed, 0);
    end();
}
END_TEST

START_TEST(polls_wait_and_heartbeats_go_on)
{
    tkx_breaker_options rules = strict();

    rules.n_failures = 1;
    begin(&rules);
    one(TKX__LANE_RETRIEVE, 500);
    ck_assert_int_eq(start_on(TKX__LANE_RETRIEVE, 0, NULL), TKX_OK);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 1);
    fake_io_advance(w.io, 30000);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 2);
    fake_io_answer(w.io, 1, 200, NULL, "{}");
    one(TKX__LANE_SESSION, 500);
    one(TKX__LANE_SESSION, 200);
    ck_assert_int_eq(w.n_done, 4);
    end();
}
END_TEST

START_TEST(rules_are_checked)
{
    tkx__breakers breakers;
    tkx_breaker_options rules = strict();

    rules.cool_down_ms = -1;
    ck_assert_int_eq(tkx__breakers_init(&breakers, &rules, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    rules = (tkx_breaker_options){0};
    ck_assert_int_eq(tkx__breakers_init(&breakers, &rules, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("breaker");
    TCase *tc = tcase_create("breaker");

    tcase_add_test(tc, opens_after_failures_in_a_row);
    tcase_add_test(tc, watching_alone_refuses_nothing);
    tcase_add_test(tc, errors_of_the_user_never_count);
    tcase_add_test(tc, a_long_poll_that_runs_out_is_no_failure);
    tcase_add_test(tc, an_open_breaker_fails_a_new_call_before_it_is_sent);
    tcase_add_test(tc, one_probe_decides);
    tcase_add_test(tc, a_probe_that_is_dropped_makes_room_for_another);
    tcase_add_test(tc, the_cool_down_doubles_with_each_failed_probe);
    tcase_add_test(tc, failures_far_apart_are_no_row);
    tcase_add_test(tc, a_call_that_has_begun_waits_for_the_breaker);
    tcase_add_test(tc, polls_wait_and_heartbeats_go_on);
    tcase_add_test(tc, rules_are_checked);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
