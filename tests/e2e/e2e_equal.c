/* SPDX-License-Identifier: Apache-2.0 */
/*
 * e2e_equal.c - an adapter trained by the mock server, downloaded and applied here: both
 * sides give the same logprobs to the same 50 sequences, for every weight type.
 *
 * In f32 mode both decode the same blocks and differ by rounding alone.  The fast mode
 * has the coarse bounds of its paths (tests/data/models/README.md).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/checkpoint_download.h>
#include <tkx/sampler.h>
#include <tkx/training.h>

#include "support/gguf_retype.h"
#include "support/mock_process.h"
#include "support/suite.h"

#define MODELS TKX_TEST_DATA "/models/"
#define CHANCE MODELS "gguf/kq-Q4_K_M.gguf"

enum { N_SEQUENCES = 50, N_STEPS = 3, LENGTH = 24, VOCABULARY = 250 };

typedef struct model {
    const char *path;   /* under MODELS; NULL: made of chance bits */
    tkx__dtype made_of; /* then */
    float fast_rms;     /* bound of the fast path */
} model;

/* Bounds: 0.01 for float weights (K and V in float16), 0.25 for quantised ones (8-bit
   activations); experts may be chosen otherwise on a near tie. */
static const model models[] = {
    {"llama", 0, 0.01f},
    {"qwen2", 0, 0.01f},
    {"qwen2-f16", 0, 0.01f},
    {"qwen3-sharded", 0, 0.01f},
    {"gguf/qwen2-F32.gguf", 0, 0.01f},
    {"gguf/qwen2-BF16.gguf", 0, 0.01f},
    {"gguf/llama-F16.gguf", 0, 0.01f},
    {"gguf/llama-Q8_0.gguf", 0, 0.25f},
    {"gguf/llama-Q4_0.gguf", 0, 0.25f},
    {"gguf/qwen3-Q4_0.gguf", 0, 0.25f},
    {"gguf/qwen3moe-Q8_0.gguf", 0, 1.0f},
    {"gguf/kq-Q2_K.gguf", 0, 0.25f},
    {"gguf/kq-Q3_K_M.gguf", 0, 0.25f},
    {"gguf/kq-Q4_K_M.gguf", 0, 0.25f},
    {NULL, TKX__DTYPE_Q4_1, 0.25f},
    {NULL, TKX__DTYPE_Q5_0, 0.25f},
    {NULL, TKX__DTYPE_Q5_1, 0.25f},
    {NULL, TKX__DTYPE_Q5_K, 0.25f},
};

static mock_process server;
static tkx_context *context;
static tkx_service *service;
static char dir[] = "/tmp/tkx-equal-XXXXXX";
static char path[1024];
static int32_t sequences[N_SEQUENCES][64];
static tkx_chunk chunks[N_SEQUENCES];

static void begin(const model *m)
{
    char base[1200];
    const char *const flags[] = {"--base-model", base, "--threads", "1", NULL};
    tkx_context_options options = TKX_CONTEXT_OPTIONS_INIT;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    if (m->path) {
        snprintf(path, sizeof path, MODELS "%s", m->path);
    } else {
        snprintf(path, sizeof path, "%s/model.gguf", dir);
        gguf_retype(CHANCE, path, m->made_of);
    }
    snprintf(base, sizeof base, "base=%s", path);
    memset(&server, 0, sizeof server);
    mock_process_start(&server, flags);
    options.base_url = server.url;
    options.api_key = "tml-test";
    ck_assert_int_eq(tkx_context_new(&options, &context, NULL), TKX_OK);
    ck_assert_int_eq(tkx_service_new(context, NULL, &service, NULL), TKX_OK);
    for (int i = 0; i < N_SEQUENCES; i++) {
        for (int t = 0; t < 64; t++)
            sequences[i][t] = (i * 31 + t * t * 7 + t * i) % VOCABULARY;
        chunks[i] = tkx_chunk_text(sequences[i], (size_t)(4 + i % 60));
    }
}

