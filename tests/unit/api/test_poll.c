/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_poll.c - following a promise on a virtual clock (behaviour checks 7, 8, 9 and 11).
 */
#include <stdio.h>
#include <string.h>

#include "api/poll.h"
#include "base/error.h"
#include "base/mem.h"
#include "support/fake_io.h"
#include "support/suite.h"

typedef struct waiter {
    tkx__poll *poll;
    int n_done;
    char *result;
    tkx_error *error;
    int n_queue;
    char last_state[32];
} waiter;

static fake_io *io;
static tkx__site *site;
static waiter a, b, third;

static void *decode(const tkx__payload *payload, void *arg, tkx_error **err)
{
    (void)arg;
    if (strcmp(payload->bytes, "{\"bad\":1}") == 0) {
        tkx__fail(err, TKX_ERR_PARSE, "bad on purpose");
        return NULL;
    }
    return tkx__strdup(payload->bytes);
}

static void on_event(void *arg, const tkx__poll_event *event)
{
    waiter *w = arg;

    if (event->kind != TKX__POLL_QUEUE)
        return;
    w->n_queue++;
    snprintf(w->last_state, sizeof w->last_state, "%s",
             event->queue_state ? event->queue_state : "");
}

static void on_end(void *arg, void *result, tkx_error *error)
{
    waiter *w = arg;

    w->n_done++;
    w->poll = NULL;
    w->result = result;
    w->error = error;
}

static void set_up(void)
{
    io = fake_io_new();
    tkx__site_options options = {.io = *fake_io_table(io), .base_url = "http://x"};
    ck_assert_int_eq(tkx__site_new(&options, &site, NULL), TKX_OK);
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&third, 0, sizeof third);
}

static void tear_down(void)
{
    waiter *const all[] = {&a, &b, &third};

    for (size_t i = 0; i < 3; i++) {
        tkx__free(all[i]->result);
        tkx_error_free(all[i]->error);
    }
    tkx__site_free(site);
    fake_io_free(io);
}

static void start_with(waiter *w, int64_t deadline_ms, int64_t announced)
{
    tkx__poll_spec spec = {.what = "sample",
                           .request_id = "r\"1",
                           .request_type = "Sample",
                           .wants_protobuf = true,
                           .seq_id = 7,
                           .roundtrip_us = 97500,
                           .deadline_ms = deadline_ms,
                           .announced_bytes = announced,
                           .no_metadata_first = announced > 0,
                           .decode = decode,
                           .free_result = tkx__free,
                           .on_event = on_event};
    ck_assert_int_eq(tkx__poll_start(site, &spec, on_end, w, &w->poll, NULL), TKX_OK);
    fake_io_turn(io);
}

static void start(waiter *w)
{
    start_with(w, 0, 0);
}

#define TRY_AGAIN "{\"type\":\"try_again\",\"queue_state\":\"paused_capacity\"}"

START_TEST(not_ready_is_asked_again_at_once)
{
    start(&a);
    fake_io_answer(io, 0, 408, NULL, "{\"queue_state\":\"active\"}");
    fake_io_answer(io, 1, 408, NULL, "{\"queue_state\":\"paused_rate_limit\"}");
    ck_assert_int_eq(a.n_queue, 2);
    fake_io_answer(io, 2, 200, NULL, "{\"x\":1}");
    ck_assert_int_eq(a.n_done, 1);
    ck_assert_str_eq(a.result, "{\"x\":1}");
    ck_assert_int_eq(fake_io_now(io), 0);
    ck_assert_str_eq(fake_io_header(io, 0, "x-tinker-request-iteration"), "0");
    ck_assert_str_eq(fake_io_header(io, 2, "x-tinker-request-iteration"), "2");
    ck_assert_str_eq(fake_io_header(io, 0, "x-tinker-request-type"), "Sample");
    ck_assert_str_eq(fake_io_header(io, 0, "x-tinker-create-promise-roundtrip-time"),
                     "0.097500");
    ck_assert_ptr_null(fake_io_header(io, 1, "x-tinker-create-promise-roundtrip-time"));
    ck_assert_str_eq(fake_io_sent(io, 0)->body,
                     "{\"request_id\":\"r\\\"1\",\"allow_metadata_only\":true}");
    ck_assert_str_eq(fake_io_header(io, 0, "accept"),
                     "application/x-protobuf, application/json");
    ck_assert_int_eq(a.n_queue, 3); /* a last "active" clears the display */
    ck_assert_str_eq(a.last_state, "active");
}
END_TEST

