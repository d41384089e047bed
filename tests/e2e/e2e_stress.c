/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_stress.c - eight threads call at once: train, sample, cancel, limit, look; in one
 * case the context is closed under them.  For the thread sanitizer above all; also, every
 * future completes exactly once, and the numbers of the model have no hole.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/custom_loss.h>
#include <tkx/queue.h>
#include <tkx/sampling.h>
#include <tkx/training.h>

#include "support/mock_process.h"
#include "support/suite.h"

enum { N_THREADS = 8, N_CALLS = 24, LENGTH = 6 };

static mock_process server;
static tkx_context *context;
static tkx_service *service;
static tkx_training *training;
static tkx_sampling *sampling;
static atomic_int n_made, n_told, n_closed;

static const int32_t tokens[LENGTH] = {'a', 'b', 'c', 'd', 'e', 'f'};
static const int64_t targets[LENGTH] = {'b', 'c', 'd', 'e', 'f', 'g'};
static const float weights[LENGTH] = {1, 1, 1, 1, 1, 1};
static const tkx_chunk chunk = {
    .kind = TKX_CHUNK_TEXT, .tokens = tokens, .n_tokens = LENGTH};
static const tkx_named_tensor inputs[] = {
    {"target_tokens",
     {.dtype = TKX_DTYPE_INT64, .n_values = LENGTH, .values.i64 = targets}},
    {"weights", {.dtype = TKX_DTYPE_FLOAT32, .n_values = LENGTH, .values.f32 = weights}},
};
static const tkx_datum datum = {
    .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};

static void await(tkx_future *future)
{
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_msg(!tkx_future_error(future), "%s",
                  tkx_error_message(tkx_future_error(future)));
}

static void begin(void)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_lora_options lora = TKX_LORA_OPTIONS_INIT;
    tkx_sampling_options sampler = TKX_SAMPLING_OPTIONS_INIT;
    tkx_future *future;

    memset(&server, 0, sizeof server);
    mock_process_start(&server, NULL);
    options.base_url = server.url;
    options.api_key = "tml-test";
    options.stuck_after_ms = 50; /* so that the watchdog takes part */
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
    lora.base_model = sampler.base_model = "tkx/bytes";
    lora.lora.rank = 2;
    ck_assert_int_eq(tkx_service_create_lora(service, &lora, &future, NULL), TKX_OK);
    await(future);
    ck_assert_int_eq(tkx_future_take_training(future, &training, NULL), TKX_OK);
    tkx_future_unref(future);
    ck_assert_int_eq(tkx_service_create_sampling(service, &sampler, &future, NULL),
                     TKX_OK);
    await(future);
    ck_assert_int_eq(tkx_future_take_sampling(future, &sampling, NULL), TKX_OK);
    tkx_future_unref(future);
}

static void finish(void)
{
    tkx_sampling_free(sampling);
    tkx_training_free(training);
    tkx_service_free(service);
    ck_assert_int_eq(tkx_context_close(context, 0, 5000, NULL), TKX_OK);
    tkx_context_free(context);
    mock_process_remove(&server);
}

/* --- a thread -------------------------------------------------------------------- */

static int loss(tkx_custom_item *items, size_t n_items, tkx_custom_report *report,
                void *user_data)
{
    (void)user_data;
    for (size_t i = 0; i < n_items; i++)
        for (size_t k = 0; k < items[i].n; k++)
            items[i].gradient[k] = -1;
    tkx_custom_report_loss(report, 0);
    return 0;
}

static tkx_status call(int kind, tkx_future **future)
{
    tkx_sample_request request = TKX_SAMPLE_REQUEST_INIT;
    const tkx_model_input prompt = {&chunk, 1};

    switch (kind) {
    case 0:
        return tkx_training_forward_backward(training, &datum, 1, "cross_entropy", NULL,
                                             future, NULL);
    case 1:
        return tkx_training_optim_step(training, NULL, future, NULL);
    case 2:
        return tkx_training_forward_backward_custom(training, &datum, 1, loss, NULL, NULL,
                                                    future, NULL);
    case 3:
        return tkx_sampling_compute_logprobs(sampling, &prompt, 0, future, NULL);
    default:
        request.prompt = prompt;
        request.params.has_max_tokens = true;
        request.params.max_tokens = 4;
        return tkx_sampling_sample(sampling, &request, 0, future, NULL);
    }
}

static void on_complete(tkx_future *future, void *user_data)
{
    (void)future, (void)user_data;
    atomic_fetch_add(&n_told, 1);
}

/* On a thread that is none of Check's. */
static void die(const char *why)
{
    fprintf(stderr, "stress: %s\n", why);
    abort();
}

static void look(tkx_future *future)
{
    tkx_future_progress_info info = TKX_FUTURE_PROGRESS_INIT;
    tkx_future_event events[8];
    char text[512];

    tkx_future_progress(future, &info, NULL);
    tkx_future_history(future, events, 8);
    tkx_future_describe(future, text, sizeof text);
}

static void *run(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    tkx_queue *queue;
    tkx_future *future;

    if (tkx_queue_new(&queue, NULL) != TKX_OK)
        abort();
    for (unsigned i = 0; i < N_CALLS; i++) {
        tkx_status st = call((int)((seed + i) % 7), &future);

        if (st == TKX_ERR_CLOSED) {
            atomic_fetch_add(&n_closed, 1);
            continue;
        }
        if (st != TKX_OK || tkx_queue_add(queue, future, NULL, NULL) != TKX_OK)
            die(tkx_status_name(st));
        if (tkx_future_on_complete(future, on_complete, NULL, NULL) == TKX_OK)
            atomic_fetch_add(&n_made, 1);
        if ((seed + i) % 5 == 0)
            tkx_future_cancel(future);
        if ((seed + i) % 11 == 0)
            tkx_future_set_deadline(future, (int64_t)(i % 3), NULL);
        look(future);
        tkx_future_unref(future);
    }
    while (tkx_queue_next(queue, -1, &future, NULL, NULL) == TKX_OK) {
        tkx_status st = tkx_error_status(tkx_future_error(future));

        if (st != TKX_OK && st != TKX_ERR_CANCELLED && st != TKX_ERR_CLOSED &&
            st != TKX_ERR_TIMEOUT)
            die(tkx_error_message(tkx_future_error(future)));
        look(future);
        tkx_future_unref(future);
    }
    if (tkx_queue_size(queue) != 0)
        abort();
    tkx_queue_free(queue);
    return NULL;
}

/* Loop: 0 all calls run to their end; 1 the context is closed while they are made. */
START_TEST(eight_threads_call_at_once)
{
    pthread_t threads[N_THREADS];
    tkx_future *last = NULL;

    begin();
    for (uintptr_t i = 0; i < N_THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run, (void *)i), 0);
    if (_i == 1)
        tkx_context_close(context, 0, 100, NULL);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    if (_i == 0) { /* behind all others: with a hole before it, it would not come */
        ck_assert_int_eq(tkx_training_optim_step(training, NULL, &last, NULL), TKX_OK);
        await(last);
        tkx_future_unref(last);
    }
    finish();
    ck_assert_int_eq(atomic_load(&n_told), atomic_load(&n_made));
    if (_i == 0)
        ck_assert_int_eq(atomic_load(&n_made), N_THREADS * N_CALLS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stress");
    TCase *tc = tcase_create("stress");

    tcase_add_loop_test(tc, eight_threads_call_at_once, 0, 2);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
