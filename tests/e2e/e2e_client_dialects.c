/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_client_dialects.c - one program against every kind of service that the mock server
 * can stand for.  The client is told nothing about them: it finds out.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <tkx/rest.h>
#include <tkx/sampling.h>
#include <tkx/training.h>

#include "support/mock_process.h"
#include "support/suite.h"

enum { HOSTED, HOSTED25, SKYRL, TWINKLE, N_DIALECTS };
static const char *const dialects[] = {"hosted", "hosted25", "skyrl", "twinkle"};

static mock_process server;
static tkx_context *context;
static tkx_service *service;
static tkx_training *training;
static tkx_future *future;

static void drop(void)
{
    tkx_future_unref(future);
    future = NULL;
}

static void await(tkx_status st)
{
    ck_assert_int_eq(st, TKX_OK);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_msg(!tkx_future_error(future), "%s",
                  tkx_error_message(tkx_future_error(future)));
}

/* Twinkle wants to know its callers by a header, which is a setting of theirs. */
static void begin(int dialect)
{
    static const char *const headers[] = {"x-request-id: tests"};
    const char *const flags[] = {"--dialect", dialects[dialect], NULL};
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_service_options about = TKX_SERVICE_OPTIONS_INIT;
    tkx_lora_options lora = TKX_LORA_OPTIONS_INIT;

    memset(&server, 0, sizeof server);
    mock_process_start(&server, flags);
    options.base_url = server.url;
    options.api_key = "tml-test";
    about.extra_headers = headers;
    about.n_extra_headers = dialect == TWINKLE;
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, &about, &service, NULL), TKX_OK);
    lora.base_model = "tkx/bytes";
    lora.lora.rank = 4;
    await(tkx_service_create_lora(service, &lora, &future, NULL));
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    drop();
}

static void end(void)
{
    tkx_training_free(training);
    await(tkx_service_finish(service, TKX_FINISH_SUCCESS, NULL, &future, NULL));
    drop();
    tkx_service_free(service);
    ck_assert_int_eq(tkx_context_close(context, 0, 5000, NULL), TKX_OK);
    tkx_context_free(context);
    mock_process_remove(&server);
}

static const int32_t tokens[] = {'a', 'b', 'c', 'd'};
static const int64_t targets[] = {'b', 'c', 'd', 'e'};
static const float weights[] = {1, 1, 1, 1};

static tkx_status forward_backward(const char *loss)
{
    static tkx_chunk chunk;
    static tkx_named_tensor inputs[2];
    static tkx_datum datum;

    chunk = tkx_chunk_text(tokens, 4);
    inputs[0] = (tkx_named_tensor){"target_tokens", tkx_tensor_i64(targets, 4)};
    inputs[1] = (tkx_named_tensor){"weights", tkx_tensor_f32(weights, 4)};
    datum = (tkx_datum){
        .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};
    return tkx_training_forward_backward(training, &datum, 1, loss, NULL, &future, NULL);
}

static void save(bool is_sampler, char path[300])
{
    tkx_save_weights_result *saved;

    await(is_sampler ? tkx_training_save_weights_for_sampler(training, "here", NULL,
                                                             &future, NULL)
                     : tkx_training_save_state(training, "here", NULL, &future, NULL));
    ck_assert_int_eq(tkx_future_take_save_weights(future, &saved, NULL), TKX_OK);
    snprintf(path, 300, "%s", saved->path);
    tkx_save_weights_result_free(saved);
    drop();
}

/* A sampler of the path, and a prompt's scores by it. */
static void sample_from(const char *path, float scores[4])
{
    static const char *const stop[] = {"zz"};
    tkx_sampling_options options = TKX_SAMPLING_OPTIONS_INIT;
    tkx_sample_request q = TKX_SAMPLE_REQUEST_INIT;
    const tkx_chunk chunk = tkx_chunk_text(tokens, 4);
    tkx_sample_response *response;
    tkx_sampling *sampling;
    tkx_logprobs *logprobs;

    options.model_path = path;
    await(tkx_service_create_sampling(service, &options, &future, NULL));
    ck_assert_int_eq(tkx_future_take_sampling(future, &sampling, NULL), TKX_OK);
    drop();
    q.prompt = (tkx_model_input){&chunk, 1};
    q.params.has_max_tokens = true;
    q.params.max_tokens = 3;
    q.params.stop_kind = TKX_STOP_ONE_STRING; /* goes out as a list */
    q.params.stop_strings = stop;
    q.params.n_stop = 1;
    await(tkx_sampling_sample(sampling, &q, 0, &future, NULL));
    ck_assert_int_eq(tkx_future_take_sample(future, &response, NULL), TKX_OK);
    ck_assert_uint_eq(response->n_sequences, 1);
    tkx_sample_response_free(response);
    drop();
    if (scores) {
        await(tkx_sampling_compute_logprobs(sampling, &q.prompt, 0, &future, NULL));
        ck_assert_int_eq(tkx_future_take_logprobs(future, &logprobs, NULL), TKX_OK);
        ck_assert_uint_eq(logprobs->n_values, 4); /* also where only three were sent */
        ck_assert(isnan(logprobs->values[0]));
        memcpy(scores, logprobs->values, 4 * sizeof *scores);
        tkx_logprobs_free(logprobs);
        drop();
    }
    tkx_sampling_free(sampling);
}