static void finish(void)
{
    char command[128];

    tkx_service_free(service);
    ck_assert_int_eq(tkx_context_close(context, 0, 5000, NULL), TKX_OK);
    tkx_context_free(context);
    mock_process_remove(&server);
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    ck_assert_int_eq(system(command), 0);
}

static tkx_future *await(tkx_future *future)
{
    ck_assert_int_eq(tkx_future_wait(future, -1, NULL), TKX_OK);
    ck_assert_msg(!tkx_future_error(future), "%s",
                  tkx_error_message(tkx_future_error(future)));
    return future;
}

static tkx_training *create(void)
{
    tkx_lora_options options = TKX_LORA_OPTIONS_INIT;
    tkx_training *training;
    tkx_future *future;

    options.base_model = "base";
    options.lora.rank = 8;
    ck_assert_int_eq(tkx_service_create_lora(service, &options, &future, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_take_training(await(future), &training, NULL), TKX_OK);
    tkx_future_unref(future);
    return training;
}

static void step(tkx_training *t, int i)
{
    static int64_t targets[LENGTH];
    static float weights[LENGTH];
    tkx_adam_params adam = TKX_ADAM_PARAMS_INIT;
    const tkx_optim_options with_adam = {.struct_size = sizeof with_adam, .adam = &adam};
    const tkx_chunk chunk = tkx_chunk_text(sequences[i], LENGTH);
    const tkx_named_tensor inputs[] = {{"target_tokens", tkx_tensor_i64(targets, LENGTH)},
                                       {"weights", tkx_tensor_f32(weights, LENGTH)}};
    const tkx_datum datum = {
        .model_input = {&chunk, 1}, .loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};
    tkx_future *future;

    for (int k = 0; k < LENGTH; k++) {
        targets[k] = sequences[i][k + 1];
        weights[k] = 1;
    }
    adam.learning_rate = 0.02;
    ck_assert_int_eq(tkx_training_forward_backward(t, &datum, 1, TKX_LOSS_CROSS_ENTROPY,
                                                   NULL, &future, NULL),
                     TKX_OK);
    tkx_future_unref(await(future));
    ck_assert_int_eq(tkx_training_optim_step(t, &with_adam, &future, NULL), TKX_OK);
    tkx_future_unref(await(future));
}

/* tinker://... of a trained adapter, and its folder here. */
static void train(char *saved_path, char *folder, size_t size)
{
    tkx_checkpoint_download_options options = TKX_CHECKPOINT_DOWNLOAD_OPTIONS_INIT;
    tkx_training *t = create();
    tkx_save_weights_result *saved;
    tkx_checkpoint_download_result *got;
    tkx_rest *rest;
    tkx_future *future;

    for (int i = 0; i < N_STEPS; i++)
        step(t, i);
    ck_assert_int_eq(
        tkx_training_save_weights_for_sampler(t, "done", NULL, &future, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_take_save_weights(await(future), &saved, NULL), TKX_OK);
    tkx_future_unref(future);
    snprintf(saved_path, size, "%s", saved->path);
    tkx_save_weights_result_free(saved);
    tkx_training_free(t);

    ck_assert_int_eq(tkx_rest_new(context, NULL, &rest, NULL), TKX_OK);
    options.tinker_path = saved_path;
    options.directory = dir;
    ck_assert_int_eq(tkx_checkpoint_download(rest, &options, &future, NULL), TKX_OK);
    ck_assert_int_eq(tkx_future_take_checkpoint_download(await(future), &got, NULL),
                     TKX_OK);
    tkx_future_unref(future);
    snprintf(folder, size, "%s", got->path);
    tkx_checkpoint_download_result_free(got);
    tkx_rest_free(rest);
}

static void score(tkx_sampler *sampler, tkx_sampler_result **results)
{
    tkx_future *futures[N_SEQUENCES];

    for (int i = 0; i < N_SEQUENCES; i++) {
        const tkx_model_input input = {&chunks[i], 1};

        ck_assert_int_eq(
            tkx_sampler_compute_logprobs(sampler, &input, 0, &futures[i], NULL), TKX_OK);
    }
    for (int i = 0; i < N_SEQUENCES; i++) {
        ck_assert_int_eq(
            tkx_future_take_sampler_result(await(futures[i]), &results[i], NULL), TKX_OK);
        ck_assert_uint_eq(results[i]->logprobs->n_values, chunks[i].n_tokens);
        tkx_future_unref(futures[i]);
    }
    tkx_sampler_free(sampler);
}

static void score_there(const char *saved_path, tkx_sampler_result **results)
{
    tkx_sampler_options o = TKX_SAMPLER_OPTIONS_INIT;
    tkx_sampler *sampler;

    o.service = service;
    o.model_path = saved_path;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_OK);
    score(sampler, results);
}

static void score_here(const char *folder, tkx_local_compute compute,
                       tkx_sampler_result **results)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;
    tkx_sampler_options o = TKX_SAMPLER_OPTIONS_INIT;
    tkx_local_adapter *adapter = NULL;
    tkx_sampler *sampler;
    tkx_error *err = NULL;

    options.compute = compute;
    options.n_threads = 1;
    o.mode = TKX_SAMPLER_LOCAL;
    ck_assert_int_eq(tkx_local_open(path, &options, &o.local, NULL), TKX_OK);
    if (folder)
        ck_assert_msg(tkx_local_adapter_load(o.local, folder, &adapter, &err) == TKX_OK,
                      "%s", tkx_error_message(err));
    o.adapter = adapter;
    o.context = context;
    ck_assert_int_eq(tkx_sampler_new(&o, &sampler, NULL), TKX_OK);
    score(sampler, results);
    for (int i = 0; i < N_SEQUENCES; i++)
        results[i]->label = (tkx_sample_label){0}; /* of the model, which goes now */
    tkx_local_adapter_unload(adapter);
    tkx_local_free(o.local);
}

