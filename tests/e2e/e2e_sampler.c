/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_sampler.c - one sampler, three modes: who answers, when, and what the result says
 * about it; against the mock server and its faults.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tkx/breaker.h>
#include <tkx/sampler.h>

#include "support/mock_process.h"
#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"
#define BASE "tests/llama"

enum { MAX_TOKENS = 12 };

static mock_process server;
static tkx_context *context;
static tkx_service *service;
static tkx_local *local;
static tkx_local_adapter *adapter;
static const int32_t prompt[] = {5, 9, 200, 41, 7};

static void begin(void)
{
    const char *const flags[] = {"--base-model", BASE "=" LLAMA, "--threads", "1", NULL};
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_breaker_options breaker = TKX_BREAKER_OPTIONS_INIT;
    tkx_local_options model = TKX_LOCAL_OPTIONS_INIT;

    memset(&server, 0, sizeof server);
    mock_process_hold_port(&server); /* when it is gone, nobody else answers */
    mock_process_start(&server, flags);
    options.base_url = server.url;
    options.api_key = "tml-test";
    breaker.n_failures = 2;
    options.breaker = &breaker;
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
    model.compute = TKX_LOCAL_COMPUTE_F32;
    model.n_threads = 1;
    ck_assert_int_eq(tkx_local_open(LLAMA, &model, &local, NULL), TKX_OK);
    ck_assert_int_eq(tkx_local_adapter_load(local, LLAMA "/adapters/r4", &adapter, NULL),
                     TKX_OK);
}

static void finish(void)
{
    tkx_service_free(service);
    ck_assert_int_eq(tkx_context_close(context, 0, -1, NULL), TKX_OK);
    tkx_context_free(context);
    tkx_local_adapter_unload(adapter);
    tkx_local_free(local);
    mock_process_remove(&server);
}

static void set_faults(const char *rules)
{
    mock_answer a = mock_post(&server, "/mock/scenario", "{\"rules\":[%s]}", rules);

    ck_assert_msg(a.status == 200, "%s", a.body);
    mock_answer_free(&a);
}

static tkx_sampler_options options_of(tkx_sampler_mode mode)
{
    tkx_sampler_options o = TKX_SAMPLER_OPTIONS_INIT;

    o.mode = mode;
    if (mode != TKX_SAMPLER_LOCAL) {
        o.service = service;
        o.base_model = BASE;
    }
    if (mode != TKX_SAMPLER_REMOTE)
        o.local = local;
    return o;
}