/* What the model gives the targets: the same numbers, by training and by sampling. */
static void forward_scores(float scores[4])
{
    tkx_forward_backward_output *output;
    const tkx_tensor *logprobs;

    await(forward_backward(TKX_LOSS_CROSS_ENTROPY));
    ck_assert_int_eq(tkx_future_take_forward_backward(future, &output, NULL), TKX_OK);
    logprobs = tkx_forward_backward_output_field(output, 0, "logprobs");
    ck_assert_ptr_nonnull(logprobs);
    memcpy(scores, logprobs->values.f32, 4 * sizeof *scores);
    tkx_forward_backward_output_free(output);
    drop();
}

START_TEST(trains_saves_and_samples)
{
    char path[300];
    float trained[4], sampled[4];

    begin(_i);
    forward_scores(trained);
    save(true, path);
    sample_from(path, _i == TWINKLE ? NULL : sampled);
    /* Token i + 1 of the prompt is target i: scores are aligned from the end. */
    if (_i != TWINKLE)
        for (int i = 1; i < 4; i++)
            ck_assert_float_eq_tol(sampled[i], trained[i - 1], 1e-3f);
    await(tkx_training_optim_step(training, NULL, &future, NULL));
    drop();
    end();
}
END_TEST

START_TEST(goes_on_from_a_saved_state)
{
    tkx_checkpoint_options options = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_training *again;
    char path[300];

    begin(_i);
    await(forward_backward(TKX_LOSS_CROSS_ENTROPY));
    drop();
    await(tkx_training_optim_step(training, NULL, &future, NULL));
    drop();
    save(false, path);
    options.path = path;
    options.with_optimizer = 1;
    await(tkx_service_create_from_checkpoint(service, &options, &future, NULL));
    ck_assert_int_eq(tkx_future_take_training(future, &again, NULL), TKX_OK);
    drop();
    tkx_training_free(training);
    training = again;
    await(forward_backward(TKX_LOSS_CROSS_ENTROPY)); /* as its next operation */
    drop();
    end();
}
END_TEST

/* A promise that fails, said with 200 or with 400 and a detail; never polled for long. */
START_TEST(a_failed_operation_is_an_error_at_once)
{
    tkx_future_progress_info info = TKX_FUTURE_PROGRESS_INIT;
    const tkx_error *error;

    begin(_i);
    ck_assert_int_eq(forward_backward("unheard"), TKX_OK);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    error = tkx_future_error(future);
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(tkx_error_message(error), "unheard") != NULL, "%s",
                  tkx_error_message(error));
    ck_assert_int_eq(tkx_error_get_category(error), TKX_ERROR_CATEGORY_USER);
    ck_assert_int_eq(tkx_future_progress(future, &info, NULL), TKX_OK);
    ck_assert_uint_le(info.n_polls, 2);
    drop();
    end();
}
END_TEST

/* Where there is an archive, it is found, also under the bare name. */
START_TEST(the_archive_of_a_sampler_is_found)
{
    tkx_archive_url *url;
    tkx_rest *rest;
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    char path[300];

    (void)options;
    begin(_i);
    save(true, path);
    ck_assert_int_eq(tkx_rest_new(context, NULL, &rest, NULL), TKX_OK);
    await(tkx_rest_get_archive_url(rest, path, &future, NULL));
    ck_assert_int_eq(tkx_future_take_archive_url(future, &url, NULL), TKX_OK);
    ck_assert_ptr_nonnull(strstr(url->url, "http"));
    tkx_archive_url_free(url);
    drop();
    tkx_rest_free(rest);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client dialects");
    TCase *tc = tcase_create("client dialects");

    tcase_add_loop_test(tc, trains_saves_and_samples, 0, N_DIALECTS);
    tcase_add_loop_test(tc, goes_on_from_a_saved_state, 0, N_DIALECTS);
    tcase_add_loop_test(tc, a_failed_operation_is_an_error_at_once, 0, N_DIALECTS);
    tcase_add_loop_test(tc, the_archive_of_a_sampler_is_found, HOSTED, SKYRL + 1);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
