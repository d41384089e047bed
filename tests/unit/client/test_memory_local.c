/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_memory_local.c - the nth allocation fails, for every n, while a local model is
 * opened, sampled from in every way, and closed; on its own threads, so that which one
 * fails is a matter of chance.
 */
#include <check.h>

#include <tkx/context.h>
#include <tkx/local.h>
#include <tkx/sampler.h>

#include "support/fail_alloc.h"
#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"

enum { N_SLICES = 8 };

static const int32_t tokens[] = {5, 9, 200, 41, 7};
static const tkx_chunk chunk = {.kind = TKX_CHUNK_TEXT, .tokens = tokens, .n_tokens = 5};
static const char *const stops[] = {"no sample says this"};

static tkx_context *context;
static tkx_local *local;
static tkx_local_adapter *adapter;

static tkx_sample_request request_of(void)
{
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;

    r.prompt = (tkx_model_input){&chunk, 1};
    r.num_samples = 2;
    r.prompt_logprobs = true;
    r.topk_prompt_logprobs = 2;
    r.params.has_max_tokens = true;
    r.params.max_tokens = 3;
    r.params.seed = tkx_seed_i64(11);
    r.params.stop_kind = TKX_STOP_STRINGS;
    r.params.stop_strings = stops;
    r.params.n_stop = 1;
    return r;
}

/* A result or an error; false: memory is short already. */
static bool open_all(void)
{
    tkx_context_options c = TKX_CONTEXT_OPTIONS_INIT;
    tkx_local_options o = TKX_LOCAL_OPTIONS_INIT;

    c.base_url = "http://127.0.0.1:9";
    c.api_key = "tml-secret";
    o.compute = TKX_LOCAL_COMPUTE_F32;
    o.n_threads = 1;
    return tkx_context_new(&c, &context, NULL) == TKX_OK &&
           tkx_local_open(LLAMA, &o, &local, NULL) == TKX_OK &&
           tkx_local_adapter_load(local, LLAMA "/adapters/r4", &adapter, NULL) == TKX_OK;
}

static void close_all(void)
{
    tkx_local_adapter_unload(adapter);
    tkx_local_free(local);
    tkx_context_free(context);
    adapter = NULL;
    local = NULL;
    context = NULL;
}

static void sample_and_wait(void)
{
    tkx_local_sample_options o = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_sample_request r = request_of();
    tkx_sample_response *response = NULL;
    tkx_error *err = NULL;

    o.adapter = adapter;
    if (tkx_local_sample(local, &r, &o, &response, &err) != TKX_OK)
        ck_assert_ptr_nonnull(err);
    else
        ck_assert_uint_eq(response->n_sequences, 2);
    tkx_sample_response_free(response);
    tkx_error_free(err);
}

static void sample_as_future(void)
{
    tkx_sample_request r = request_of();
    tkx_sample_response *response = NULL;
    tkx_future *future = NULL;

    if (tkx_local_sample_start(local, context, &r, NULL, &future, NULL) != TKX_OK)
        return;
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    if (!tkx_future_error(future)) {
        ck_assert_int_eq(tkx_future_take_local_sample(future, &response, NULL), TKX_OK);
        ck_assert_uint_eq(response->n_sequences, 2);
    }
    tkx_sample_response_free(response);
    tkx_future_unref(future);
}

static void take_result(tkx_future *future)
{
    tkx_sampler_result *result = NULL;

    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    if (!tkx_future_error(future)) {
        ck_assert_int_eq(tkx_future_take_sampler_result(future, &result, NULL), TKX_OK);
        ck_assert(result->response || result->logprobs);
    }
    tkx_sampler_result_free(result);
    tkx_future_unref(future);
}

static void ask_sampler(void)
{
    tkx_sampler_options o = TKX_SAMPLER_OPTIONS_INIT;
    tkx_sample_request r = request_of();
    tkx_sampler *sampler = NULL;
    tkx_future *future = NULL;

    o.mode = TKX_SAMPLER_LOCAL;
    o.local = local;
    o.context = context;
    if (tkx_sampler_new(&o, &sampler, NULL) != TKX_OK)
        return;
    if (tkx_sampler_sample(sampler, &r, NULL, 600000, &future, NULL) == TKX_OK)
        take_result(future);
    if (tkx_sampler_compute_logprobs(sampler, &r.prompt, 0, &future, NULL) == TKX_OK)
        take_result(future);
    tkx_sampler_free(sampler);
}

START_TEST(local_sampling_survives_any_failed_allocation)
{
    int is_over = 0;

    for (size_t n = (size_t)_i + 1; !is_over; n += N_SLICES) {
        fail_alloc_begin(n);
        if (open_all()) {
            sample_and_wait();
            sample_as_future();
            ask_sampler();
        }
        close_all();
        is_over = !fail_alloc_hit();
        long n_left = fail_alloc_end();
        ck_assert_msg(n_left == 0, "allocation %zu: %ld blocks left", n, n_left);
        ck_assert_uint_lt(n, 100000);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory_local");
    TCase *tc = tcase_create("memory_local");

    tcase_add_loop_test(tc, local_sampling_survives_any_failed_allocation, 0, N_SLICES);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
