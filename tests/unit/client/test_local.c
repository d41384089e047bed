/* SPDX-License-Identifier: Apache-2.0 */
/* The public local engine: what the service would answer, and its own errors. */
#include <math.h>
#include <string.h>

#include <tkx/local.h>

#include "client/local_in.h"
#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"

static tkx_local *local;
static const int32_t prompt[] = {5, 9, 200, 41, 7};
static tkx_chunk chunk;

static void open_model(void)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;
    tkx_error *err = NULL;

    options.compute = TKX_LOCAL_COMPUTE_F32;
    options.n_threads = 2;
    ck_assert_msg(tkx_local_open(LLAMA, &options, &local, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
}

static void close_model(void)
{
    tkx_local_free(local);
}

static tkx_sample_request request_of(int64_t max_tokens)
{
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;

    chunk = tkx_chunk_text(prompt, 5);
    r.prompt.chunks = &chunk;
    r.prompt.n_chunks = 1;
    r.params.has_max_tokens = true;
    r.params.max_tokens = max_tokens;
    r.params.seed = tkx_seed_i64(7);
    return r;
}

static tkx_sample_response *sample(const tkx_sample_request *r,
                                   const tkx_local_sample_options *o)
{
    tkx_sample_response *response = NULL;
    tkx_error *err = NULL;

    ck_assert_msg(tkx_local_sample(local, r, o, &response, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    return response;
}

/* Sample i with seed s is sample 0 with seed s + i, and the same again. */
START_TEST(seeds_count_up)
{
    tkx_sample_request r = request_of(20);
    tkx_sample_response *many;
    tkx_sample_response *one;

    r.num_samples = 3;
    r.params.stop_kind = TKX_STOP_TOKENS; /* none */
    many = sample(&r, NULL);
    ck_assert_uint_eq(many->n_sequences, 3);
    r.num_samples = 1;
    r.params.seed = tkx_seed_i64(9);
    one = sample(&r, NULL);
    ck_assert_uint_eq(one->sequences[0].n_tokens, 20);
    ck_assert_int_eq(one->sequences[0].stop_reason, TKX_STOP_REASON_LENGTH);
    ck_assert_mem_eq(one->sequences[0].tokens, many->sequences[2].tokens,
                     20 * sizeof(int32_t));
    ck_assert_mem_eq(one->sequences[0].logprobs, many->sequences[2].logprobs,
                     20 * sizeof(float));
    ck_assert_int_ne(memcmp(many->sequences[0].tokens, many->sequences[1].tokens, 80), 0);
    tkx_sample_response_free(one);
    tkx_sample_response_free(many);
}
END_TEST

START_TEST(scores_prompts)
{
    tkx_sample_request r = request_of(0);
    tkx_sample_response *response;

    r.prompt_logprobs = true;
    r.topk_prompt_logprobs = 3;
    response = sample(&r, NULL);
    ck_assert_uint_eq(response->n_sequences, 0);
    ck_assert_uint_eq(response->n_prompt_logprobs, 5);
    ck_assert(isnan(response->prompt_logprobs[0]));
    ck_assert(response->prompt_logprobs[4] < 0);
    ck_assert_uint_eq(response->topk_prompt_logprobs->n_rows, 5);
    ck_assert_ptr_null(response->topk_prompt_logprobs->rows[0].tokens);
    ck_assert_uint_eq(response->topk_prompt_logprobs->rows[1].count, 3);
    ck_assert(response->topk_prompt_logprobs->rows[1].logprobs[0] >=
              response->topk_prompt_logprobs->rows[1].logprobs[1]);
    tkx_sample_response_free(response);
}
END_TEST

static int n_told;

static void on_token(int64_t index, int32_t token, float logprob, void *user_data)
{
    (void)index;
    (void)token;
    (void)logprob;
    (void)user_data;
    n_told++;
}

/* A stop string is one that the unstopped text holds: its token is the last. */
START_TEST(stops_at_strings)
{
    tkx_sample_request r = request_of(30);
    tkx_local_sample_options o = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_sample_response *whole;
    tkx_sample_response *cut;
    static const char *const never = "no sample of thirty tokens says this";
    const char *stop = "e";

    r.params.stop_kind = TKX_STOP_STRINGS;
    r.params.stop_strings = &never;
    r.params.n_stop = 1;
    o.on_token = on_token;
    whole = sample(&r, &o);
    ck_assert_uint_eq(whole->sequences[0].n_tokens, 30);
    ck_assert_int_eq(n_told, 30);
    for (int seed = 0; seed < 20; seed++) { /* some sample will have an e */
        r.params.seed = tkx_seed_i64(seed);
        r.params.stop_strings = &stop;
        cut = sample(&r, NULL);
        if (cut->sequences[0].stop_reason == TKX_STOP_REASON_STOP) {
            ck_assert_uint_ge(cut->sequences[0].n_tokens, 1);
            tkx_sample_response_free(cut);
            break;
        }
        ck_assert_uint_eq(cut->sequences[0].n_tokens, 30);
        tkx_sample_response_free(cut);
        ck_assert_int_lt(seed, 19);
    }
    tkx_sample_response_free(whole);
}
END_TEST

START_TEST(refuses_what_it_cannot)
{
    tkx_sample_request r = request_of(4);
    tkx_sample_response *response = NULL;
    tkx_local *none = NULL;
    tkx_local_options tight = TKX_LOCAL_OPTIONS_INIT;
    tkx_error *err = NULL;
    const char *empty = "";

    r.num_samples = 0;
    ck_assert_int_eq(tkx_local_sample(local, &r, NULL, &response, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    r = request_of(4);
    chunk.kind = TKX_CHUNK_IMAGE;
    ck_assert_int_eq(tkx_local_sample(local, &r, NULL, &response, NULL),
                     TKX_ERR_UNSUPPORTED);
    r = request_of(100000);
    ck_assert_int_eq(tkx_local_sample(local, &r, NULL, &response, NULL), TKX_ERR_LIMIT);
    r = request_of(4);
    r.params.stop_kind = TKX_STOP_STRINGS;
    r.params.stop_strings = &empty;
    r.params.n_stop = 1;
    ck_assert_int_eq(tkx_local_sample(local, &r, NULL, &response, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    tight.max_memory_bytes = 1 << 20;
    ck_assert_int_eq(tkx_local_open(LLAMA, &tight, &none, &err), TKX_ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "does not fit"));
    tkx_error_free(err);
    tight.struct_size = 0;
    ck_assert_int_eq(tkx_local_open(LLAMA, &tight, &none, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx_local_open("/nowhere", NULL, &none, NULL), TKX_ERR_NOT_FOUND);
}
END_TEST

START_TEST(applies_adapters_and_labels)
{
    tkx_sample_request r = request_of(8);
    tkx_local_sample_options o = TKX_LOCAL_SAMPLE_OPTIONS_INIT;
    tkx_local_adapter *adapter;
    tkx_sample_response *base;
    tkx_sample_response *adapted;
    tkx_sample_label label;

    r.prompt_logprobs = true;
    base = sample(&r, NULL);
    ck_assert_int_eq(
        tkx_local_adapter_load(local, LLAMA "/adapters/r4.tar.gz", &adapter, NULL),
        TKX_OK);
    label = tkx_local_label(local, adapter, TKX_LOGPROB_MODE_RAW);
    ck_assert_str_eq(label.backend, "local");
    ck_assert_str_eq(label.weight_type, "F32");
    ck_assert_str_eq(label.logprob_mode, "raw");
    ck_assert_str_eq(label.adapter_base, "tiny/llama");
    ck_assert_ptr_null(label.warning);
    o.adapter = adapter;
    adapted = sample(&r, &o);
    ck_assert_float_ne(base->prompt_logprobs[4], adapted->prompt_logprobs[4]);
    tkx_local_adapter_unload(adapter);
    tkx_sample_response_free(adapted);
    tkx_sample_response_free(base);
}
END_TEST

/* Adapters count: what is left beside model and cache must hold them. */
START_TEST(an_adapter_that_does_not_fit)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;
    tkx__weights *weights;
    tkx_local *tight;
    tkx_local_adapter *adapter;
    tkx_error *err = NULL;
    local_fit fit;

    options.max_positions = 512;
    options.max_memory_bytes = UINT64_MAX;
    ck_assert_int_eq(tkx__weights_open(LLAMA, &weights, NULL), TKX_OK);
    ck_assert_int_eq(tkx__local_fit(weights, weights->size_bytes, &options, &fit, NULL),
                     TKX_OK);
    tkx__weights_free(weights);
    options.max_memory_bytes = fit.needed_bytes + 4000;
    ck_assert_int_eq(tkx_local_open(LLAMA, &options, &tight, NULL), TKX_OK);
    ck_assert_int_eq(tkx_local_adapter_load(tight, LLAMA "/adapters/r4", &adapter, &err),
                     TKX_ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "beside the"));
    tkx_error_free(err);
    tkx_local_free(tight);
    options.max_memory_bytes = fit.needed_bytes + (1 << 20);
    ck_assert_int_eq(tkx_local_open(LLAMA, &options, &tight, NULL), TKX_OK);
    ck_assert_int_eq(tkx_local_adapter_load(tight, LLAMA "/adapters/r4", &adapter, NULL),
                     TKX_OK);
    tkx_local_adapter_unload(adapter);
    tkx_local_free(tight);
}
END_TEST

static uint64_t n_quantised;

static void on_progress(tkx_local_stage stage, uint64_t done, uint64_t total,
                        void *user_data)
{
    tkx_local_stage *last = user_data;

    ck_assert_uint_le(done, total);
    if (stage == TKX_LOCAL_STAGE_QUANTISE) {
        ck_assert(*last == TKX_LOCAL_STAGE_HEADER || *last == TKX_LOCAL_STAGE_QUANTISE);
        ck_assert_uint_gt(done, n_quantised);
        n_quantised = done;
    }
    *last = stage;
}

/* The very samples of the file that was quantised before, and its type in the label. */
START_TEST(quantises_while_loading)
{
    tkx_sample_request r = request_of(20);
    tkx_local_options o = TKX_LOCAL_OPTIONS_INIT;
    tkx_local_stage last = TKX_LOCAL_STAGE_READY;
    tkx_sample_response *responses[2];
    tkx_local *models[2];

    r.prompt_logprobs = true;
    r.params.stop_kind = TKX_STOP_TOKENS;
    o.on_progress = on_progress;
    o.user_data = &last;
    ck_assert_int_eq(tkx_local_open(TKX_TEST_DATA "/models/gguf/qwen2-Q4_0.gguf", &o,
                                    &models[0], NULL),
                     TKX_OK);
    ck_assert_uint_eq(n_quantised, 0);
    last = TKX_LOCAL_STAGE_READY;
    o.weight_type = "q4_0";
    ck_assert_int_eq(tkx_local_open(TKX_TEST_DATA "/models/qwen2", &o, &models[1], NULL),
                     TKX_OK);
    ck_assert_uint_gt(n_quantised, 0);
    ck_assert_int_eq(last, TKX_LOCAL_STAGE_READY);
    for (int i = 0; i < 2; i++) {
        tkx_sample_label label = tkx_local_label(models[i], NULL, TKX_LOGPROB_MODE_RAW);

        ck_assert_str_eq(label.weight_type, "Q4_0");
        ck_assert_int_eq(tkx_local_sample(models[i], &r, NULL, &responses[i], NULL),
                         TKX_OK);
    }
    ck_assert_mem_eq(responses[0]->sequences[0].tokens, responses[1]->sequences[0].tokens,
                     80);
    ck_assert_mem_eq(responses[0]->sequences[0].logprobs,
                     responses[1]->sequences[0].logprobs, 80);
    ck_assert_mem_eq(responses[0]->prompt_logprobs + 1, responses[1]->prompt_logprobs + 1,
                     16);
    for (int i = 0; i < 2; i++) {
        tkx_sample_response_free(responses[i]);
        tkx_local_free(models[i]);
    }
    o.weight_type = "q5_k";
    ck_assert_int_eq(tkx_local_open(LLAMA, &o, &models[0], NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(completes_futures)
{
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;
    tkx_context *context;
    tkx_sample_request r = request_of(8);
    tkx_sample_response *response;
    tkx_future *futures[8];
    tkx_future *dropped;

    options.api_key = "tml-test";
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(
            tkx_local_sample_start(local, context, &r, NULL, &futures[i], NULL), TKX_OK);
    r.params.max_tokens = 400;
    r.params.stop_kind = TKX_STOP_TOKENS;
    ck_assert_int_eq(tkx_local_sample_start(local, context, &r, NULL, &dropped, NULL),
                     TKX_OK);
    (void)tkx_future_cancel(dropped);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(tkx_future_wait(futures[i], -1, NULL), TKX_OK);
        ck_assert_int_eq(tkx_future_take_local_sample(futures[i], &response, NULL),
                         TKX_OK);
        ck_assert_uint_ge(response->sequences[0].n_tokens, 1);
        tkx_sample_response_free(response);
        tkx_future_unref(futures[i]);
    }
    ck_assert_int_eq(tkx_future_wait(dropped, -1, NULL), TKX_OK);
    tkx_future_unref(dropped);
    r = request_of(-1);
    ck_assert_int_eq(tkx_local_sample_start(local, context, &r, NULL, &dropped, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    r = request_of(100000);
    ck_assert_int_eq(tkx_local_sample_start(local, context, &r, NULL, &dropped, NULL),
                     TKX_ERR_LIMIT);
    tkx_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local");
    TCase *tc = tcase_create("local");

    tcase_add_checked_fixture(tc, open_model, close_model);
    tcase_add_test(tc, seeds_count_up);
    tcase_add_test(tc, scores_prompts);
    tcase_add_test(tc, stops_at_strings);
    tcase_add_test(tc, refuses_what_it_cannot);
    tcase_add_test(tc, applies_adapters_and_labels);
    tcase_add_test(tc, an_adapter_that_does_not_fit);
    tcase_add_test(tc, quantises_while_loading);
    tcase_add_test(tc, completes_futures);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
