/* SPDX-License-Identifier: Apache-2.0 */
/* The mock server's training and sampling loop, order and deduplication of operations. */
#include "e2e/mock_run.h"

#include <stdlib.h>

#include "support/suite.h"

static const char *const short_hold[] = {"--hold-ms", "50", NULL};

START_TEST(training_lowers_the_loss)
{
    mock_run r = {0};
    double first, last = 0;
    run_open(&r, NULL);
    first = run_step(&r);
    for (int i = 0; i < 15; i++)
        last = run_step(&r);
    ck_assert_double_lt(last, first / 2);
    run_close(&r);
}
END_TEST

/* The second number comes first: it waits, and the first one is still to come. */
START_TEST(a_missing_number_holds_up_what_is_behind_it)
{
    mock_run r = {0};
    mock_answer late, early, poll, done;
    run_open(&r, short_hold);
    late = run_optim(&r, 2);
    poll = mock_post(&r.server, "/api/v1/retrieve_future", "{\"request_id\":\"%s:2\"}",
                     r.model);
    ck_assert_int_eq(poll.status, 200);
    ck_assert_ptr_nonnull(strstr(poll.body, "try_again"));
    ck_assert_ptr_nonnull(strstr(poll.body, "waiting for seq_id 1"));
    early = run_backward(&r, 1);
    done = mock_wait(&r.server, late.body);
    ck_assert_ptr_nonnull(strstr(done.body, "\"step\":1"));
    mock_answer_free(&late);
    mock_answer_free(&early);
    mock_answer_free(&poll);
    mock_answer_free(&done);
    run_close(&r);
}
END_TEST

START_TEST(a_repeated_number_is_the_same_promise_or_a_conflict)
{
    mock_run r = {0};
    mock_answer a, b, other;
    run_open(&r, NULL);
    a = run_backward(&r, 1);
    b = run_backward(&r, 1);
    ck_assert_str_eq(a.body, b.body);
    other = run_optim(&r, 1);
    ck_assert_int_eq(other.status, 409);
    mock_answer_free(&a);
    mock_answer_free(&b);
    mock_answer_free(&other);
    a = mock_get(&r.server, "/mock/journal");
    ck_assert_ptr_null(strstr(a.body, "optim_step"));
    mock_answer_free(&a);
    run_close(&r);
}
END_TEST

static mock_answer sample(mock_run *r, const char *sampler, int seq, const char *params)
{
    return mock_post(
        &r->server, "/api/v1/asample",
        "{\"sampling_session_id\":\"%s\",\"seq_id\":%d,\"num_samples\":2,"
        "\"prompt\":{\"chunks\":[{\"type\":\"encoded_text\",\"tokens\":[104]}]},"
        "\"sampling_params\":%s,\"prompt_logprobs\":true}",
        sampler, seq, params);
}

START_TEST(saved_weights_are_sampled_with_what_was_learnt)
{
    mock_run r = {0};
    mock_answer a, b;
    char sampler[256];
    run_open(&r, NULL);
    for (int i = 0; i < 40; i++)
        run_step(&r);
    a = mock_post(&r.server, "/api/v1/save_weights_for_sampler",
                  "{\"model_id\":\"%s\",\"seq_id\":%d,\"sampling_session_seq_id\":0}",
                  r.model, r.seq);
    b = mock_wait(&r.server, a.body);
    mock_take_text(b.body, "sampling_session_id", sampler, sizeof sampler);
    mock_answer_free(&a);
    mock_answer_free(&b);
    a = sample(&r, sampler, 0, "{\"max_tokens\":8,\"temperature\":0}");
    ck_assert_ptr_nonnull(strstr(a.body, "sample_sequence_ids"));
    b = mock_wait(&r.server, a.body);
    ck_assert_msg(strstr(b.body, "\"stop_reason\":\"stop\",\"tokens\":[105,33,256]") !=
                      NULL,
                  "%s", b.body);
    ck_assert_ptr_nonnull(strstr(b.body, "\"prompt_logprobs\":[null]"));
    mock_answer_free(&a);
    mock_answer_free(&b);
    run_close(&r);
}
END_TEST

/* The same seed gives the same tokens; 64 bits of it count. */
START_TEST(a_seed_decides_the_sample)
{
    static const char params[] = "{\"max_tokens\":12,\"seed\":18446744073709551615}";
    mock_run r = {0};
    mock_answer a, x, y, z;
    char sampler[256];
    run_open(&r, NULL);
    a = mock_post(&r.server, "/api/v1/create_sampling_session",
                  "{\"session_id\":\"%s\",\"sampling_session_seq_id\":3,"
                  "\"base_model\":\"tkx/bytes\"}",
                  r.session);
    mock_take_text(a.body, "sampling_session_id", sampler, sizeof sampler);
    mock_answer_free(&a);
    a = sample(&r, sampler, 0, params);
    x = mock_wait(&r.server, a.body);
    mock_answer_free(&a);
    a = sample(&r, sampler, 1, params);
    y = mock_wait(&r.server, a.body);
    mock_answer_free(&a);
    a = sample(&r, sampler, 2, "{\"max_tokens\":12,\"seed\":18446744073709551614}");
    z = mock_wait(&r.server, a.body);
    ck_assert_str_eq(x.body, y.body);
    ck_assert_str_ne(x.body, z.body);
    mock_answer_free(&a);
    mock_answer_free(&x);
    mock_answer_free(&y);
    mock_answer_free(&z);
    run_close(&r);
}
END_TEST