START_TEST(quick_answers_without_end_are_slowed_down)
{
    start(&a);
    for (size_t i = 0; i < 12; i++) {
        fake_io_answer(io, i, 200, NULL, TRY_AGAIN);
        fake_io_advance(io, 5000);
    }
    ck_assert_int_ge(fake_io_sent(io, 11)->sent_at_ms - fake_io_sent(io, 10)->sent_at_ms,
                     5000);
    tkx__poll_cancel(a.poll);
}
END_TEST

START_TEST(server_errors_are_not_a_hot_loop)
{
    start(&a);
    for (size_t i = 0; i < 4; i++) {
        fake_io_answer(io, i, 502, NULL, "oops");
        fake_io_advance(io, (250 << i) - 1);
        ck_assert_uint_eq(fake_io_n_sent(io), i + 1);
        fake_io_advance(io, 1);
    }
    fake_io_answer(io, 4, 200, "content-type: application/x-protobuf", "");
    ck_assert_str_eq(a.result, "");
}
END_TEST

START_TEST(link_failures_back_off_without_limit)
{
    static const int64_t waits[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};

    start(&a);
    for (size_t i = 0; i < 7; i++) {
        fake_io_fail(io, i, TKX_ERR_CONNECTION, "refused");
        fake_io_advance(io, waits[i] - 1);
        ck_assert_uint_eq(fake_io_n_sent(io), i + 1);
        fake_io_advance(io, 1);
        ck_assert_uint_eq(fake_io_n_sent(io), i + 2);
    }
    fake_io_answer(io, 7, 408, NULL, "{}"); /* any answer proves the link */
    fake_io_fail(io, 8, TKX_ERR_CONNECTION, "refused");
    fake_io_advance(io, 1000);
    ck_assert_uint_eq(fake_io_n_sent(io), 10);
    tkx__poll_cancel(a.poll);
}
END_TEST

START_TEST(too_many_requests_back_off_and_do_not_reset)
{
    start(&a);
    fake_io_answer(io, 0, 429, NULL, "{}");
    fake_io_advance(io, 1000);
    fake_io_answer(io, 1, 429, NULL, "{}");
    fake_io_advance(io, 1999);
    ck_assert_uint_eq(fake_io_n_sent(io), 2);
    fake_io_advance(io, 1);
    ck_assert_uint_eq(fake_io_n_sent(io), 3);
    tkx__poll_cancel(a.poll);
}
END_TEST

static void answer_400s(size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fake_io_answer(io, from + i, 400, NULL, "<html>bad gateway</html>");
}

START_TEST(three_bad_requests_in_a_row_are_forgiven)
{
    start(&a);
    answer_400s(0, 3);
    fake_io_answer(io, 3, 200, NULL, "{}");
    ck_assert_ptr_nonnull(a.result);

    start(&b);
    answer_400s(4, 4);
    ck_assert_int_eq(b.n_done, 1);
    ck_assert_int_eq(tkx_error_http_status(b.error), 400);
}
END_TEST

START_TEST(an_answer_between_forgives_again)
{
    start(&a);
    answer_400s(0, 1);
    fake_io_answer(io, 1, 408, NULL, "{}");
    answer_400s(2, 3);
    fake_io_answer(io, 5, 200, NULL, "{}");
    ck_assert_ptr_nonnull(a.result);

    start(&b); /* a 408 that is not JSON forgives nothing */
    answer_400s(6, 2);
    fake_io_answer(io, 8, 408, NULL, "html");
    answer_400s(9, 2);
    ck_assert_int_eq(b.n_done, 1);
}
END_TEST