static void distance(tkx_sampler_result *const *a, tkx_sampler_result *const *b,
                     double *max, double *rms)
{
    size_t n = 0;

    *max = *rms = 0;
    for (int i = 0; i < N_SEQUENCES; i++) {
        ck_assert(isnan(a[i]->logprobs->values[0]) && isnan(b[i]->logprobs->values[0]));
        for (size_t t = 1; t < chunks[i].n_tokens; t++, n++) {
            double d =
                (double)a[i]->logprobs->values[t] - (double)b[i]->logprobs->values[t];

            ck_assert(isfinite(d));
            *max = fmax(*max, fabs(d));
            *rms += d * d;
        }
    }
    *rms = sqrt(*rms / (double)n);
}

static void clear(tkx_sampler_result **results)
{
    for (int i = 0; i < N_SEQUENCES; i++)
        tkx_sampler_result_free(results[i]);
}

START_TEST(both_sides_agree)
{
    const model *m = &models[_i];
    tkx_sampler_result *there[N_SEQUENCES];
    tkx_sampler_result *here[N_SEQUENCES];
    char saved[512];
    char folder[512];
    double max;
    double rms;

    begin(m);
    train(saved, folder, sizeof saved);
    score_there(saved, there);
    score_here(folder, TKX_LOCAL_COMPUTE_F32, here);
    distance(there, here, &max, &rms);
    ck_assert_msg(max <= 1e-3, "%s: f32 differs by %g at most", path, max);
    clear(here);
    score_here(folder, TKX_LOCAL_COMPUTE_FAST, here);
    distance(there, here, &max, &rms);
    ck_assert_msg(rms <= (double)m->fast_rms, "%s: fast differs by %g (rms), %g at most",
                  path, rms, max);
    clear(here);
    score_here(NULL, TKX_LOCAL_COMPUTE_F32, here); /* the adapter matters */
    distance(there, here, &max, &rms);
    ck_assert_msg(max > 0.1, "%s: the adapter changes nothing (%g)", path, max);
    clear(here);
    clear(there);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("equal");
    TCase *tc = tcase_create("equal");

    tcase_add_loop_test(tc, both_sides_agree, 0, (int)(sizeof models / sizeof models[0]));
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