static tkx_sampler *open_sampler(const tkx_sampler_options *o)
{
    tkx_sampler *sampler = NULL;
    tkx_error *err = NULL;

    ck_assert_msg(tkx_sampler_new(o, &sampler, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    return sampler;
}

static tkx_chunk chunk;

static tkx_sample_request request_of(int64_t max_tokens)
{
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;

    chunk = tkx_chunk_text(prompt, 5);
    r.prompt = (tkx_model_input){&chunk, 1};
    r.num_samples = 2;
    r.prompt_logprobs = true;
    r.topk_prompt_logprobs = 2;
    r.params.has_max_tokens = true;
    r.params.max_tokens = max_tokens;
    r.params.seed = tkx_seed_i64(11);
    r.params.stop_kind = TKX_STOP_TOKENS; /* none */
    return r;
}

static tkx_future *start(tkx_sampler *sampler, int64_t timeout_ms)
{
    tkx_sample_request r = request_of(MAX_TOKENS);
    tkx_future *future = NULL;
    tkx_error *err = NULL;

    ck_assert_msg(tkx_sampler_sample(sampler, &r, NULL, timeout_ms, &future, &err) ==
                      TKX_OK,
                  "%s", tkx_error_message(err));
    return future;
}

static tkx_sampler_result *take(tkx_future *future)
{
    tkx_sampler_result *result = NULL;
    tkx_error *err = NULL;

    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_msg(tkx_future_take_sampler_result(future, &result, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    tkx_future_unref(future);
    return result;
}

static tkx_sampler_result *ask(const tkx_sampler_options *o)
{
    tkx_sampler *sampler = open_sampler(o);
    tkx_sampler_result *result = take(start(sampler, 0));

    ck_assert_uint_eq(result->response->n_sequences, 2);
    ck_assert_uint_eq(result->response->sequences[1].n_tokens, MAX_TOKENS);
    tkx_sampler_free(sampler);
    return result;
}

static tkx_status refusal(const tkx_sampler_options *o, int64_t timeout_ms)
{
    tkx_sampler *sampler = open_sampler(o);
    tkx_future *future = start(sampler, timeout_ms);
    tkx_status st;

    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    st = tkx_error_status(tkx_future_error(future));
    tkx_future_unref(future);
    tkx_sampler_free(sampler);
    return st;
}

/* Numbers of both sides agree: they decode the same weights. */
static void same_response(const tkx_sample_response *a, const tkx_sample_response *b)
{
    ck_assert_uint_eq(a->n_prompt_logprobs, b->n_prompt_logprobs);
    ck_assert(isnan(a->prompt_logprobs[0]) && isnan(b->prompt_logprobs[0]));
    for (size_t i = 1; i < a->n_prompt_logprobs; i++)
        ck_assert_float_eq_tol(a->prompt_logprobs[i], b->prompt_logprobs[i], 1e-3f);
    ck_assert_uint_eq(a->topk_prompt_logprobs->n_rows, b->topk_prompt_logprobs->n_rows);
    ck_assert_ptr_null(a->topk_prompt_logprobs->rows[0].tokens);
    ck_assert_ptr_null(b->topk_prompt_logprobs->rows[0].tokens);
    ck_assert_int_eq(a->topk_prompt_logprobs->rows[3].tokens[1],
                     b->topk_prompt_logprobs->rows[3].tokens[1]);
    for (size_t s = 0; s < 2; s++) {
        ck_assert_int_eq(a->sequences[s].stop_reason, b->sequences[s].stop_reason);
        ck_assert_mem_eq(a->sequences[s].tokens, b->sequences[s].tokens, MAX_TOKENS * 4);
        for (size_t i = 0; i < MAX_TOKENS; i++)
            ck_assert_float_eq_tol(a->sequences[s].logprobs[i],
                                   b->sequences[s].logprobs[i], 1e-3f);
    }
}

START_TEST(every_mode_gives_the_same_result)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_REMOTE);
    tkx_sampler_result *remote = ask(&o);
    tkx_sampler_result *here;
    tkx_sampler_result *automatic;

    o = options_of(TKX_SAMPLER_LOCAL);
    here = ask(&o);
    o = options_of(TKX_SAMPLER_AUTO);
    automatic = ask(&o);
    ck_assert_str_eq(remote->label.backend, "remote");
    ck_assert_str_eq(remote->label.reason, "requested");
    ck_assert_str_eq(here->label.backend, "local");
    ck_assert_str_eq(here->label.reason, "requested");
    ck_assert_str_eq(here->label.weight_type, "F32");
    ck_assert_str_eq(automatic->label.backend, "remote");
    ck_assert_str_eq(automatic->label.reason, "answered");
    same_response(remote->response, here->response);
    same_response(remote->response, automatic->response);
    tkx_sampler_result_free(remote);
    tkx_sampler_result_free(here);
    tkx_sampler_result_free(automatic);
}
END_TEST

static tkx_sampler_result *ask_about_prompt(tkx_sampler_mode mode)
{
    static const int64_t ids[] = {7, -1, -1, 30, 200, 41, -1, 12};
    static const int64_t shape[] = {4, 2};
    tkx_sampler_options o = options_of(mode);
    tkx_sampler *sampler = open_sampler(&o);
    tkx_sample_request r = request_of(2);
    tkx_tensor targets = tkx_tensor_i64(ids, 8);
    tkx_future *future;

    targets.has_shape = true;
    targets.n_dims = 2;
    targets.shape = shape;
    r.num_samples = 1;
    r.prompt_logprobs_last_n = 2;
    r.target_prompt_logprobs = &targets;
    r.prompt_alt_tokens_k = 6;
    ck_assert_int_eq(tkx_sampler_sample(sampler, &r, NULL, 0, &future, NULL), TKX_OK);
    tkx_sampler_result *result = take(future);
    tkx_sampler_free(sampler);
    return result;
}

START_TEST(questions_about_the_prompt_have_the_same_answers)
{
    tkx_sampler_result *remote = ask_about_prompt(TKX_SAMPLER_REMOTE);
    tkx_sampler_result *here = ask_about_prompt(TKX_SAMPLER_LOCAL);
    const tkx_sample_response *a = remote->response;
    const tkx_sample_response *b = here->response;

    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(!isnan(a->prompt_logprobs[i]), i >= 3);
        ck_assert_int_eq(!isnan(b->prompt_logprobs[i]), i >= 3);
        ck_assert_int_eq(!a->topk_prompt_logprobs->rows[i].tokens, i < 3);
        ck_assert_int_eq(!b->topk_prompt_logprobs->rows[i].tokens, i < 3);
    }
    ck_assert_uint_eq(a->target_prompt_logprobs->n_values, 8);
    ck_assert_uint_eq(b->target_prompt_logprobs->n_values, 8);
    for (int i = 0; i < 8; i++)
        ck_assert_float_eq_tol(a->target_prompt_logprobs->values.f32[i],
                               b->target_prompt_logprobs->values.f32[i], 1e-3f);
    ck_assert_uint_eq(a->alt_tokens->n_values, 24);
    ck_assert_uint_eq(b->alt_tokens->n_values, 24);
    ck_assert_mem_eq(a->alt_tokens->values.i64, b->alt_tokens->values.i64, 24 * 8);
    for (int i = 0; i < 24; i++)
        ck_assert_float_eq_tol(a->alt_logprobs->values.f32[i],
                               b->alt_logprobs->values.f32[i], 1e-3f);
    tkx_sampler_result_free(remote);
    tkx_sampler_result_free(here);
}
END_TEST

static float last_logprob(tkx_sampler_mode mode, const char *backend)
{
    tkx_sampler_options o = options_of(mode);
    tkx_sampler *sampler = open_sampler(&o);
    tkx_sample_request r = request_of(1);
    tkx_future *future;
    tkx_sampler_result *result;
    float value;

    ck_assert_int_eq(tkx_sampler_compute_logprobs(sampler, &r.prompt, 0, &future, NULL),
                     TKX_OK);
    result = take(future);
    ck_assert_str_eq(result->label.backend, backend);
    ck_assert_ptr_null(result->response);
    ck_assert_uint_eq(result->logprobs->n_values, 5);
    ck_assert(isnan(result->logprobs->values[0]));
    value = result->logprobs->values[4];
    tkx_sampler_result_free(result);
    tkx_sampler_free(sampler);
    return value;
}

START_TEST(prompts_are_scored_by_either_side)
{
    float remote = last_logprob(TKX_SAMPLER_REMOTE, "remote");

    ck_assert_float_eq_tol(remote, last_logprob(TKX_SAMPLER_LOCAL, "local"), 1e-3f);
    ck_assert_int_eq(mock_process_stop(&server), 0);
    ck_assert_float_eq_tol(remote, last_logprob(TKX_SAMPLER_AUTO, "local"), 1e-3f);
}
END_TEST

static void is_local(const tkx_sampler_options *o, const char *reason)
{
    tkx_sampler_result *result = ask(o);

    ck_assert_str_eq(result->label.backend, "local");
    ck_assert_str_eq(result->label.reason, reason);
    tkx_sampler_result_free(result);
}

START_TEST(without_a_service_the_local_model_answers)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);

    ck_assert_int_eq(mock_process_stop(&server), 0);
    is_local(&o, "unreachable");
    is_local(&o, "unreachable"); /* at once: it is known by now */
    o.base_model = NULL;
    o.model_path = "tinker://run/sampler_weights/x";
    o.adapter = adapter;
    is_local(&o, "unreachable");
}
END_TEST