START_TEST(a_400_with_detail_is_believed_the_second_time)
{
    start(&a);
    fake_io_answer(io, 0, 400, NULL, "{\"detail\":\"loss is NaN\"}");
    ck_assert_int_eq(a.n_done, 0);
    fake_io_answer(io, 1, 400, NULL, "{\"detail\":\"loss is NaN\"}");
    ck_assert_int_eq(tkx_error_status(a.error), TKX_ERR_REQUEST_FAILED);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(a.error), "loss is NaN"));
}
END_TEST

START_TEST(a_failed_operation_tells_whose_fault_it_is)
{
    start(&a);
    fake_io_answer(io, 0, 200, NULL, "{\"error\":\"too long\",\"category\":\"User\"}");
    ck_assert_int_eq(tkx_error_status(a.error), TKX_ERR_REQUEST_FAILED);
    ck_assert_int_eq(tkx_error_get_category(a.error), TKX_ERROR_CATEGORY_USER);
    ck_assert_str_eq(tkx_error_request_id(a.error), "r\"1");
    ck_assert_int_eq(tkx_error_seq_id(a.error), 7);
}
END_TEST

START_TEST(gone_and_final_statuses_end_it)
{
    static const struct {
        int http;
        tkx_status status;
    } c[] = {{410, TKX_ERR_PROMISE_GONE}, {401, TKX_ERR_AUTH}, {403, TKX_ERR_PERMISSION},
             {404, TKX_ERR_HTTP},         {409, TKX_ERR_HTTP}, {422, TKX_ERR_HTTP}};

    start(&a);
    fake_io_answer(io, 0, c[_i].http, NULL, "{\"detail\":\"x\"}");
    ck_assert_int_eq(a.n_done, 1);
    ck_assert_int_eq(tkx_error_status(a.error), c[_i].status);
    ck_assert_int_eq(tkx_error_http_status(a.error), c[_i].http);
}
END_TEST

#define META_60_MIB                                                                      \
    "{\"status\":\"complete_metadata\",\"response_payload_size\":62914560}"

START_TEST(large_results_share_a_byte_budget)
{
    start(&a);
    start(&b);
    start(&third);
    fake_io_answer(io, 0, 200, NULL, META_60_MIB);
    ck_assert_uint_eq(fake_io_n_sent(io), 4);
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(io, 3)->body, "\"allow_metadata_only\":false"));
    fake_io_answer(io, 1, 200, NULL, META_60_MIB);
    fake_io_answer(io, 2, 200, NULL, META_60_MIB);
    ck_assert_uint_eq(fake_io_n_sent(io), 4); /* the balance is negative */
    fake_io_answer(io, 3, 200, NULL, "{}");
    ck_assert_int_eq(a.n_done, 1);
    ck_assert_uint_eq(fake_io_n_sent(io), 5); /* and again with the second's fetch */
    fake_io_answer(io, 4, 200, NULL, "{}");
    ck_assert_int_eq(b.n_done, 1);
    fake_io_answer(io, 5, 200, NULL, "{}");
    ck_assert_int_eq(third.n_done, 1);
    ck_assert_int_eq(site->responses.balance, 50 << 20);
}
END_TEST

START_TEST(cancel_while_waiting_for_the_budget_lets_others_pass)
{
    start(&a);
    start(&b);
    fake_io_answer(io, 0, 200, NULL, META_60_MIB);
    fake_io_answer(io, 1, 200, NULL, META_60_MIB);
    tkx__poll_cancel(b.poll);
    tkx__poll_cancel(a.poll);
    ck_assert_int_eq(site->responses.balance, 50 << 20);
}
END_TEST

