/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_call.c - both retry layers, Retry-After, proxy faults and the billing pause, on a
 * virtual clock (behaviour checks 3 to 6 and 20).
 */
#include <stdlib.h>
#include <string.h>

#include "api/backoff.h"
#include "api/call.h"
#include "api/http_error.h"
#include "support/fail_alloc.h"
#include "support/fake_io.h"
#include "support/suite.h"

typedef struct world {
    fake_io *io;
    tkx__site *site;
    tkx__call *call;
    int n_done;
    int http;
    tkx_status status;
    int attempts;
    int n_warnings;
} world;

static world w;

static void on_log(tkx_log_level level, const char *subject, const char *message,
                   void *arg)
{
    (void)subject, (void)message, (void)arg;
    if (level == TKX_LOG_WARNING)
        w.n_warnings++;
}

static const tkx__log counting_log = {on_log, NULL, TKX_LOG_TRACE};

static void set_up(void)
{
    w = (world){.io = fake_io_new()};
    tkx__site_options options = {
        .io = *fake_io_table(w.io), .log = &counting_log, .base_url = "http://x/svc/"};
    ck_assert_int_eq(tkx__site_new(&options, &w.site, NULL), TKX_OK);
}

static void tear_down(void)
{
    tkx__site_free(w.site);
    fake_io_free(w.io);
}

static void done(void *arg, tkx__outcome *outcome)
{
    (void)arg;
    w.n_done++;
    w.call = NULL;
    w.http = outcome->reply ? outcome->reply->http_status : 0;
    w.status = tkx_error_status(outcome->error);
    w.attempts = outcome->n_sends;
    tkx_error_free(outcome->error);
}

static const tkx__body body = {.bytes = "{}", .size_bytes = 2};

static void start(unsigned max_retries, bool is_outer)
{
    tkx__call_spec spec = {.what = "thing",
                           .route = "thing",
                           .lane = TKX__LANE_TRAIN,
                           .body = &body,
                           .seq_id = -1,
                           .max_retries = max_retries,
                           .is_outer = is_outer};
    ck_assert_int_eq(tkx__call_start(w.site, &spec, done, NULL, &w.call, NULL), TKX_OK);
    fake_io_turn(w.io);
}

static int64_t gap(size_t i)
{
    return fake_io_sent(w.io, i)->sent_at_ms - fake_io_sent(w.io, i - 1)->sent_at_ms;
}

START_TEST(inner_layer_waits_longer_each_time)
{
    start(10, false);
    for (size_t i = 0; i < 3; i++) {
        fake_io_answer(w.io, i, 503, NULL, "{}");
        fake_io_advance(w.io, 2000);
    }
    fake_io_answer(w.io, 3, 200, NULL, "{}");
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.http, 200);
    for (size_t i = 0; i < 4; i++) {
        char count[2] = {(char)('0' + i), 0};
        ck_assert_str_eq(fake_io_header(w.io, i, "x-stainless-retry-count"), count);
        ck_assert_str_eq(fake_io_header(w.io, i, "x-idempotency-key"),
                         fake_io_header(w.io, 0, "x-idempotency-key"));
    }
    ck_assert_int_eq(gap(1), 375);
    ck_assert_str_eq(fake_io_sent(w.io, 0)->url, "http://x/svc/api/v1/thing");
}
END_TEST

START_TEST(inner_waits_lie_in_their_windows)
{
    static const int64_t lowest[] = {375, 750, 1500, 3000, 6000, 7500, 7500};

    for (unsigned i = 0; i < 7; i++) {
        ck_assert_int_eq(tkx__backoff_inner_ms(i, 1 - 1e-9), lowest[i]);
        ck_assert_int_eq(tkx__backoff_inner_ms(i, 0.0), lowest[i] / 3 * 4);
    }
    ck_assert_int_eq(tkx__backoff_inner_ms(4000000000u, 0.0), 10000);
}
END_TEST

typedef struct asked_case {
    const char *headers;
    int64_t wait_ms;
} asked_case;

static const asked_case asked_cases[] = {
    {"retry-after-ms: 1500", 1500},
    {"retry-after-ms: 0.5", 1},
    {"retry-after: 2.5", 2500},
    {"retry-after: 60", 60000},
    {"retry-after: 61", 375},
    {"retry-after: 0", 375},
    {"retry-after: -3", 375},
    {"retry-after: soon", 375},
    {"retry-after: Tue, 14 Nov 2023 22:13:25 GMT", 5000},
    {"retry-after: Tue, 14 Nov 2023 22:13:15 GMT", 375},
    {"retry-after: 7\nretry-after-ms: 250", 250},
};