START_TEST(wrong_requests_get_clear_answers)
{
    mock_run r = {0};
    mock_answer a, b;
    const struct {
        const char *path;
        const char *body;
        long status;
    } cases[] = {
        {"/api/v1/optim_step", "{\"model_id\":\"none\",\"seq_id\":1,\"adam_params\":{}}",
         404},
        {"/api/v1/optim_step", "{\"seq_id\":1}", 422},
        {"/api/v1/optim_step", "{\"seq_id\":", 422},
        {"/api/v1/optim_step", "[]", 422},
        {"/api/v1/forward_backward", "{\"model_id\":\"m\",\"seq_id\":1}", 422},
        {"/api/v1/create_model",
         "{\"session_id\":\"s\",\"base_model\":\"tkx/bytes\","
         "\"model_seq_id\":0}",
         404},
        {"/api/v1/retrieve_future", "{\"request_id\":\"nobody\"}", 404},
        {"/api/v1/retrieve_future", "{\"request_id\":7}", 422},
        {"/api/v1/asample", "{\"prompt\":{\"chunks\":[]},\"sampling_params\":{}}", 400},
        {"/api/v1/session_heartbeat", "{\"session_id\":\"none\"}", 404},
        {"/api/v1/nothing", "{}", 404},
        {"/api/v1/healthz", "{}", 405},
    };
    run_open(&r, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        a = mock_post(&r.server, cases[i].path, "%s", cases[i].body);
        ck_assert_msg(a.status == cases[i].status, "%s %s: %ld %s", cases[i].path,
                      cases[i].body, a.status, a.body);
        ck_assert_ptr_nonnull(strstr(a.body, "\"detail\""));
        mock_answer_free(&a);
    }
    a = mock_post(
        &r.server, "/api/v1/forward_backward",
        "{\"forward_backward_input\":{\"data\":[{\"model_input\":{\"chunks\":[{"
        "\"tokens\":[1,2]}]},\"loss_fn_inputs\":{\"target_tokens\":{\"data\":[1,999]"
        ",\"dtype\":\"int64\"},\"weights\":{\"data\":[1,1],\"dtype\":\"float32\"}}}],"
        "\"loss_fn\":\"cross_entropy\"},\"model_id\":\"%s\",\"seq_id\":1}",
        r.model);
    b = mock_wait(&r.server, a.body);
    ck_assert_ptr_nonnull(strstr(b.body, "\"category\":\"user\""));
    ck_assert_ptr_nonnull(strstr(b.body, "999"));
    mock_answer_free(&a);
    mock_answer_free(&b);
    run_close(&r);
}
END_TEST

START_TEST(keys_are_checked_and_tokens_expire)
{
    static const char *const flags[] = {"--jwt", "3600", "--api-key", "secret", NULL};
    mock_process server = {0};
    char token[1024];
    mock_answer a;
    mock_process_start(&server, flags);
    mock_request caps = {.method = "GET", .path = "/api/v1/get_server_capabilities"};
    caps.key = "wrong";
    a = mock_send(&server, &caps);
    ck_assert_int_eq(a.status, 401);
    mock_answer_free(&a);
    caps.key = "secret"; /* the key itself is for the exchange alone */
    a = mock_send(&server, &caps);
    ck_assert_int_eq(a.status, 401);
    mock_answer_free(&a);
    a = mock_send(&server, &(mock_request){.method = "POST",
                                           .path = "/api/v1/auth/token",
                                           .body = "{}",
                                           .key = "secret"});
    ck_assert_int_eq(a.status, 200);
    mock_take_text(a.body, "jwt", token, sizeof token);
    mock_answer_free(&a);
    caps.key = token;
    a = mock_send(&server, &caps);
    ck_assert_int_eq(a.status, 200);
    mock_answer_free(&a);
    token[strlen(token) - 2] ^= 1;
    a = mock_send(&server, &caps);
    ck_assert_int_eq(a.status, 401);
    mock_answer_free(&a);
    mock_process_remove(&server);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mock_loop");
    TCase *tc = tcase_create("all");
    tcase_add_test(tc, training_lowers_the_loss);
    tcase_add_test(tc, a_missing_number_holds_up_what_is_behind_it);
    tcase_add_test(tc, a_repeated_number_is_the_same_promise_or_a_conflict);
    tcase_add_test(tc, saved_weights_are_sampled_with_what_was_learnt);
    tcase_add_test(tc, a_seed_decides_the_sample);
    tcase_add_test(tc, wrong_requests_get_clear_answers);
    tcase_add_test(tc, keys_are_checked_and_tokens_expire);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
