/* SPDX-License-Identifier: Apache-2.0 */
/* Making samplers: options of other sizes, memory that is short, a context of their own.
   What they do with a service is in tests/e2e/e2e_sampler.c. */
#include <stddef.h>

#include <tkx/sampler.h>

#include "support/fail_alloc.h"
#include "support/suite.h"

static tkx_local *local;

static void open_model(void)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;

    options.n_threads = 1;
    ck_assert_int_eq(
        tkx_local_open(TKX_TEST_DATA "/models/llama", &options, &local, NULL), TKX_OK);
}

static void close_model(void)
{
    tkx_local_free(local);
}

static tkx_sampler_options local_options(void)
{
    tkx_sampler_options o = TKX_SAMPLER_OPTIONS_INIT;

    o.mode = TKX_SAMPLER_LOCAL;
    o.local = local;
    return o;
}

START_TEST(options_of_other_sizes)
{
    tkx_sampler_options o = local_options();
    tkx_sampler *sampler = NULL;

    o.struct_size = offsetof(tkx_sampler_options, adapter); /* an older caller's */
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_OK);
    tkx_sampler_free(sampler);
    o.struct_size = 0;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_sampler_new(NULL, &sampler, NULL), TKX_ERR_INVALID_ARGUMENT);
    tkx_sampler_free(NULL);
    tkx_sampler_result_free(NULL);
}
END_TEST

START_TEST(survives_memory_failure)
{
    tkx_context_options c = TKX_CONTEXT_OPTIONS_INIT;
    tkx_sampler_options o = local_options();
    int ended = 0;

    c.base_url = "http://localhost";
    ck_assert_int_eq(tkx_context_new(&c, &o.context, NULL), TKX_OK);
    o.base_model = "a name";
    o.model_path = "tinker://another";
    for (size_t n = 1; !ended; n++) {
        tkx_sampler *sampler = NULL;
        tkx_error *err = NULL;
        tkx_status st;

        fail_alloc_begin(n);
        st = tkx_sampler_new(&o, &sampler, &err);
        ended = !fail_alloc_hit();
        ck_assert_int_eq(st, ended ? TKX_OK : TKX_ERR_NO_MEMORY);
        tkx_error_free(err);
        if (!ended)
            ck_assert_int_eq(fail_alloc_end(), 0);
        else
            (void)fail_alloc_end(); /* it lives */
        tkx_sampler_free(sampler);
    }
    tkx_context_free(o.context);
}
END_TEST

/* A request without a limit has that of the context, on this machine too. */
START_TEST(the_contexts_limit_counts)
{
    static const int32_t tokens[] = {5, 9, 200};
    tkx_context_options c = TKX_CONTEXT_OPTIONS_INIT;
    tkx_sampler_options o = local_options();
    const tkx_chunk chunk = tkx_chunk_text(tokens, 3);
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;
    tkx_sampler *sampler;
    tkx_future *future;

    c.base_url = "http://localhost";
    c.call_timeout_ms = 1;
    ck_assert_int_eq(tkx_context_new(&c, &o.context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_OK);
    r.prompt = (tkx_model_input){&chunk, 1};
    r.params.stop_kind = TKX_STOP_TOKENS;
    tkx_local_pause(local, 1); /* it would take for ever */
    ck_assert_int_eq(tkx_sampler_sample(sampler, &r, NULL, 0, &future, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(future)), TKX_ERR_TIMEOUT);
    tkx_local_pause(local, 0);
    tkx_future_unref(future);
    tkx_sampler_free(sampler);
    tkx_context_free(o.context);
}
END_TEST

/* Freed with a request open: that ends, and so does the context. */
START_TEST(a_context_of_its_own)
{
    static const int32_t tokens[] = {5, 9, 200};
    tkx_sampler_options o = local_options();
    const tkx_chunk chunk = tkx_chunk_text(tokens, 3);
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;
    tkx_sampler_result *result = NULL;
    tkx_sampler *sampler;
    tkx_future *done;
    tkx_future *open;

    r.prompt = (tkx_model_input){&chunk, 1};
    r.params.has_max_tokens = true;
    r.params.max_tokens = 5;
    r.params.stop_kind = TKX_STOP_TOKENS;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_OK);
    ck_assert_int_eq(tkx_sampler_sample(sampler, &r, NULL, 0, &done, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_wait(done, -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_take_sampler_result(done, &result, NULL), TKX_OK);
    ck_assert_uint_eq(result->response->sequences[0].n_tokens, 5);
    tkx_sampler_result_free(result);

    tkx_local_pause(local, 1);
    ck_assert_int_eq(tkx_sampler_sample(sampler, &r, NULL, 0, &open, NULL), TKX_OK);
    tkx_sampler_free(sampler);
    ck_assert_int_eq(tkx_future_wait(open, -1, NULL), TKX_OK);
    ck_assert_int_eq(tkx_error_status(tkx_future_error(open)), TKX_ERR_CLOSED);
    tkx_local_pause(local, 0);
    tkx_future_unref(done);
    tkx_future_unref(open);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sampler");
    TCase *tc = tcase_create("sampler");

    tcase_add_checked_fixture(tc, open_model, close_model);
    tcase_add_test(tc, options_of_other_sizes);
    tcase_add_test(tc, survives_memory_failure);
    tcase_add_test(tc, the_contexts_limit_counts);
    tcase_add_test(tc, a_context_of_its_own);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
