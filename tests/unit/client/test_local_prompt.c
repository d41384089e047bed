/* SPDX-License-Identifier: Apache-2.0 */
/* What the local engine tells about a prompt: the last scores, targets, draws. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <tkx/local.h>

#include "support/suite.h"

#define LLAMA TKX_TEST_DATA "/models/llama"

enum { N = 70, LAST = 9, K = 3 };

static tkx_local *local;
static int32_t prompt[N];
static tkx_chunk chunk;

static void open_model(void)
{
    tkx_local_options options = TKX_LOCAL_OPTIONS_INIT;

    options.compute = TKX_LOCAL_COMPUTE_F32;
    options.n_threads = 2;
    ck_assert_int_eq(tkx_local_open(LLAMA, &options, &local, NULL), TKX_OK);
    for (int i = 0; i < N; i++)
        prompt[i] = (i * 37 + 11) % 250;
}

static void close_model(void)
{
    tkx_local_free(local);
}

static tkx_sample_request scoring(void)
{
    tkx_sample_request r = TKX_SAMPLE_REQUEST_INIT;

    chunk = tkx_chunk_text(prompt, N);
    r.prompt = (tkx_model_input){&chunk, 1};
    r.params.has_max_tokens = true;
    r.params.seed = tkx_seed_i64(5);
    r.prompt_logprobs = true;
    return r;
}

static tkx_sample_response *ask(const tkx_sample_request *r)
{
    tkx_sample_response *response = NULL;
    tkx_error *err = NULL;

    ck_assert_msg(tkx_local_sample(local, r, NULL, &response, &err) == TKX_OK, "%s",
                  tkx_error_message(err));
    return response;
}

static void refused(const tkx_sample_request *r)
{
    tkx_sample_response *response = NULL;

    ck_assert_int_eq(tkx_local_sample(local, r, NULL, &response, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}

/* The same bits as when all are scored, and the cached prefix is of use. */
START_TEST(the_last_tokens_alone)
{
    tkx_sample_request r = scoring();
    tkx_sample_response *all;
    tkx_sample_response *last;

    r.topk_prompt_logprobs = K;
    all = ask(&r);
    r.prompt_logprobs_last_n = LAST;
    last = ask(&r);
    ck_assert_int_gt(last->prompt_cache_hit_tokens, 0);
    ck_assert_int_eq(all->prompt_cache_hit_tokens, 0);
    ck_assert_uint_eq(last->n_prompt_logprobs, N);
    for (int i = 0; i < N; i++) {
        const tkx_topk_row *row = &last->topk_prompt_logprobs->rows[i];

        if (i < N - LAST) {
            ck_assert(isnan(last->prompt_logprobs[i]));
            ck_assert_ptr_null(row->tokens);
            continue;
        }
        ck_assert_mem_eq(&last->prompt_logprobs[i], &all->prompt_logprobs[i], 4);
        ck_assert_mem_eq(row->tokens, all->topk_prompt_logprobs->rows[i].tokens, K * 4);
    }
    tkx_sample_response_free(all);
    tkx_sample_response_free(last);
    r.prompt_logprobs_last_n = 0;
    refused(&r);
    r = scoring();
    r.prompt_logprobs = false;
    r.prompt_logprobs_last_n = 1;
    refused(&r);
}
END_TEST

/* Targets that are the prompt itself give the prompt's logprobs. */
START_TEST(targets_dense)
{
    int64_t ids[(N - 1) * 2] = {0};
    const int64_t shape[] = {N - 1, 2};
    tkx_tensor targets = tkx_tensor_i64(ids, (N - 1) * 2);
    tkx_sample_request r = scoring();
    tkx_sample_response *a;

    targets.has_shape = true;
    targets.n_dims = 2;
    targets.shape = shape;
    for (int i = 0; i < N - 1; i++) {
        ids[2 * i] = prompt[i + 1];
        ids[2 * i + 1] = -1;
    }
    ids[2 * 5 + 1] = 17;
    r.target_prompt_logprobs = &targets;
    a = ask(&r);
    ck_assert_int_eq(a->target_prompt_logprobs->dtype, TKX_DTYPE_FLOAT32);
    ck_assert_uint_eq(a->target_prompt_logprobs->n_values, (N - 1) * 2);
    ck_assert_int_eq(a->target_prompt_logprobs->shape[0], N - 1);
    ck_assert_int_eq(a->target_prompt_logprobs->shape[1], 2);
    for (int i = 0; i < N - 1; i++) {
        const float *row = a->target_prompt_logprobs->values.f32 + 2 * i;

        ck_assert_mem_eq(&row[0], &a->prompt_logprobs[i + 1], 4);
        if (i == 5)
            ck_assert_float_lt(row[1], 0.0f);
        else
            ck_assert_float_eq(row[1], 0.0f);
    }
    tkx_sample_response_free(a);

    ids[0] = 100000;
    refused(&r);
    ids[0] = -2;
    refused(&r);
    ids[0] = 3;
    targets.has_shape = false;
    refused(&r);
    for (int i = 0; i < (N - 1) * 2; i++)
        ids[i] = -1;
    targets.has_shape = true;
    refused(&r);
}
END_TEST

