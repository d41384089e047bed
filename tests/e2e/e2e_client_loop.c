/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_client_loop.c - the library against the mock server that computes: fine-tune, save,
 * sample, start again from the checkpoint.  In both dialects that differ most.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/sampling.h>
#include <tkx/training.h>

#include "support/mock_process.h"
#include "support/suite.h"

enum { N_STEPS = 40, LENGTH = 12 };

static mock_process server;
static tkx_context *context;
static tkx_service *service;

static void begin(const char *const *flags)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    memset(&server, 0, sizeof server);
    mock_process_start(&server, flags);
    options.base_url = server.url;
    options.api_key = "tml-test";
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
}

static void finish(void)
{
    tkx_service_free(service);
    ck_assert_int_eq(tkx_context_close(context, 0, 5000, NULL), TKX_OK);
    tkx_context_free(context);
    mock_process_remove(&server);
}

static void await(tkx_future *future)
{
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_msg(!tkx_future_error(future), "%s",
                  tkx_error_message(tkx_future_error(future)));
}

static double loss_of(tkx_future *future)
{
    tkx_forward_backward_output *output;

    await(future);
    ck_assert_int_eq(tkx_future_take_forward_backward(future, &output, NULL), TKX_OK);
    tkx_future_unref(future);
    const tkx_tensor *logprobs = tkx_forward_backward_output_field(output, 0, "logprobs");
    double value = 0;
    ck_assert_ptr_nonnull(logprobs);
    for (size_t i = 0; i < logprobs->n_values; i++)
        value -= (double)logprobs->values.f32[i];
    tkx_forward_backward_output_free(output);
    return value;
}

/* All steps are submitted before the first result is looked at. */
static void train(tkx_training *t)
{
    static int32_t tokens[LENGTH];
    static int64_t targets[LENGTH];
    static float weights[LENGTH];
    tkx_future *steps[N_STEPS][2];
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};

    for (int i = 0; i < LENGTH; i++) {
        tokens[i] = 'a' + i;
        targets[i] = 'a' + i + 1;
        weights[i] = 1;
    }
    const tkx_chunk chunk = tkx_chunk_text(tokens, LENGTH);
    const tkx_named_tensor inputs[] = {{"target_tokens", tkx_tensor_i64(targets, LENGTH)},
                                       {"weights", tkx_tensor_f32(weights, LENGTH)}};
    const tkx_datum datum = {
        .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};
    adam.learning_rate = 0.01;
    for (int i = 0; i < N_STEPS; i++) {
        ck_assert_int_eq(tkx_training_forward_backward(t, &datum, 1,
                                                       TKX_LOSS_CROSS_ENTROPY, NULL,
                                                       &steps[i][0], NULL),
                         TKX_OK);
        ck_assert_int_eq(tkx_training_optim_step(t, &with_adam, &steps[i][1], NULL),
                         TKX_OK);
    }
    double first = loss_of(steps[0][0]);
    double last = first;
    for (int i = 0; i < N_STEPS; i++) {
        if (i > 0)
            last = loss_of(steps[i][0]);
        await(steps[i][1]);
        tkx_future_unref(steps[i][1]);
    }
    ck_assert_double_lt(last, first / 2);
}

static tkx_training *take_training(tkx_future *future)
{
    tkx_training *training;

    await(future);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
    return training;
}

static tkx_training *create_lora(void)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_future *future;

    options.base_model = "tkx/bytes";
    options.lora.rank = 16;
    ck_assert_int_eq(tkx_service_create_lora(service, &options, &future, NULL), TKX_OK);
    return take_training(future);
}

static tkx_training *from_checkpoint(const char *path)
{
    tkx_checkpoint_options options = TKX_CHECKPOINT_OPTIONS_INIT;
    tkx_future *future;

    options.path = path;
    options.with_optimizer = 1;
    ck_assert_int_eq(tkx_service_create_from_checkpoint(service, &options, &future, NULL),
                     TKX_OK);
    return take_training(future);
}

