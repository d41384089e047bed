/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sampling.c - dispatch limits, push-back, retries, session-wide polling and
 * cancelling on a scripted server (behaviour checks 10, 18, 19, 21, 28 and 29).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scripted.h"
#include "support/suite.h"

static scripted s;
static int32_t tokens[200000];

static void set_up(void)
{
    s = (scripted){0};
}

static tkx_future *sample_of(tkx_sampling *p, size_t n_tokens, int64_t timeout_ms)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_chunk chunk = tkx_chunk_text(tokens, n_tokens);
    tkx_future *future = NULL;

    request.prompt = (tkx_model_input){&chunk, 1};
    request.params.has_max_tokens = true;
    request.params.max_tokens = 4;
    ck_assert_int_eq(tkx_sampling_sample(p, &request, timeout_ms, &future, NULL), TKX_OK);
    return future;
}

static tkx_future *sample(tkx_sampling *p)
{
    return sample_of(p, 2, 0);
}

static void accept_sample(size_t i)
{
    char body[100];
    snprintf(body, sizeof body, "{\"request_id\":\"asample-%zu\"}", i);
    fake_io_answer(s.io, i, 200, NULL, body);
}

START_TEST(a_sample_goes_through)
{
    tkx_sample_response *response;

    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    tkx_future *f = sample(p);
    scripted_expect(&s, f, TKX_OK);
    ck_assert_int_eq(tkx_future_take_sample(f, &response, NULL), TKX_OK);
    ck_assert_uint_eq(response->n_sequences, 1);
    ck_assert_int_eq(response->sequences[0].tokens[1], 8);
    ck_assert_ptr_null(response->sequences[0].sequence_id); /* the handle named none */
    size_t i = scripted_last(&s, "asample");
    ck_assert_str_eq(fake_io_header(s.io, i, "x-tinker-sampling-backpressure"), "1");
    ck_assert_str_eq(fake_io_header(s.io, i, "x-api-key"), "tml-secret");
    ck_assert_ptr_nonnull(strstr(fake_io_sent(s.io, i)->body, ",\"seq_id\":0}"));
    tkx_sample_response_free(response);
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

/* The text of the request that asks for one more sample, changed in one way. */
static const char *text_with(tkx_sampling *p, void (*change)(tkx_sample_request *request))
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_chunk chunk = tkx_chunk_text(tokens, 2);
    tkx_future *future = NULL;

    request.prompt = (tkx_model_input){&chunk, 1};
    if (change)
        change(&request);
    ck_assert_int_eq(tkx_sampling_sample(p, &request, 0, &future, NULL), TKX_OK);
    scripted_expect(&s, future, TKX_OK);
    tkx_future_unref(future);
    return fake_io_sent(s.io, scripted_last(&s, "asample"))->body;
}

static void with_max_tokens(tkx_sample_request *request)
{
    request->params.has_max_tokens = true;
    request->params.max_tokens = 7;
}

static void with_temperature(tkx_sample_request *request)
{
    request->params.temperature = 0.5;
}

static void with_seed(tkx_sample_request *request)
{
    request->params.seed = tkx_seed_i64(-3);
}

static void with_stop(tkx_sample_request *request)
{
    static const char *const stop[] = {"end"};

    request->params.stop_kind = TKX_STOP_STRINGS;
    request->params.stop_strings = stop;
    request->params.n_stop = 1;
}

static void with_count(tkx_sample_request *request)
{
    request->num_samples = 2;
}

static void with_member(tkx_sample_request *request)
{
    static const tkx_json_member member = {"novel", "true"};

    request->extra_json = (tkx_json_member_list){&member, 1};
}

static const struct {
    void (*change)(tkx_sample_request *request);
    const char *text;
} changes[] = {
    {with_max_tokens, "\"max_tokens\":7"},
    {with_temperature, "\"temperature\":0.5"},
    {with_seed, "\"seed\":-3"},
    {with_stop, "\"stop\":[\"end\"]"},
    {with_count, "\"num_samples\":2"},
    {with_member, "\"novel\":true"},
};