START_TEST(targets_sparse)
{
    const int64_t ids[] = {4, prompt[60], 9};
    int64_t crow[N] = {0};
    int64_t col[] = {1, 0, 2};
    const int64_t shape[] = {N - 1, 3};
    tkx_tensor targets = tkx_tensor_i64(ids, 3);
    tkx_sample_request r = scoring();
    tkx_sample_response *a;

    for (int i = 0; i < N; i++) /* one in row 40, two in row 59 */
        crow[i] = i <= 40 ? 0 : i <= 59 ? 1 : 3;
    targets.is_sparse = targets.has_shape = true;
    targets.n_dims = 2;
    targets.shape = shape;
    targets.crow = crow;
    targets.n_crow = N;
    targets.col = col;
    targets.n_col = 3;
    r.target_prompt_logprobs = &targets;
    a = ask(&r);
    ck_assert(a->target_prompt_logprobs->is_sparse);
    ck_assert_uint_eq(a->target_prompt_logprobs->n_values, 3);
    ck_assert_int_eq(a->target_prompt_logprobs->crow[41], 1);
    ck_assert_int_eq(a->target_prompt_logprobs->col[2], 2);
    ck_assert_mem_eq(&a->target_prompt_logprobs->values.f32[1], &a->prompt_logprobs[60],
                     4);
    ck_assert_float_lt(a->target_prompt_logprobs->values.f32[0], 0.0f);
    tkx_sample_response_free(a);
    col[1] = 3;
    refused(&r);
    col[1] = 0;
    crow[20] = 2;
    refused(&r);
    crow[20] = 0;
    crow[N - 1] = 4;
    refused(&r);
}
END_TEST

/* As likely as they should be, the same each time, and no change to the samples. */
START_TEST(draws_for_each_token)
{
    enum { DRAWS = 400 };
    tkx_sample_request r = scoring();
    tkx_sample_response *plain;
    tkx_sample_response *a;
    tkx_sample_response *again;
    const int32_t *best;
    int n_best = 0;
    double p;

    r.params.max_tokens = 4;
    r.topk_prompt_logprobs = 1;
    plain = ask(&r);
    r.prompt_alt_tokens_k = DRAWS;
    a = ask(&r);
    again = ask(&r);
    ck_assert_mem_eq(a->sequences[0].tokens, plain->sequences[0].tokens, 16);
    ck_assert_uint_eq(a->alt_tokens->n_values, (N - 1) * DRAWS);
    ck_assert_mem_eq(a->alt_tokens->values.i64, again->alt_tokens->values.i64,
                     (N - 1) * DRAWS * sizeof(int64_t));
    best = a->topk_prompt_logprobs->rows[30].tokens; /* of token 30: row 29 */
    p = exp((double)a->topk_prompt_logprobs->rows[30].logprobs[0]);
    for (int i = 0; i < DRAWS; i++) {
        if (a->alt_tokens->values.i64[29 * DRAWS + i] != *best)
            continue;
        n_best++;
        ck_assert_mem_eq(&a->alt_logprobs->values.f32[29 * DRAWS + i],
                         &a->topk_prompt_logprobs->rows[30].logprobs[0], 4);
    }
    ck_assert_double_lt(fabs(n_best - p * DRAWS), 5 * sqrt(DRAWS * p * (1 - p)));
    tkx_sample_response_free(again);
    tkx_sample_response_free(a);
    r.params.temperature = 0;
    a = ask(&r);
    for (int i = 0; i < DRAWS; i++)
        ck_assert_int_eq(a->alt_tokens->values.i64[29 * DRAWS + i],
                         a->topk_prompt_logprobs->rows[30].tokens[0]);
    tkx_sample_response_free(a);
    tkx_sample_response_free(plain);
    r.prompt_alt_tokens_k = -1;
    refused(&r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("local prompt");
    TCase *tc = tcase_create("local prompt");

    tcase_add_checked_fixture(tc, open_model, close_model);
    tcase_add_test(tc, the_last_tokens_alone);
    tcase_add_test(tc, targets_dense);
    tcase_add_test(tc, targets_sparse);
    tcase_add_test(tc, draws_for_each_token);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
