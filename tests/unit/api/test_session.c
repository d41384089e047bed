/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_session.c - start-up order, heartbeat, death and refresh on a virtual clock
 * (behaviour checks 1, 2 and the finish part of 25).
 */
#include <string.h>

#include "api/session.h"
#include "support/fail_alloc.h"
#include "support/fake_io.h"
#include "support/suite.h"

static fake_io *io;
static tkx__site *site;
static tkx__session *session;
static int n_ready, n_warnings, n_finished;
static tkx_status start_status;
static int64_t warned_at;

static void on_log(tkx_log_level level, const char *subject, const char *message,
                   void *arg)
{
    (void)subject, (void)message, (void)arg;
    if (level != TKX_LOG_WARNING)
        return;
    n_warnings++;
    warned_at = fake_io_now(io);
}

static const tkx__log counting_log = {on_log, NULL, TKX_LOG_TRACE};

static void on_ready(void *arg, tkx_error *error)
{
    (void)arg;
    n_ready++;
    start_status = tkx_error_status(error);
    tkx_error_free(error);
}

static void set_up(void)
{
    n_ready = n_warnings = n_finished = 0;
    session = NULL;
    io = fake_io_new();
    tkx__site_options options = {
        .io = *fake_io_table(io), .log = &counting_log, .base_url = "http://x"};
    ck_assert_int_eq(tkx__site_new(&options, &site, NULL), TKX_OK);
}

static void tear_down(void)
{
    tkx__session_free(session);
    tkx__site_free(site);
    fake_io_free(io);
}

static void start(bool is_sessionless)
{
    static const char *const tags[] = {"a", "b\"c"};
    static const tkx_pair pairs[] = {{"run", "demo"}};
    tkx__session_options options = {.tags = tags,
                                    .n_tags = 2,
                                    .metadata = pairs,
                                    .n_metadata = 1,
                                    .is_sessionless = is_sessionless};
    ck_assert_int_eq(tkx__session_start(site, &options, on_ready, NULL, &session, NULL),
                     TKX_OK);
    fake_io_turn(io);
}

static void go_live(void)
{
    start(false);
    fake_io_answer(io, 0, 200, NULL, "{}");
    fake_io_answer(io, 1, 200, NULL, "{\"refresh_interval_sec\":1000000}");
    fake_io_answer(io, 2, 200, NULL, "{\"session_id\":\"S\",\"warning_message\":null}");
    ck_assert_int_eq(n_ready, 1);
    ck_assert_int_eq(start_status, TKX_OK);
}

START_TEST(start_up_is_in_order)
{
    start(false);
    ck_assert_str_eq(fake_io_sent(io, 0)->url, "http://x/api/v1/client/config");
    ck_assert_str_eq(fake_io_sent(io, 0)->body, "{\"sdk_version\":\"0.38.0\"}");
    fake_io_answer(io, 0, 200, NULL,
                   "{\"fwdbwd_max_chunk_len\": 2, \"sample_max_concurrent_requests\": 7, "
                   "\"new\": [1, {\"x\": \"]\"}], \"proto_compress_fwdbwd\": true, "
                   "\"billing_exception_max_pause_duration_sec\": 60}");
    ck_assert_str_eq(fake_io_sent(io, 1)->url, "http://x/api/v1/client/dynamic_config");
    fake_io_answer(io, 1, 200, NULL,
                   "{\"refresh_interval_sec\": 3, "
                   "\"sample_cancel_enabled\": true}");
    ck_assert_str_eq(fake_io_sent(io, 2)->url, "http://x/api/v1/create_session");
    ck_assert_str_eq(fake_io_sent(io, 2)->body,
                     "{\"tags\":[\"a\",\"b\\\"c\"],\"user_metadata\":{\"run\":\"demo\"},"
                     "\"sdk_version\":\"0.38.0\",\"type\":\"create_session\"}");
    ck_assert_int_eq(n_ready, 0);
    fake_io_answer(io, 2, 200, NULL,
                   "{\"session_id\":\"S-1\",\"warning_message\":\"old\"}");
    ck_assert_int_eq(n_ready, 1);
    ck_assert_str_eq(tkx__session_id(session), "S-1");
    ck_assert_int_eq(n_warnings, 1);
    ck_assert_int_eq(site->config.fwdbwd_max_chunk_len, 2);
    ck_assert_int_eq(site->config.sample_max_concurrent, 7);
    ck_assert(site->config.proto_compress_fwdbwd);
    ck_assert_int_eq(site->billing.max_pause_ms, 60000);
    ck_assert_int_eq(site->dynamic.refresh_interval_ms, 10000);
    ck_assert(site->dynamic.sample_cancel_enabled);
}
END_TEST