/* Requests alike share their text; those that differ must not. */
START_TEST(each_request_has_its_own_settings)
{
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_null(strstr(text_with(p, NULL), changes[_i].text));
        ck_assert_ptr_null(strstr(text_with(p, NULL), changes[_i].text));
        ck_assert_ptr_nonnull(strstr(text_with(p, changes[_i].change), changes[_i].text));
        ck_assert_ptr_nonnull(strstr(text_with(p, changes[_i].change), changes[_i].text));
    }
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(what_we_run_on_is_told_when_a_session_begins)
{
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    tkx_future *f = sample(p);
    scripted_expect(&s, f, TKX_OK);
    size_t begin = scripted_last(&s, "create_session");
    size_t i = scripted_last(&s, "asample");
    ck_assert_str_eq(fake_io_header(s.io, begin, "x-stainless-runtime"), "C");
    ck_assert_ptr_null(fake_io_header(s.io, i, "x-stainless-runtime"));
    ck_assert_ptr_nonnull(fake_io_header(s.io, i, "x-stainless-package-version"));
    ck_assert_ptr_nonnull(strstr(fake_io_header(s.io, i, "user-agent"), "tkx/"));
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(passes_of_a_proxy_come_from_the_environment)
{
    setenv("CLOUDFLARE_ACCESS_CLIENT_ID", "id-1", 1);
    setenv("CLOUDFLARE_ACCESS_CLIENT_SECRET", "two\r\nlines", 1);
    scripted_begin(&s);
    tkx_sampling_free(scripted_sampling(&s));
    unsetenv("CLOUDFLARE_ACCESS_CLIENT_ID");
    unsetenv("CLOUDFLARE_ACCESS_CLIENT_SECRET");
    size_t i = scripted_last(&s, "create_session");
    ck_assert_str_eq(fake_io_header(s.io, i, "cf-access-client-id"), "id-1");
    ck_assert_ptr_null(fake_io_header(s.io, i, "cf-access-client-secret"));
    scripted_end(&s);
}
END_TEST

START_TEST(sequences_get_their_ids)
{
    tkx_sample_response *response;

    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "asample";
    tkx_future *f = sample(p);
    fake_io_turn(s.io);
    fake_io_answer(
        s.io, scripted_last(&s, "asample"), 200, NULL,
        "{\"request_id\":\"asample-1\",\"sample_sequence_ids\":[\"q\\u00e9\",5]}");
    scripted_expect(&s, f, TKX_OK);
    ck_assert_int_eq(tkx_future_take_sample(f, &response, NULL), TKX_OK);
    ck_assert_str_eq(response->sequences[0].sequence_id, "q\xc3\xa9");
    tkx_sample_response_free(response);
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(logprobs_are_aligned_from_the_end)
{
    tkx_logprobs *logprobs;
    tkx_future *f;
    tkx_chunk chunk = tkx_chunk_text(tokens, 2);
    const tkx_model_input prompt = {&chunk, 1};

    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    ck_assert_int_eq(tkx_sampling_compute_logprobs(p, &prompt, 0, &f, NULL), TKX_OK);
    scripted_expect(&s, f, TKX_OK);
    ck_assert_int_eq(tkx_future_take_logprobs(f, &logprobs, NULL), TKX_OK);
    ck_assert_uint_eq(logprobs->n_values, 2);
    ck_assert(isnan(logprobs->values[0]));
    ck_assert_float_eq(logprobs->values[1], -0.5f);
    tkx_logprobs_free(logprobs);
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(at_most_400_submits_are_in_flight)
{
    static tkx_future *f[401];

    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "asample";
    for (size_t i = 0; i < 401; i++)
        f[i] = sample(p);
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 400);
    accept_sample(scripted_nth(&s, "asample", 7));
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 401);
    for (size_t i = 0; i < fake_io_n_sent(s.io); i++)
        if (fake_io_sent(s.io, i)->state == FAKE_OPEN)
            accept_sample(i);
    for (size_t i = 0; i < 401; i++) {
        scripted_expect(&s, f[i], TKX_OK);
        tkx_future_unref(f[i]);
    }
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

/* After a 429 ten slots are left, until ten seconds behind the deadline. */
START_TEST(push_back_throttles_those_who_come_later)
{
    static tkx_future *f[30];

    scripted_begin(&s);
    fake_io_set_uniform(s.io, 0); /* no jitter */
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "asample";
    f[0] = sample(p);
    fake_io_turn(s.io);
    fake_io_answer(s.io, scripted_last(&s, "asample"), 429, NULL, "{}");
    for (size_t i = 1; i < 30; i++)
        f[i] = sample(p);
    fake_io_advance(s.io, 999);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 1);
    fake_io_advance(s.io, 1);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 12); /* the first again, and ten */
    ck_assert_str_eq(fake_io_sent(s.io, scripted_nth(&s, "asample", 0))->body,
                     fake_io_sent(s.io, scripted_nth(&s, "asample", 1))->body);
    fake_io_advance(s.io, 9999);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 12);
    fake_io_advance(s.io, 1);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 31);
    for (size_t i = 0; i < fake_io_n_sent(s.io); i++)
        if (fake_io_sent(s.io, i)->state == FAKE_OPEN)
            accept_sample(i);
    for (size_t i = 0; i < 30; i++) {
        scripted_expect(&s, f[i], TKX_OK);
        tkx_future_unref(f[i]);
    }
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

