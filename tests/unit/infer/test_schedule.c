/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schedule: recorded draws, and the same tokens whatever else runs, whatever is
 * cached, however many threads there are.
 */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "infer/schedule.h"
#include "model/safetensors.h"
#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"

static tkx__weights *weights;
static tkx__safetensors *ref;

static void open_model(void)
{
    ck_assert_int_eq(tkx__weights_open(LLAMA, &weights, NULL), TKX_OK);
    ck_assert_int_eq(tkx__safetensors_open(LLAMA "/ref/base.safetensors", &ref, NULL),
                     TKX_OK);
}

static void close_model(void)
{
    tkx__safetensors_free(ref);
    tkx__weights_free(weights);
}

static const void *recorded(const char *name, size_t *n)
{
    const tkx__tensor *t = tkx__tensors_find(tkx__safetensors_tensors(ref), name);

    ck_assert_ptr_nonnull(t);
    if (n)
        *n = t->n_elements;
    return t->data;
}

static tkx__schedule *new_schedule(const tkx__schedule_options *options)
{
    tkx__schedule *s = NULL;
    tkx__schedule_options o = *options;
    tkx_error *err = NULL;

    if (!o.kv_blocks)
        o.kv_blocks = 64;
    ck_assert_msg(tkx__schedule_new(weights, &o, &s, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    return s;
}

/* The outcome of one job, waited for. */
typedef struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    tkx__job_result *result;
    tkx_status status;
    size_t n_tokens; /* seen by on_token */
    size_t stop_after;
} outcome;

static void outcome_init(outcome *o)
{
    memset(o, 0, sizeof *o);
    pthread_mutex_init(&o->lock, NULL);
    pthread_cond_init(&o->done, NULL);
}

static void on_done(void *ctx, tkx__job_result *result, tkx_error *error)
{
    outcome *o = ctx;

    pthread_mutex_lock(&o->lock);
    o->result = result;
    o->status = error ? tkx_error_status(error) : TKX_OK;
    o->is_done = true;
    pthread_cond_signal(&o->done);
    pthread_mutex_unlock(&o->lock);
    tkx_error_free(error);
}

static bool on_token(void *ctx, size_t sample, int64_t id, float logprob)
{
    outcome *o = ctx;

    (void)sample;
    (void)id;
    (void)logprob;
    return ++o->n_tokens == o->stop_after;
}

static void wait_for(outcome *o)
{
    pthread_mutex_lock(&o->lock);
    while (!o->is_done)
        pthread_cond_wait(&o->done, &o->lock);
    pthread_mutex_unlock(&o->lock);
}

static void outcome_clear(outcome *o)
{
    tkx__job_result_free(o->result);
    pthread_cond_destroy(&o->done);
    pthread_mutex_destroy(&o->lock);
}

static tkx__job_spec spec_of(const char *prompt, outcome *o)
{
    tkx__job_spec spec = {.n_samples = 1,
                          .max_tokens = 32,
                          .params = {.temperature = 1, .top_k = -1, .top_p = 1},
                          .on_done = on_done,
                          .ctx = o};

    spec.prompt = recorded(prompt, &spec.n_prompt);
    return spec;
}

static void run(tkx__schedule *s, const tkx__job_spec *spec, outcome *o)
{
    tkx_error *err = NULL;

    ck_assert_msg(tkx__schedule_submit(s, spec, NULL, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    wait_for(o);
}

START_TEST(draws_what_was_recorded)
{
    static const tkx__schedule_options options = {.compute = TKX__COMPUTE_F32};
    tkx__schedule *s = new_schedule(&options);
    const float *params = recorded("sample.params", NULL);
    char name[64];

    for (size_t j = 0; j < 4; j++) {
        outcome o;
        tkx__job_spec spec;
        const int32_t *want;

        outcome_init(&o);
        spec = spec_of("p7.tokens", &o);
        spec.params = (tkx__sample_params){.temperature = params[3 * j],
                                           .top_k = (int64_t)params[3 * j + 1],
                                           .top_p = params[3 * j + 2]};
        snprintf(name, sizeof name, "sample.%zu.seed", j);
        memcpy(&spec.seed, recorded(name, NULL), 8);
        run(s, &spec, &o);
        snprintf(name, sizeof name, "sample.%zu.tokens", j);
        want = recorded(name, NULL);
        ck_assert_int_eq(o.status, TKX_OK);
        ck_assert_uint_eq(o.result->sequences[0].n, 32);
        ck_assert_mem_eq(o.result->sequences[0].tokens, want, 32 * sizeof *want);
        ck_assert(!o.result->sequences[0].is_stop);
        outcome_clear(&o);
    }
    tkx__schedule_free(s);
}
END_TEST

START_TEST(scores_the_prompt)
{
    static const tkx__schedule_options options = {.compute = TKX__COMPUTE_F32,
                                                  .step_tokens = 8};
    tkx__schedule *s = new_schedule(&options);
    const float *logprobs = recorded("p33.logprobs", NULL);
    const int32_t *ids = recorded("p33.topk_ids", NULL);
    outcome o;
    tkx__job_spec spec;

    outcome_init(&o);
    spec = spec_of("p33.tokens", &o);
    spec.max_tokens = 0;
    spec.wants_prompt_logprobs = true;
    spec.topk_prompt = 5;
    run(s, &spec, &o);
    ck_assert_int_eq(o.status, TKX_OK);
    ck_assert_uint_eq(o.result->n_sequences, 0);
    ck_assert(isnan(o.result->prompt_logprobs[0]));
    ck_assert_int_eq(o.result->topk_ids[0], 0);
    ck_assert_float_eq(o.result->topk_logprobs[0], -99999.0f);
    for (size_t i = 1; i < 33; i++) {
        ck_assert_float_le(fabsf(o.result->prompt_logprobs[i] - logprobs[i]), 2e-4f);
        for (size_t k = 0; k < 5; k++)
            ck_assert_int_eq(o.result->topk_ids[i * 5 + k], ids[i * 5 + k]);
    }
    outcome_clear(&o);
    tkx__schedule_free(s);
}
END_TEST

#define N_JOBS 64

static void fill_specs(tkx__job_spec *specs, outcome *outcomes)
{
    static const char *const prompts[] = {"p1.tokens", "p7.tokens", "p33.tokens",
                                          "p70.tokens"};

    for (size_t i = 0; i < N_JOBS; i++) {
        outcome_init(&outcomes[i]);
        specs[i] = spec_of(prompts[i % 4], &outcomes[i]);
        specs[i].seed = i;
        specs[i].max_tokens = 1 + i % 24;
        specs[i].n_samples = 1 + i % 3;
        specs[i].params.top_k = i % 2 ? 20 : -1;
    }
}

static void same_results(const tkx__job_result *a, const tkx__job_result *b)
{
    ck_assert_uint_eq(a->n_sequences, b->n_sequences);
    for (size_t i = 0; i < a->n_sequences; i++) {
        ck_assert_uint_eq(a->sequences[i].n, b->sequences[i].n);
        ck_assert_mem_eq(a->sequences[i].tokens, b->sequences[i].tokens,
                         a->sequences[i].n * sizeof(int32_t));
        ck_assert_mem_eq(a->sequences[i].logprobs, b->sequences[i].logprobs,
                         a->sequences[i].n * sizeof(float));
    }
}

/* 64 at once in 3 threads, little room and small steps; then one by one in 1 thread. */
START_TEST(parallel_equals_serial)
{
    tkx__compute compute = _i ? TKX__COMPUTE_FAST : TKX__COMPUTE_F32;
    tkx__schedule_options together = {.compute = compute,
                                      .n_threads = 3,
                                      .kv_blocks = 13,
                                      .step_tokens = 48,
                                      .max_sequences = 7};
    tkx__schedule_options alone = {.compute = compute, .n_threads = 1, .kv_blocks = 64};
    static tkx__job_spec specs[2][N_JOBS];
    static outcome outcomes[2][N_JOBS];
    tkx__schedule *s = new_schedule(&together);

    fill_specs(specs[0], outcomes[0]);
    fill_specs(specs[1], outcomes[1]);
    for (size_t i = 0; i < N_JOBS; i++)
        ck_assert_int_eq(tkx__schedule_submit(s, &specs[0][i], NULL, NULL), TKX_OK);
    for (size_t i = 0; i < N_JOBS; i++)
        wait_for(&outcomes[0][i]);
    tkx__schedule_free(s);
    s = new_schedule(&alone);
    for (size_t i = 0; i < N_JOBS; i++) {
        run(s, &specs[1][i], &outcomes[1][i]);
        ck_assert_int_eq(outcomes[0][i].status, TKX_OK);
        same_results(outcomes[0][i].result, outcomes[1][i].result);
        outcome_clear(&outcomes[0][i]);
        outcome_clear(&outcomes[1][i]);
    }
    tkx__schedule_free(s);
}
END_TEST

/* The second turn finds the first one's blocks, and gets what it would get without. */
START_TEST(turns_share_their_prefix)
{
    static const tkx__schedule_options options = {.compute = TKX__COMPUTE_F32};
    tkx__schedule *s = new_schedule(&options);
    tkx__schedule *fresh = new_schedule(&options);
    outcome first;
    outcome second[2];
    tkx__job_spec spec;
    int32_t prompt[150];

    outcome_init(&first);
    spec = spec_of("p70.tokens", &first);
    run(s, &spec, &first);
    memcpy(prompt, spec.prompt, 70 * sizeof *prompt);
    memcpy(prompt + 70, first.result->sequences[0].tokens, 32 * sizeof *prompt);
    prompt[102] = 9;
    for (int i = 0; i < 2; i++) {
        outcome_init(&second[i]);
        spec.ctx = &second[i];
        spec.prompt = prompt;
        spec.n_prompt = 103;
        run(i ? fresh : s, &spec, &second[i]);
    }
    ck_assert_uint_eq(second[0].result->n_cached, 96);
    ck_assert_uint_eq(second[1].result->n_cached, 0);
    same_results(second[0].result, second[1].result);
    outcome_clear(&first);
    outcome_clear(&second[0]);
    outcome_clear(&second[1]);
    tkx__schedule_free(fresh);
    tkx__schedule_free(s);
}
END_TEST

/* Damaged weights are an error of each request, whatever it asks for. */
START_TEST(logits_that_are_no_numbers_fail)
{
    static const tkx__schedule_options options = {.n_threads = 2};
    float *norm = calloc(weights->config.hidden_size, sizeof *norm);
    const float *kept = weights->norm;
    tkx__schedule *s;
    tkx__job_spec spec;

    for (size_t i = 0; i < weights->config.hidden_size; i++)
        norm[i] = NAN;
    weights->norm = norm;
    s = new_schedule(&options);
    for (int i = 0; i < 4; i++) {
        outcome o;

        outcome_init(&o);
        spec = spec_of("p33.tokens", &o);
        spec.n_samples = 3;
        spec.params.top_p = i == 1 ? 0.5f : 1;
        spec.max_tokens = i < 2 ? 4 : 0;
        spec.wants_prompt_logprobs = i == 2;
        spec.topk_prompt = i == 3;
        run(s, &spec, &o);
        ck_assert_int_eq(o.status, TKX_ERR_PARSE);
        ck_assert_ptr_null(o.result);
        outcome_clear(&o);
    }
    tkx__schedule_free(s);
    weights->norm = kept;
    free(norm);
}
END_TEST

START_TEST(stops_at_ids_and_where_told)
{
    static const tkx__schedule_options options = {.compute = TKX__COMPUTE_F32};
    tkx__schedule *s = new_schedule(&options);
    const int32_t *greedy = recorded("p7.greedy_tokens", NULL);
    outcome o;
    tkx__job_spec spec;

    outcome_init(&o);
    spec = spec_of("p7.tokens", &o);
    spec.params.temperature = 0;
    spec.stop_ids = &greedy[3];
    spec.n_stop_ids = 1;
    run(s, &spec, &o);
    ck_assert(o.result->sequences[0].is_stop);
    ck_assert_uint_le(o.result->sequences[0].n, 4);
    ck_assert_int_eq(o.result->sequences[0].tokens[o.result->sequences[0].n - 1],
                     greedy[3]);
    outcome_clear(&o);

    outcome_init(&o);
    spec.n_stop_ids = 0;
    spec.on_token = on_token;
    o.stop_after = 5;
    run(s, &spec, &o);
    ck_assert(o.result->sequences[0].is_stop);
    ck_assert_uint_eq(o.result->sequences[0].n, 5);
    outcome_clear(&o);

    outcome_init(&o); /* the last token allowed is itself the stop */
    spec.max_tokens = 5;
    o.stop_after = 5;
    run(s, &spec, &o);
    ck_assert(o.result->sequences[0].is_stop);
    outcome_clear(&o);
    tkx__schedule_free(s);
}
END_TEST

/* Without a limit a sample goes on to the context's end, or to that of a small cache. */
START_TEST(goes_on_to_the_end)
{
    tkx__schedule_options options = {.compute = TKX__COMPUTE_F32,
                                     .kv_blocks = _i ? 4 : 64};
    size_t end = _i ? 96 : weights->config.max_positions;
    tkx__schedule *s = new_schedule(&options);
    outcome o;
    tkx__job_spec spec;

    ck_assert_uint_eq(tkx__schedule_max_positions(s), end);
    outcome_init(&o);
    spec = spec_of("p7.tokens", &o);
    spec.max_tokens = SIZE_MAX;
    run(s, &spec, &o);
    ck_assert_int_eq(o.status, TKX_OK);
    ck_assert_uint_eq(o.result->sequences[0].n, end - 7);
    ck_assert(!o.result->sequences[0].is_stop);
    outcome_clear(&o);
    tkx__schedule_free(s);
}
END_TEST

START_TEST(refuses_what_cannot_be)
{
    static const tkx__schedule_options options = {
        .compute = TKX__COMPUTE_F32, .kv_blocks = 4, .max_jobs = 2};
    tkx__schedule *s = new_schedule(&options);
    static const int32_t full[128] = {1};
    int32_t bad = 336;
    outcome o[2];
    tkx__job_spec spec;

    outcome_init(&o[0]);
    outcome_init(&o[1]);
    spec = spec_of("p7.tokens", &o[0]);
    spec.max_tokens = 128;
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL), TKX_ERR_LIMIT);
    spec.max_tokens = 4;
    spec.params.top_p = 0;
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    spec.params.top_p = 1;
    spec.max_tokens = SIZE_MAX; /* all that is left, but nothing is */
    spec.prompt = full;
    spec.n_prompt = sizeof full / sizeof full[0];
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL), TKX_ERR_LIMIT);
    spec.prompt = &bad;
    spec.n_prompt = 1;
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    spec.n_prompt = 0;
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    spec = spec_of("p7.tokens", &o[0]);
    tkx__schedule_pause(s, true);
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL), TKX_OK);
    spec.ctx = &o[1];
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL), TKX_OK);
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL), TKX_ERR_BUSY);
    tkx__schedule_free(s); /* with both open */
    ck_assert_int_eq(o[0].status, TKX_ERR_CLOSED);
    ck_assert_int_eq(o[1].status, TKX_ERR_CLOSED);
    outcome_clear(&o[0]);
    outcome_clear(&o[1]);
}
END_TEST