START_TEST(older_servers_get_defaults)
{
    start(false);
    fake_io_answer(io, 0, 404, NULL, "{\"detail\":\"Not Found\"}");
    fake_io_answer(io, 1, 404, NULL, "{\"detail\":\"Not Found\"}");
    fake_io_answer(io, 2, 200, NULL, "{\"session_id\":\"S\"}");
    ck_assert_int_eq(start_status, TKX_OK);
    ck_assert_int_eq(site->config.fwdbwd_max_chunk_len, 1024);
    ck_assert_int_eq(site->dynamic.refresh_interval_ms, 300000);
}
END_TEST

START_TEST(rest_only_creates_no_session)
{
    start(true);
    fake_io_answer(io, 0, 200, NULL, "{}");
    fake_io_answer(io, 1, 200, NULL, "{}");
    ck_assert_int_eq(n_ready, 1);
    fake_io_advance(io, 100000);
    ck_assert_uint_eq(fake_io_count(io, "session"), 0);
}
END_TEST

START_TEST(a_broken_answer_fails_the_start)
{
    static const struct {
        size_t step;
        int http;
        const char *body;
        tkx_status status;
    } c[] = {{0, 200, "[]", TKX_ERR_PROTOCOL},
             {0, 401, "{}", TKX_ERR_AUTH},
             {0, 200, "{\"a\":", TKX_ERR_PROTOCOL},
             {1, 200, "nope", TKX_ERR_PROTOCOL},
             {2, 200, "{}", TKX_ERR_PROTOCOL},
             {2, 403, "{}", TKX_ERR_PERMISSION},
             {2, 200, "{\"session_id\":5}", TKX_ERR_PROTOCOL}};

    start(false);
    for (size_t i = 0; i < c[_i].step; i++)
        fake_io_answer(io, i, 200, NULL, "{}");
    fake_io_answer(io, c[_i].step, c[_i].http, NULL, c[_i].body);
    ck_assert_int_eq(n_ready, 1);
    ck_assert_int_eq(start_status, c[_i].status);
    ck_assert_int_eq(tkx__session_get_state(session), TKX__SESSION_FAILED);
}
END_TEST

START_TEST(heart_beats_every_ten_seconds)
{
    go_live();
    for (size_t i = 3; i < 6; i++) {
        fake_io_advance(io, 10000);
        ck_assert_str_eq(fake_io_sent(io, i)->url, "http://x/api/v1/session_heartbeat");
        ck_assert_int_eq(fake_io_sent(io, i)->sent_at_ms, ((int64_t)i - 2) * 10000);
        ck_assert_int_eq(fake_io_sent(io, i)->lane, TKX__LANE_SESSION);
        fake_io_answer(io, i, 200, NULL, "{\"type\":\"session_heartbeat\"}");
    }
    ck_assert_str_eq(fake_io_sent(io, 3)->body,
                     "{\"session_id\":\"S\",\"type\":\"session_heartbeat\"}");
}
END_TEST

START_TEST(silence_warns_after_two_minutes_and_not_too_often)
{
    size_t beat = 3;

    go_live();
    for (; fake_io_now(io) < 300000; beat++) {
        fake_io_advance(io, 10000);
        fake_io_answer(io, beat, 503, NULL, "{}");
        if (n_warnings == 1 && warned_at == fake_io_now(io))
            ck_assert_int_eq(warned_at, 130000);
    }
    ck_assert_int_eq(n_warnings, 3); /* at 130, 190 and 250 s */
    fake_io_advance(io, 10000);
    fake_io_answer(io, beat++, 200, NULL, "{}");
    fake_io_advance(io, 10000);
    fake_io_answer(io, beat, 503, NULL, "{}");
    ck_assert_int_eq(n_warnings, 3);
}
END_TEST