/* Greedy continuation of "abcd"; tokens[4]. */
static void sample(tkx_training *t, int32_t *tokens)
{
    static const int32_t prompt[] = {'a', 'b', 'c', 'd'};
    const tkx_chunk chunk = tkx_chunk_text(prompt, 4);
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    tkx_sample_response *response;
    tkx_logprobs *logprobs;
    tkx_sampling *sampling;
    tkx_future *future;

    ck_assert_int_eq(
        tkx_training_save_weights_and_get_sampling_client(t, NULL, &future, NULL),
        TKX_OK);
    await(future);
    ck_assert_int_eq(tkx_future_take_sampling(future, &sampling, NULL), TKX_OK);
    tkx_future_unref(future);

    request.prompt = (tkx_model_input){&chunk, 1};
    request.params.has_max_tokens = true;
    request.params.max_tokens = 4;
    request.params.temperature = 0;
    ck_assert_int_eq(tkx_sampling_sample(sampling, &request, 0, &future, NULL), TKX_OK);
    await(future);
    ck_assert_int_eq(tkx_future_take_sample(future, &response, NULL), TKX_OK);
    tkx_future_unref(future);
    ck_assert_uint_eq(response->sequences[0].n_tokens, 4);
    memcpy(tokens, response->sequences[0].tokens, 4 * sizeof *tokens);
    tkx_sample_response_free(response);

    ck_assert_int_eq(
        tkx_sampling_compute_logprobs(sampling, &request.prompt, 0, &future, NULL),
        TKX_OK);
    await(future);
    ck_assert_int_eq(tkx_future_take_logprobs(future, &logprobs, NULL), TKX_OK);
    tkx_future_unref(future);
    ck_assert_uint_eq(logprobs->n_values, 4);
    ck_assert(isnan(logprobs->values[0]));
    ck_assert_float_lt(logprobs->values[3], 0.0f);
    tkx_logprobs_free(logprobs);
    tkx_sampling_free(sampling);
}

static const char *const dialects[] = {"hosted", "skyrl"};

START_TEST(train_save_sample_and_resume)
{
    const char *const flags[] = {"--dialect", dialects[_i], NULL};
    int32_t trained[4], resumed[4];
    tkx_save_weights_result *saved;
    tkx_future *future;

    begin(flags);
    tkx_training *t = create_lora();
    train(t);
    ck_assert_int_eq(tkx_training_save_state(t, "done", NULL, &future, NULL), TKX_OK);
    await(future);
    ck_assert_int_eq(tkx_future_take_save_weights(future, &saved, NULL), TKX_OK);
    tkx_future_unref(future);
    sample(t, trained);
    ck_assert_int_eq(trained[0], 'e'); /* what it was taught */

    tkx_training *again = from_checkpoint(saved->path);
    ck_assert_str_ne(tkx_training_model_id(again), tkx_training_model_id(t));
    sample(again, resumed);
    ck_assert_mem_eq(trained, resumed, sizeof trained);
    tkx_save_weights_result_free(saved);
    tkx_training_free(t);
    tkx_training_free(again);
    finish();
}
END_TEST

START_TEST(a_bad_key_is_a_clear_error)
{
    const char *const flags[] = {"--api-key", "tml-right", NULL};
    tkx_future *future;

    begin(flags);
    ck_assert_int_eq(tkx_service_start(service, &future, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    const tkx_error *error = tkx_future_error(future);
    if (error) { /* any key that begins with tml- may be accepted */
        ck_assert_int_eq(tkx_error_status(error), TKX_ERR_AUTH);
        ck_assert_ptr_null(strstr(tkx_error_message(error), "tml-test"));
    }
    tkx_future_unref(future);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client loop");
    TCase *tc = tcase_create("client loop");

    tcase_add_loop_test(tc, train_save_sample_and_resume, 0, 2);
    tcase_add_test(tc, a_bad_key_is_a_clear_error);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