/* 128 KiB at 10 bytes a token is 13,107 tokens. */
START_TEST(large_prompts_pause_longer)
{
    int64_t pause = _i == 0 ? 1000 : 5000;

    scripted_begin(&s);
    fake_io_set_uniform(s.io, 0);
    tkx_sampling *p = scripted_sampling(&s);
    tkx_sampling *other = scripted_sampling(&s);
    s.held = "asample";
    tkx_future *f = sample_of(p, _i == 0 ? 13107 : 13108, 0);
    fake_io_turn(s.io);
    fake_io_answer(s.io, scripted_last(&s, "asample"), 429, NULL, "{}");
    tkx_future *g = sample(other); /* all samplers of the context wait */
    fake_io_advance(s.io, pause - 1);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 1);
    s.held = NULL;
    fake_io_advance(s.io, 1);
    scripted_expect(&s, f, TKX_OK);
    scripted_expect(&s, g, TKX_OK);
    tkx_future_unref(f);
    tkx_future_unref(g);
    tkx_sampling_free(p);
    tkx_sampling_free(other);
    scripted_end(&s);
}
END_TEST

START_TEST(a_lost_promise_is_submitted_again_under_a_new_number)
{
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "retrieve_future";
    tkx_future *f = sample(p);
    fake_io_turn(s.io);
    s.held = NULL;
    fake_io_answer(s.io, scripted_last(&s, "retrieve_future"), 410, NULL, "{}");
    fake_io_advance(s.io, 625);
    scripted_expect(&s, f, TKX_OK);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 2);
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(s.io, scripted_last(&s, "asample"))->body, "\"seq_id\":1}"));
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(a_failed_sample_is_final)
{
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "retrieve_future";
    tkx_future *f = sample(p);
    fake_io_turn(s.io);
    fake_io_answer(s.io, scripted_last(&s, "retrieve_future"), 200, NULL,
                   "{\"error\":\"too long\",\"category\":\"user\"}");
    scripted_expect(&s, f, TKX_ERR_REQUEST_FAILED);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 1);
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(no_progress_for_two_hours_fails_the_open_ones)
{
    s.config = _i == 0 ? "{}" : "{\"sample_enable_stuck_detection\":false}";
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "retrieve_future";
    tkx_future *f = sample(p);
    for (int64_t t = 0; t < 7210000 && !tkx_future_is_done(f); t += 40000) {
        fake_io_advance(s.io, 40000);
        size_t i = fake_io_find_open(s.io, 0, "retrieve_future");
        if (i != FAKE_NONE)
            fake_io_answer(s.io, i, 408, NULL, "{}");
    }
    if (_i == 0)
        scripted_expect(&s, f, TKX_ERR_CONNECTION);
    else
        ck_assert(!tkx_future_is_done(f));
    tkx_sampling_free(p);
    scripted_end(&s);
    tkx_future_unref(f);
}
END_TEST