START_TEST(asked_wait_is_honoured_in_its_window)
{
    const asked_case *c = &asked_cases[_i];

    start(10, false);
    fake_io_answer(w.io, 0, 503, c->headers, "{}");
    fake_io_advance(w.io, c->wait_ms - 1);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 1);
    fake_io_advance(w.io, 1);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 2);
    fake_io_answer(w.io, 1, 200, NULL, "{}");
}
END_TEST

START_TEST(should_retry_header_overrules_the_status)
{
    start(10, false);
    fake_io_answer(w.io, 0, 503, "x-should-retry: false", "{}");
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.status, TKX_ERR_HTTP);

    start(10, false);
    fake_io_answer(w.io, 1, 404, "x-should-retry: true", "{}");
    fake_io_advance(w.io, 400);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 3);
    fake_io_answer(w.io, 2, 404, NULL, "{}");
    ck_assert_int_eq(w.n_done, 2);
}
END_TEST

START_TEST(proxy_400_is_a_connection_error_sixteen_times)
{
    start(100, false);
    for (size_t i = 0; i < 16; i++) {
        fake_io_answer(w.io, i, 400, i % 2 ? "-content-length" : NULL, "");
        ck_assert_int_eq(w.n_done, 0);
        fake_io_advance(w.io, 10000);
        ck_assert(fake_io_sent(w.io, i + 1)->fresh_connection);
    }
    fake_io_answer(w.io, 16, 400, NULL, "");
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.http, 400);
}
END_TEST

START_TEST(a_400_with_a_body_is_final)
{
    start(10, true);
    fake_io_answer(w.io, 0, 400, NULL, "{\"detail\":\"no\"}");
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.status, TKX_ERR_HTTP);
}
END_TEST

START_TEST(outer_layer_repeats_for_300_seconds)
{
    static const int64_t at_s[] = {0,   1,   3,   7,   15,  31,  61, 91,
                                   121, 151, 181, 211, 241, 271, 300};
    size_t n = sizeof at_s / sizeof *at_s;

    start(0, true);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(fake_io_sent(w.io, i)->sent_at_ms, at_s[i] * 1000);
        fake_io_answer(w.io, i, 503, NULL, "{}");
        fake_io_advance(w.io, i + 1 < n ? (at_s[i + 1] - at_s[i]) * 1000 : 100000);
    }
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.http, 503);
    ck_assert_int_eq(w.attempts, (int)n);
}
END_TEST

START_TEST(an_idempotency_key_is_a_random_uuid)
{
    static const double draws[] = {0.9, 0.1, 0.7, 0.3};
    char key[64];

    fake_io_set_uniforms(w.io, draws, 4);
    tkx__make_uuid(w.site, key, "p-");
    ck_assert_str_eq(key, "p-e6666666-1999-4999-b333-33334ccccccc");
}
END_TEST

START_TEST(a_repeated_call_has_a_new_idempotency_key)
{
    static const double draws[] = {0.9, 0.1, 0.7, 0.3, 0.5, 0.2, 0.6};

    fake_io_set_uniforms(w.io, draws, 7);
    start(0, true);
    fake_io_answer(w.io, 0, 503, NULL, "{}");
    fake_io_advance(w.io, 1000);
    ck_assert_str_ne(fake_io_header(w.io, 0, "x-idempotency-key"),
                     fake_io_header(w.io, 1, "x-idempotency-key"));
    tkx__call_cancel(w.call);
}
END_TEST

START_TEST(billing_pause_outlasts_ten_minutes)
{
    start(10, true);
    for (size_t i = 0; fake_io_now(w.io) < 600000; i++) {
        fake_io_answer(w.io, i, 402, NULL, "{\"detail\":\"pay\"}");
        fake_io_advance(w.io, 5000);
    }
    ck_assert_int_eq(w.n_done, 0);
    fake_io_answer(w.io, fake_io_n_sent(w.io) - 1, 200, NULL, "{}");
    ck_assert_int_eq(w.http, 200);
    ck_assert_int_le(w.n_warnings, 11);
    ck_assert_int_ge(w.n_warnings, 9);
}
END_TEST

START_TEST(billing_pause_ends_at_its_maximum)
{
    w.site->billing.max_pause_ms = 60000;
    start(10, true);
    for (size_t i = 0; !w.n_done && i < 100; i++) {
        fake_io_answer(w.io, i, 402, NULL, "{\"detail\":\"pay\"}");
        if (!w.n_done)
            fake_io_advance(w.io, 5000);
    }
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.status, TKX_ERR_BILLING);
    ck_assert_int_eq(fake_io_now(w.io), 60000);
}
END_TEST

START_TEST(link_failures_are_retried_then_told)
{
    start(1, false);
    fake_io_fail(w.io, 0, TKX_ERR_CONNECTION, "refused");
    fake_io_advance(w.io, 1000);
    fake_io_fail(w.io, 1, TKX_ERR_TIMEOUT, "slow");
    ck_assert_int_eq(w.n_done, 1);
    ck_assert_int_eq(w.status, TKX_ERR_TIMEOUT);
    ck_assert_int_eq(w.http, 0);
}
END_TEST