START_TEST(the_size_twice_is_a_protocol_error)
{
    start(&a);
    fake_io_answer(io, 0, 200, NULL, META_60_MIB);
    fake_io_answer(io, 1, 200, NULL, META_60_MIB);
    ck_assert_int_eq(tkx_error_status(a.error), TKX_ERR_PROTOCOL);
}
END_TEST

START_TEST(an_announced_size_is_reserved_before_the_fetch)
{
    start_with(&a, 0, 100);
    ck_assert_int_eq(site->responses.balance, (50 << 20) - 100);
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(io, 0)->body, "\"allow_metadata_only\":false"));
    fake_io_answer(io, 0, 200, NULL, "{}");
    ck_assert_int_eq(site->responses.balance, 50 << 20);
}
END_TEST

START_TEST(a_stalled_round_is_cut_off_and_repeated)
{
    start(&a);
    fake_io_advance(io, 44999);
    ck_assert_uint_eq(fake_io_n_sent(io), 1);
    fake_io_advance(io, 1001);
    ck_assert_uint_eq(fake_io_n_sent(io), 2);
    ck_assert_uint_eq(fake_io_count(io, "retrieve_future"), 2);
    fake_io_answer(io, 1, 200, NULL, "{}");
    ck_assert_int_eq(a.n_done, 1);
}
END_TEST

/* A service that holds a poll for 300 s: our own limit of 45 s comes first, again and
   again.  That is no trouble of the link, so the pauses stay small, and the result that
   comes in between is taken. */
START_TEST(a_service_that_holds_for_300_s_is_waited_for)
{
    const int64_t a_result_after = 3 * 300 * 1000;
    size_t n;

    start(&a);
    while (fake_io_now(io) < a_result_after)
        fake_io_advance(io, 1000);
    n = fake_io_n_sent(io);
    ck_assert_uint_ge(n, (size_t)(a_result_after / 47000));
    ck_assert_uint_le(n, (size_t)(a_result_after / 45000) + 1);
    for (size_t i = 1; i < n; i++) {
        int64_t pause =
            fake_io_sent(io, i)->sent_at_ms - fake_io_sent(io, i - 1)->ended_at_ms;
        ck_assert_int_le(pause, 2000);
    }
    ck_assert_int_eq(a.n_done, 0);
    while (fake_io_sent(io, fake_io_n_sent(io) - 1)->state != FAKE_OPEN)
        fake_io_advance(io, 500);
    fake_io_answer(io, fake_io_n_sent(io) - 1, 200, NULL, "{}");
    ck_assert_int_eq(a.n_done, 1);
    ck_assert_ptr_null(a.error);
}
END_TEST

/* ... and one that is allowed to hold so long is asked once a hold, and its 408 at the
   end of a hold is asked again at once. */
START_TEST(a_longer_poll_limit_follows_the_service)
{
    site->poll_timeout_ms = 310 * 1000;
    start(&a);
    for (size_t i = 0; i < 5; i++) {
        fake_io_advance(io, 300 * 1000);
        ck_assert_uint_eq(fake_io_n_sent(io), i + 1);
        fake_io_answer(io, i, 408, NULL, "{\"detail\":\"still pending\"}");
        ck_assert_uint_eq(fake_io_n_sent(io), i + 2);
        ck_assert_int_eq(fake_io_sent(io, i + 1)->sent_at_ms,
                         fake_io_sent(io, i)->ended_at_ms);
    }
    fake_io_answer(io, 5, 200, NULL, "{}");
    ck_assert_int_eq(a.n_done, 1);
}
END_TEST

START_TEST(the_callers_deadline_ends_it)
{
    start_with(&a, 10000, 0);
    fake_io_advance(io, 10000);
    ck_assert_int_eq(a.n_done, 1);
    ck_assert_int_eq(tkx_error_status(a.error), TKX_ERR_TIMEOUT);

    start_with(&b, 30000, 0);
    for (size_t i = 1; b.n_done == 0; i++) {
        fake_io_fail(io, i, TKX_ERR_CONNECTION, "refused");
        fake_io_advance(io, 30000);
    }
    ck_assert_int_eq(tkx_error_status(b.error), TKX_ERR_TIMEOUT);
}
END_TEST