START_TEST(a_finished_session_is_dead)
{
    tkx_error *err = NULL;

    go_live();
    fake_io_advance(io, 10000);
    ck_assert_int_eq(tkx__session_check(session, NULL), TKX_OK);
    fake_io_answer(io, 3, _i ? 410 : 404, NULL, "{\"detail\":\"finished\"}");
    ck_assert_int_eq(tkx__session_check(session, &err), TKX_ERR_SESSION_DEAD);
    tkx_error_free(err);
    fake_io_advance(io, 60000);
    ck_assert_uint_eq(fake_io_count(io, "heartbeat"), 1);
}
END_TEST

START_TEST(a_failed_refresh_keeps_the_last_values)
{
    start(false);
    fake_io_answer(io, 0, 200, NULL, "{}");
    fake_io_answer(io, 1, 200, NULL,
                   "{\"refresh_interval_sec\":15,"
                   "\"sample_cancel_enabled\":true}");
    fake_io_answer(io, 2, 200, NULL, "{\"session_id\":\"S\"}");
    fake_io_advance(io, 15000); /* a beat at 10 s, still open, and the refresh */
    size_t i = fake_io_find_open(io, 3, "dynamic_config");
    fake_io_answer(io, i, 500, NULL, "x");
    ck_assert(site->dynamic.sample_cancel_enabled);
    fake_io_advance(io, 15000);
    i = fake_io_find_open(io, i + 1, "dynamic_config");
    fake_io_answer(io, i, 200, NULL, "{\"sample_cancel_enabled\":false}");
    ck_assert(!site->dynamic.sample_cancel_enabled);
}
END_TEST

static void on_finished(void *arg, const tkx_error *error)
{
    (void)arg;
    ck_assert_ptr_null(error);
    n_finished++;
}

START_TEST(finish_is_told_and_a_missing_route_is_fine)
{
    go_live();
    ck_assert(tkx__session_finish(session, "success", NULL, 0, on_finished, NULL));
    fake_io_turn(io);
    ck_assert_str_eq(fake_io_sent(io, 3)->url, "http://x/api/v1/sessions/S/finish");
    ck_assert_str_eq(fake_io_sent(io, 3)->body,
                     "{\"reason\":{\"type\":\"success\"},\"detail\":null}");
    fake_io_answer(io, 3, 404, NULL, "{}");
    ck_assert_int_eq(n_finished, 1);
    ck_assert_int_eq(n_warnings, 0);
    ck_assert(!tkx__session_finish(session, "success", NULL, 0, on_finished, NULL));
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    for (size_t n = 1;; n++) {
        fail_alloc_begin(n);
        tkx__session_options options = {0};
        tkx__session *s = NULL;
        tkx_status st = tkx__session_start(site, &options, on_ready, NULL, &s, NULL);
        tkx__session_free(s);
        tkx__site_close(site);
        site->is_closed = false;
        int ended = !fail_alloc_hit();
        if (ended)
            ck_assert_int_eq(st, TKX_OK);
        fail_alloc_end();
        if (ended)
            break;
        ck_assert_int_eq(st, TKX_ERR_NO_MEMORY);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("session");
    TCase *tc = tcase_create("session");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, start_up_is_in_order);
    tcase_add_test(tc, older_servers_get_defaults);
    tcase_add_test(tc, rest_only_creates_no_session);
    tcase_add_loop_test(tc, a_broken_answer_fails_the_start, 0, 7);
    tcase_add_test(tc, heart_beats_every_ten_seconds);
    tcase_add_test(tc, silence_warns_after_two_minutes_and_not_too_often);
    tcase_add_loop_test(tc, a_finished_session_is_dead, 0, 2);
    tcase_add_test(tc, a_failed_refresh_keeps_the_last_values);
    tcase_add_test(tc, finish_is_told_and_a_missing_route_is_fine);
    tcase_add_test(tc, every_allocation_may_fail);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