/* Errors of the server's own open the breaker; the request that met them is answered
   here, and so are new ones, until the breaker has cooled down. */
START_TEST(an_open_breaker_is_heeded)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);

    set_faults("{\"route\":\"POST /asample\",\"phase\":\"before\",\"fault\":\"status\","
               "\"status\":503}");
    is_local(&o, "breaker-open");
    ck_assert_int_eq(tkx_breaker_is_open(context, TKX_ENDPOINT_SAMPLE), 1);
    is_local(&o, "breaker-open");
}
END_TEST

/* The request is on its way when the service dies. */
START_TEST(an_open_request_is_taken_over)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);
    tkx_sampler *sampler = open_sampler(&o);
    tkx_future_progress_info info = TKX_FUTURE_PROGRESS_INIT;
    tkx_sampler_result *result;
    tkx_future *future;

    set_faults("{\"route\":\"POST /retrieve_future\",\"phase\":\"before\","
               "\"fault\":\"stall\",\"ms\":3600000}");
    future = start(sampler, 0);
    do { /* until the service has it, or is about to */
        ck_assert_int_eq(tkx_future_wait(future, 5, NULL), TKX_ERR_TIMEOUT);
        ck_assert_int_eq(tkx_future_progress(future, &info, NULL), TKX_OK);
    } while (info.state != TKX_FUTURE_WAITING);
    mock_process_kill(&server);
    result = take(future);
    ck_assert_str_eq(result->label.backend, "local");
    ck_assert_str_eq(result->label.reason, "unreachable");
    tkx_sampler_result_free(result);
    tkx_sampler_free(sampler);
}
END_TEST