START_TEST(cancels)
{
    static const tkx__schedule_options options = {.compute = TKX__COMPUTE_F32};
    tkx__schedule *s = new_schedule(&options);
    outcome o[2];
    tkx__job_spec spec;
    uint64_t id;

    outcome_init(&o[0]);
    outcome_init(&o[1]);
    tkx__schedule_pause(s, true);
    spec = spec_of("p7.tokens", &o[0]);
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, &id, NULL), TKX_OK);
    spec.ctx = &o[1];
    ck_assert_int_eq(tkx__schedule_submit(s, &spec, NULL, NULL), TKX_OK);
    tkx__schedule_cancel(s, id);
    tkx__schedule_pause(s, false);
    wait_for(&o[0]);
    wait_for(&o[1]);
    ck_assert_int_eq(o[0].status, TKX_ERR_CANCELLED);
    ck_assert_int_eq(o[1].status, TKX_OK);
    tkx__schedule_cancel(s, id); /* too late */
    outcome_clear(&o[0]);
    outcome_clear(&o[1]);
    tkx__schedule_free(s);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tc = tcase_create("schedule");

    tcase_add_checked_fixture(tc, open_model, close_model);
    tcase_add_test(tc, draws_what_was_recorded);
    tcase_add_test(tc, scores_the_prompt);
    tcase_add_loop_test(tc, parallel_equals_serial, 0, 2);
    tcase_add_test(tc, turns_share_their_prefix);
    tcase_add_test(tc, logits_that_are_no_numbers_fail);
    tcase_add_test(tc, stops_at_ids_and_where_told);
    tcase_add_loop_test(tc, goes_on_to_the_end, 0, 2);
    tcase_add_test(tc, refuses_what_cannot_be);
    tcase_add_test(tc, cancels);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