START_TEST(an_oversized_answer_is_final)
{
    start(10, true);
    fake_io_fail(w.io, 0, TKX_ERR_LIMIT, "too long");
    ck_assert_int_eq(w.status, TKX_ERR_LIMIT);
}
END_TEST

START_TEST(cancel_in_any_state_leaves_nothing)
{
    start(10, true);
    tkx__call_cancel(w.call);
    start(10, true);
    fake_io_answer(w.io, 1, 503, NULL, "{}");
    tkx__call_cancel(w.call);
    fake_io_advance(w.io, 10000);
    ck_assert_int_eq(w.n_done, 0);
    ck_assert_uint_eq(fake_io_n_sent(w.io), 2);
}
END_TEST

START_TEST(no_memory_to_send_is_an_error_at_once)
{
    tkx__call_spec spec = {
        .what = "thing", .route = "thing", .body = &body, .seq_id = -1};
    tkx_error *err = NULL;

    fake_io_refuse_sends(w.io, 1);
    ck_assert_int_eq(tkx__call_start(w.site, &spec, done, NULL, &w.call, &err),
                     TKX_ERR_NO_MEMORY);
    ck_assert_ptr_null(w.call);
    tkx_error_free(err);
    ck_assert_int_eq(w.n_done, 0);
}
END_TEST

/* Loop: answered so that it would wait and try again, or pause. */
START_TEST(no_memory_to_wait_is_an_error_at_once)
{
    static const int statuses[] = {503, 402};
    int was_hit = 1;

    for (size_t n = 1; was_hit; n++) {
        start(10, true);
        fail_alloc_begin(n);
        fake_io_answer(w.io, n - 1, statuses[_i], NULL, "{}");
        was_hit = fail_alloc_hit();
        fail_alloc_end();
        ck_assert_int_eq(w.n_done, was_hit);
        ck_assert_int_eq(w.status, was_hit ? TKX_ERR_NO_MEMORY : TKX_OK);
        tkx__call_cancel(w.call);
        w.n_done = 0;
        w.status = TKX_OK;
    }
}
END_TEST

START_TEST(each_refused_value_is_named)
{
    static const char answer[] =
        "{\"detail\":[{\"loc\":[\"body\",\"data\",0],\"msg\":\"too small\"},{\"msg\":5},"
        "{\"loc\":[\"body\",\"x\"],\"msg\":\"not permitted\"}]}";
    tkx__buf text;

    tkx__buf_init(&text, SIZE_MAX);
    tkx__server_message(&text, answer, sizeof answer - 1);
    ck_assert_str_eq(tkx__buf_text(&text),
                     "too small at body.data.0; not permitted at body.x");
    tkx__buf_clear(&text);
}
END_TEST

START_TEST(a_servers_text_keeps_its_lines)
{
    static const char answer[] = "{\"detail\":\"one\\ntwo\\u001b[2J\"}";
    tkx__buf text;

    tkx__buf_init(&text, SIZE_MAX);
    tkx__server_message(&text, answer, sizeof answer - 1);
    ck_assert_str_eq(tkx__buf_text(&text), "one\ntwo [2J");
    tkx__buf_clear(&text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("call");
    TCase *tc = tcase_create("call");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, inner_layer_waits_longer_each_time);
    tcase_add_test(tc, inner_waits_lie_in_their_windows);
    tcase_add_loop_test(tc, asked_wait_is_honoured_in_its_window, 0,
                        (int)(sizeof asked_cases / sizeof *asked_cases));
    tcase_add_test(tc, should_retry_header_overrules_the_status);
    tcase_add_test(tc, proxy_400_is_a_connection_error_sixteen_times);
    tcase_add_test(tc, a_400_with_a_body_is_final);
    tcase_add_test(tc, outer_layer_repeats_for_300_seconds);
    tcase_add_test(tc, an_idempotency_key_is_a_random_uuid);
    tcase_add_test(tc, a_repeated_call_has_a_new_idempotency_key);
    tcase_add_test(tc, billing_pause_outlasts_ten_minutes);
    tcase_add_test(tc, billing_pause_ends_at_its_maximum);
    tcase_add_test(tc, link_failures_are_retried_then_told);
    tcase_add_test(tc, a_servers_text_keeps_its_lines);
    tcase_add_test(tc, an_oversized_answer_is_final);
    tcase_add_test(tc, cancel_in_any_state_leaves_nothing);
    tcase_add_test(tc, no_memory_to_send_is_an_error_at_once);
    tcase_add_loop_test(tc, no_memory_to_wait_is_an_error_at_once, 0, 2);
    tcase_add_test(tc, each_refused_value_is_named);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