START_TEST(a_retired_base_is_computed_here)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);

    o.base_model = "tests/retired";
    is_local(&o, "retired");
    o.model_path = "tinker://gone/sampler_weights/x"; /* its base is named beside it */
    o.adapter = adapter;
    is_local(&o, "retired");
    o = options_of(TKX_SAMPLER_REMOTE);
    o.base_model = "tests/retired";
    ck_assert_int_ne(refusal(&o, 0), TKX_OK);
}
END_TEST

/* A checkpoint that is not there, of a base that is offered: an error, not the base. */
START_TEST(a_missing_checkpoint_is_an_error)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);

    o.model_path = "tinker://gone/sampler_weights/x";
    o.adapter = adapter;
    ck_assert_int_eq(refusal(&o, 0), TKX_ERR_HTTP);
}
END_TEST

static const struct {
    const char *fault;
    tkx_status status;
} refusals[] = {
    {"{\"route\":\"POST /create_sampling_session\",\"phase\":\"before\",\"fault\":"
     "\"status\",\"status\":401}",
     TKX_ERR_AUTH},
    {"{\"route\":\"POST /create_sampling_session\",\"phase\":\"before\",\"fault\":"
     "\"status\",\"status\":403}",
     TKX_ERR_PERMISSION},
    {"{\"route\":\"POST /asample\",\"phase\":\"before\",\"fault\":\"status\","
     "\"status\":401}",
     TKX_ERR_AUTH},
    {"{\"route\":\"POST /asample\",\"phase\":\"before\",\"fault\":\"status\","
     "\"status\":400,\"body\":{\"detail\":\"no\"}}",
     TKX_ERR_HTTP},
    {"{\"route\":\"POST /asample\",\"phase\":\"before\",\"fault\":\"status\","
     "\"status\":422,\"body\":{\"detail\":\"no\"}}",
     TKX_ERR_HTTP},
    {"{\"route\":\"POST /asample\",\"phase\":\"before\",\"fault\":\"status\","
     "\"status\":413,\"body\":{\"detail\":\"no\"}}",
     TKX_ERR_HTTP},
};

/* Key, account and mistakes: nothing is hidden by an answer from elsewhere. */
START_TEST(refusals_are_not_answered_here)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);

    set_faults(refusals[_i].fault);
    ck_assert_int_eq(refusal(&o, 0), refusals[_i].status);
}
END_TEST

/* An unpaid account pauses; the request waits for it as a remote one would. */
START_TEST(billing_is_waited_for)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);

    set_faults("{\"route\":\"POST /asample\",\"phase\":\"before\",\"fault\":\"status\","
               "\"status\":402}");
    ck_assert_int_eq(refusal(&o, 400), TKX_ERR_TIMEOUT);
}
END_TEST

START_TEST(sides_that_do_not_match_are_refused)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);
    tkx_sampler *sampler = NULL;

    o.model_path =
        "tinker://run/sampler_weights/x"; /* no adapter: the base would answer */
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    o = options_of(TKX_SAMPLER_AUTO);
    o.adapter = adapter; /* for a base model */
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    o = options_of(TKX_SAMPLER_AUTO);
    o.local = NULL;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    o = options_of(TKX_SAMPLER_AUTO);
    o.service = NULL;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    o = options_of(TKX_SAMPLER_REMOTE);
    o.base_model = NULL;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    o = options_of(TKX_SAMPLER_REMOTE);
    o.local = local;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_null(sampler);
}
END_TEST

START_TEST(local_controls_are_refused_remotely)
{
    tkx_local_sample_options extras = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_sample_request r = request_of(3);
    tkx_future *future = NULL;

    extras.min_p = 0.1f;
    for (int mode = TKX_SAMPLER_REMOTE; mode <= TKX_SAMPLER_AUTO; mode++) {
        tkx_sampler_options o = options_of((tkx_sampler_mode)mode);
        tkx_sampler *sampler = open_sampler(&o);
        tkx_status st = tkx_sampler_sample(sampler, &r, &extras, 0, &future, NULL);

        if (mode == TKX_SAMPLER_LOCAL) {
            ck_assert_int_eq(st, TKX_OK);
            tkx_sampler_result_free(take(future));
        } else {
            ck_assert_int_eq(st, TKX_ERR_UNSUPPORTED);
        }
        tkx_sampler_free(sampler);
    }
}
END_TEST