START_TEST(a_deadline_ends_the_wait)
{
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "retrieve_future";
    tkx_future *f = sample_of(p, 2, 1500);
    fake_io_advance(s.io, 1499);
    ck_assert(!tkx_future_is_done(f));
    fake_io_advance(s.io, 1);
    scripted_expect(&s, f, TKX_ERR_TIMEOUT);
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(cancelling_tells_the_service_when_it_wants_to_know)
{
    s.dynamic = _i == 0 ? "{\"sample_cancel_enabled\":true}" : "{}";
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    s.held = "retrieve_future";
    tkx_future *f = sample(p);
    fake_io_turn(s.io);
    ck_assert_int_eq(tkx_future_cancel(f), TKX_CANCEL_SENT);
    scripted_expect(&s, f, TKX_ERR_CANCELLED);
    ck_assert_uint_eq(fake_io_count(s.io, "cancel_future"), _i == 0 ? 1 : 0);
    tkx_future_unref(f);
    f = sample(p);
    ck_assert_int_eq(tkx_future_cancel(f), TKX_CANCEL_REMOVED);
    scripted_expect(&s, f, TKX_ERR_CANCELLED);
    ck_assert_uint_eq(fake_io_count(s.io, "asample"), 1);
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

/* --- one long poll for all ------------------------------------------------------- */

#define FUTURES "{\"sample_use_retrieve_futures\":true}"

static void complete(size_t poll, const char *state, int64_t cursor, size_t n_handles)
{
    char body[4096] = "{\"completions\":[";

    for (size_t k = 0; k < n_handles; k++)
        snprintf(body + strlen(body), sizeof body - strlen(body),
                 "%s{\"state\":\"%s\",\"request_id\":\"asample-%zu\"}", k ? "," : "",
                 state, k);
    snprintf(body + strlen(body), sizeof body - strlen(body), "],\"cursor\":%lld}",
             (long long)cursor);
    fake_io_answer(s.io, poll, 200, NULL, body);
}

START_TEST(one_poll_waits_for_all_samples)
{
    tkx_future *f[3];

    s.config = FUTURES;
    s.held = "retrieve_futures";
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    for (int i = 0; i < 3; i++)
        f[i] = sample(p);
    fake_io_turn(s.io);
    ck_assert_uint_eq(fake_io_count(s.io, "retrieve_future"), 1);
    size_t poll = scripted_last(&s, "retrieve_futures");
    ck_assert_str_eq(fake_io_sent(s.io, poll)->body,
                     "{\"target\":{\"type\":\"sampling_session\",\"sampling_session_id\":"
                     "\"S:sample:0\",\"cloned_sampler_id\":0},\"prev_cursor\":0,"
                     "\"retrieved_request_ids\":[]}");
    complete(poll, _i == 0 ? "finished" : "strange", 3, 3);
    for (int i = 0; i < 3; i++)
        scripted_expect(&s, f[i], TKX_OK);
    size_t ack = scripted_last(&s, "retrieve_futures");
    fake_io_answer(s.io, ack, 200, NULL, "{\"completions\":[],\"cursor\":3}");
    ack = scripted_last(&s, "retrieve_futures");
    ck_assert_ptr_nonnull(
        strstr(fake_io_sent(s.io, ack)->body,
               "\"timeout\":0.0,\"retrieved_request_ids\":[\"asample-0\","
               "\"asample-1\",\"asample-2\"]"));
    fake_io_answer(s.io, ack, 200, NULL, "{\"completions\":[],\"cursor\":3}");
    ck_assert_uint_eq(fake_io_n_open(s.io), 0);
    for (int i = 0; i < 3; i++)
        tkx_future_unref(f[i]);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(a_terminal_fault_falls_back_to_long_polls)
{
    tkx_future *f[2];

    s.config = FUTURES;
    s.held = "retrieve_futures";
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    f[0] = sample(p);
    fake_io_turn(s.io);
    fake_io_answer(s.io, scripted_last(&s, "retrieve_futures"), 403, NULL,
                   "{\"detail\":\"x\"}");
    f[1] = sample(p);
    for (int i = 0; i < 2; i++) {
        scripted_expect(&s, f[i], TKX_OK);
        tkx_future_unref(f[i]);
    }
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(a_silent_sample_is_asked_for)
{
    s.config = FUTURES;
    s.held = "retrieve_futures";
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    tkx_future *f = sample(p);
    fake_io_advance(s.io, 100000);
    ck_assert(!tkx_future_is_done(f));
    fake_io_advance(s.io, 60000);
    scripted_expect(&s, f, TKX_OK); /* its completion was lost, its result was not */
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(closing_ends_samples_in_both_ways_of_waiting)
{
    s.config = _i == 0 ? "{}" : FUTURES;
    s.held = "retrieve";
    s.missing = "/finish";
    scripted_begin(&s);
    tkx_sampling *p = scripted_sampling(&s);
    tkx_future *f = sample(p);
    fake_io_turn(s.io);
    ck_assert_int_eq(tkx_context_close(s.context, 0, 0, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(f)), TKX_ERR_CLOSED);
    tkx_future_unref(f);
    tkx_sampling_free(p);
    scripted_end(&s);
}
END_TEST

START_TEST(bad_input_is_refused_before_anything_is_sent)
{
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_future *f = NULL;
    tkx_error *err = NULL;

    scripted_begin(&s);
    ck_assert_int_eq(tkx_service_create_sampling(s.service, &options, &f, &err),
                     TKX_ERR_INVALID_ARGUMENT);
    tkx_error_free(err);
    err = NULL;
    options.model_path = "/tmp/model";
    ck_assert_int_eq(tkx_service_create_sampling(s.service, &options, &f, &err),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "tinker://"));
    tkx_error_free(err);
    scripted_end(&s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampling");
    TCase *tc = tcase_create("sampling");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_test(tc, a_sample_goes_through);
    tcase_add_loop_test(tc, each_request_has_its_own_settings, 0,
                        (int)(sizeof changes / sizeof *changes));
    tcase_add_test(tc, what_we_run_on_is_told_when_a_session_begins);
    tcase_add_test(tc, passes_of_a_proxy_come_from_the_environment);
    tcase_add_test(tc, sequences_get_their_ids);
    tcase_add_test(tc, logprobs_are_aligned_from_the_end);
    tcase_add_test(tc, at_most_400_submits_are_in_flight);
    tcase_add_test(tc, push_back_throttles_those_who_come_later);
    tcase_add_loop_test(tc, large_prompts_pause_longer, 0, 2);
    tcase_add_test(tc, a_lost_promise_is_submitted_again_under_a_new_number);
    tcase_add_test(tc, a_failed_sample_is_final);
    tcase_add_loop_test(tc, no_progress_for_two_hours_fails_the_open_ones, 0, 2);
    tcase_add_test(tc, a_deadline_ends_the_wait);
    tcase_add_loop_test(tc, cancelling_tells_the_service_when_it_wants_to_know, 0, 2);
    tcase_add_loop_test(tc, one_poll_waits_for_all_samples, 0, 2);
    tcase_add_test(tc, a_terminal_fault_falls_back_to_long_polls);
    tcase_add_test(tc, a_silent_sample_is_asked_for);
    tcase_add_loop_test(tc, closing_ends_samples_in_both_ways_of_waiting, 0, 2);
    tcase_add_test(tc, bad_input_is_refused_before_anything_is_sent);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