START_TEST(an_unreadable_result_is_a_protocol_error)
{
    start(&a);
    fake_io_answer(io, 0, 200, NULL, "{\"bad\":1}");
    ck_assert_int_eq(tkx_error_status(a.error), TKX_ERR_PROTOCOL);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(a.error), "bad on purpose"));
}
END_TEST

/* Large results go through a worker, also when nobody waits for them any more. */
START_TEST(large_results_are_decoded_by_a_worker)
{
    static char big[200000];

    memset(big, 'a', sizeof big - 1);
    start(&a);
    start(&b);
    fake_io_hold_work(io, true);
    fake_io_answer(io, 0, 200, NULL, big);
    fake_io_answer(io, 1, 200, NULL, big);
    ck_assert_uint_eq(fake_io_n_work(io), 2);
    tkx__poll_cancel(b.poll);
    fake_io_hold_work(io, false);
    ck_assert_int_eq(a.n_done, 1);
    ck_assert_int_eq(b.n_done, 0);
    ck_assert_uint_eq(strlen(a.result), sizeof big - 1);
}
END_TEST

START_TEST(billing_pause_keeps_polling)
{
    start(&a);
    fake_io_answer(io, 0, 402, NULL, "{}");
    fake_io_advance(io, 5000);
    fake_io_answer(io, 1, 200, NULL, "{}");
    ck_assert_int_eq(a.n_done, 1);

    site->billing.max_pause_ms = 0;
    fake_io_advance(io, 400000);
    start(&b);
    fake_io_answer(io, 2, 402, NULL, "{}");
    ck_assert_int_eq(tkx_error_status(b.error), TKX_ERR_BILLING);
}
END_TEST

START_TEST(a_closed_site_ends_it_at_the_next_round)
{
    start(&a);
    site->is_closed = true;
    fake_io_answer(io, 0, 408, NULL, "{}");
    ck_assert_int_eq(tkx_error_status(a.error), TKX_ERR_CLOSED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("poll");
    TCase *tc = tcase_create("poll");

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, not_ready_is_asked_again_at_once);
    tcase_add_test(tc, quick_answers_without_end_are_slowed_down);
    tcase_add_test(tc, server_errors_are_not_a_hot_loop);
    tcase_add_test(tc, link_failures_back_off_without_limit);
    tcase_add_test(tc, too_many_requests_back_off_and_do_not_reset);
    tcase_add_test(tc, three_bad_requests_in_a_row_are_forgiven);
    tcase_add_test(tc, an_answer_between_forgives_again);
    tcase_add_test(tc, a_400_with_detail_is_believed_the_second_time);
    tcase_add_test(tc, a_failed_operation_tells_whose_fault_it_is);
    tcase_add_loop_test(tc, gone_and_final_statuses_end_it, 0, 6);
    tcase_add_test(tc, large_results_share_a_byte_budget);
    tcase_add_test(tc, cancel_while_waiting_for_the_budget_lets_others_pass);
    tcase_add_test(tc, the_size_twice_is_a_protocol_error);
    tcase_add_test(tc, an_announced_size_is_reserved_before_the_fetch);
    tcase_add_test(tc, a_stalled_round_is_cut_off_and_repeated);
    tcase_add_test(tc, a_service_that_holds_for_300_s_is_waited_for);
    tcase_add_test(tc, a_longer_poll_limit_follows_the_service);
    tcase_add_test(tc, the_callers_deadline_ends_it);
    tcase_add_test(tc, an_unreadable_result_is_a_protocol_error);
    tcase_add_test(tc, large_results_are_decoded_by_a_worker);
    tcase_add_test(tc, billing_pause_keeps_polling);
    tcase_add_test(tc, a_closed_site_ends_it_at_the_next_round);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