/* What the local engine cannot compute stays with the service, however long that
   takes. */
START_TEST(images_stay_remote)
{
    tkx_sampler_options o = options_of(TKX_SAMPLER_AUTO);
    tkx_sampler *sampler = open_sampler(&o);
    tkx_sample_request r = request_of(3);
    tkx_chunk image = {.kind = TKX_CHUNK_IMAGE_POINTER,
                       .format = "png",
                       .location = "tinker://asset/x",
                       .has_expected_tokens = true,
                       .expected_tokens = 3};
    tkx_future *future = NULL;

    ck_assert_int_eq(mock_process_stop(&server), 0);
    r.prompt = (tkx_model_input){&image, 1};
    ck_assert_int_eq(tkx_sampler_sample(sampler, &r, NULL, 1500, &future, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_TIMEOUT);
    tkx_future_unref(future);
    tkx_sampler_free(sampler);
}
END_TEST

static int n_tokens;

static void count_token(int64_t sample, int32_t token, float logprob, void *user_data)
{
    (void)sample;
    (void)token;
    (void)user_data;
    ck_assert_float_lt(logprob, 0.0f);
    n_tokens++;
}

START_TEST(tokens_are_told_in_every_mode)
{
    tkx_local_sample_options hooks = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_sample_request r = request_of(MAX_TOKENS);

    hooks.on_token = count_token;
    for (int mode = TKX_SAMPLER_REMOTE; mode <= TKX_SAMPLER_AUTO; mode++) {
        tkx_sampler_options o = options_of((tkx_sampler_mode)mode);
        tkx_sampler *sampler = open_sampler(&o);
        tkx_future *future = NULL;

        n_tokens = 0;
        ck_assert_int_eq(tkx_sampler_sample(sampler, &r, &hooks, 0, &future, NULL),
                         TKX_OK);
        tkx_sampler_result_free(take(future));
        ck_assert_int_eq(n_tokens, 2 * MAX_TOKENS);
        tkx_sampler_free(sampler);
    }
}
END_TEST

/* Cancelled, or let go of with requests open: nothing hangs, nothing leaks. */
START_TEST(requests_may_be_given_up)
{
    for (int mode = TKX_SAMPLER_REMOTE; mode <= TKX_SAMPLER_AUTO; mode++) {
        tkx_sampler_options o = options_of((tkx_sampler_mode)mode);
        tkx_sampler *sampler = open_sampler(&o);
        tkx_future *cancelled = start(sampler, 0);
        tkx_future *left = start(sampler, 0);

        tkx_future_cancel(cancelled);
        ck_assert_int_eq(tkx_future_wait(cancelled, -1, NULL), TKX_OK);
        tkx_sampler_free(sampler);
        ck_assert_int_eq(tkx_future_wait(left, -1, NULL), TKX_OK);
        tkx_future_unref(cancelled);
        tkx_future_unref(left);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tc = tcase_create("sampler");
    const int n_refusals = (int)(sizeof refusals / sizeof refusals[0]);

    tcase_add_checked_fixture(tc, begin, finish);
    tcase_add_test(tc, every_mode_gives_the_same_result);
    tcase_add_test(tc, questions_about_the_prompt_have_the_same_answers);
    tcase_add_test(tc, prompts_are_scored_by_either_side);
    tcase_add_test(tc, without_a_service_the_local_model_answers);
    tcase_add_test(tc, an_open_breaker_is_heeded);
    tcase_add_test(tc, an_open_request_is_taken_over);
    tcase_add_test(tc, a_retired_base_is_computed_here);
    tcase_add_test(tc, a_missing_checkpoint_is_an_error);
    tcase_add_loop_test(tc, refusals_are_not_answered_here, 0, n_refusals);
    tcase_add_test(tc, billing_is_waited_for);
    tcase_add_test(tc, sides_that_do_not_match_are_refused);
    tcase_add_test(tc, local_controls_are_refused_remotely);
    tcase_add_test(tc, images_stay_remote);
    tcase_add_test(tc, tokens_are_told_in_every_mode);
    tcase_add_test(tc, requests_may_be_given_up);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
