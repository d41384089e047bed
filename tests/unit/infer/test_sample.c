/* SPDX-License-Identifier: Apache-2.0 */
/* test_sample.c - filters, draws, logprob modes, the local extras. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include <tkx/memory.h>

#include "infer/sample.h"
#include "support/suite.h"
#include "weights.h"

#define N 5000 /* more than are sorted at once, and some blocks */

static tkx__token_sampler *sampler;
static float *logits;

static void setup(void)
{
    const tkx__kernels *k = NULL;
    uint32_t seed = 8;

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    ck_assert_int_eq(tkx__token_sampler_new(k, N, &sampler, NULL), TKX_OK);
    logits = chance_floats(&seed, N);
    for (int i = 0; i < N; i++)
        logits[i] *= 6;
}

static void teardown(void)
{
    tkx__token_sampler_free(sampler);
    free(logits);
}

static const float *sort_logits;

static int by_logit(const void *a, const void *b)
{
    size_t x = *(const size_t *)a;
    size_t y = *(const size_t *)b;

    if (sort_logits[x] != sort_logits[y])
        return sort_logits[x] > sort_logits[y] ? -1 : 1;
    return x < y ? -1 : 1;
}

/* The filters by a full sort, in double: p[id], 0 when cut. */
static void reference(const tkx__sample_params *s, double p[N])
{
    size_t order[N];
    size_t n = N;
    double sum = 0;
    double before = 0;

    for (size_t i = 0; i < N; i++)
        order[i] = i;
    sort_logits = logits;
    qsort(order, N, sizeof *order, by_logit);
    if (s->top_k > 0 && s->top_k < N)
        n = (size_t)s->top_k;
    memset(p, 0, N * sizeof *p);
    for (size_t i = 0; i < n; i++) {
        p[order[i]] =
            exp((double)(logits[order[i]] - logits[order[0]]) / (double)s->temperature);
        sum += p[order[i]];
    }
    for (size_t i = 0; i < n; i++) {
        double share = p[order[i]] / sum;

        if (i > 0 && s->top_p < 1 && before >= (double)s->top_p)
            p[order[i]] = 0;
        before += share;
    }
    sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += p[i];
    for (size_t i = 0; i < N; i++)
        p[i] /= sum;
}

START_TEST(filters_equal_a_full_sort)
{
    static const tkx__sample_params params[] = {
        {1, -1, 1, 0, NULL},       {0.7f, 0, 1, 0, NULL},     {1, 1, 1, 0, NULL},
        {1.3f, 40, 1, 0, NULL},    {1, -1, 0.9f, 0, NULL},    {0.5f, -1, 0.01f, 0, NULL},
        {2, 100, 0.5f, 0, NULL},   {1, 5000, 0.95f, 0, NULL}, {9, -1, 0.999f, 0, NULL},
        {0.01f, -1, 0.9f, 0, NULL}};
    double want[N];

    for (size_t j = 0; j < sizeof params / sizeof params[0]; j++) {
        const int64_t *ids;
        const double *probs;
        size_t n;
        size_t at = 0;

        reference(&params[j], want);
        n = tkx__sample_filter(sampler, logits, &params[j], NULL, 0, &ids, &probs);
        for (size_t i = 0; i < N; i++) {
            bool is_kept = at < n && ids[at] == (int64_t)i;

            /* beyond exp's reach both mean "never" */
            ck_assert_msg(is_kept || want[i] < 1e-30, "case %zu, id %zu: %g", j, i,
                          want[i]);
            if (is_kept)
                ck_assert_double_eq_tol(probs[at++], want[i], 1e-6);
        }
        ck_assert_uint_eq(at, n);
    }
}
END_TEST

START_TEST(greedy_takes_the_lowest_of_a_tie)
{
    tkx__sample_params p = {0, -1, 1, 0, NULL};
    tkx__rng rng = {1};
    float logprob;

    logits[700] = logits[300] = 50;
    ck_assert_int_eq(tkx__sample_token(sampler, logits, &p, NULL, 0, &rng, &logprob),
                     300);
    ck_assert_float_eq_tol(logprob, -0.693147f, 1e-5f);
    ck_assert_uint_eq(rng.state, 1); /* nothing was drawn */
}
END_TEST

START_TEST(ties_at_the_cut_keep_low_ids)
{
    tkx__sample_params p = {1, 2, 1, 0, NULL};
    const int64_t *ids;
    const double *probs;

    logits[900] = logits[20] = logits[500] = 30;
    ck_assert_uint_eq(tkx__sample_filter(sampler, logits, &p, NULL, 0, &ids, &probs), 2);
    ck_assert_int_eq(ids[0], 20);
    ck_assert_int_eq(ids[1], 500);
}
END_TEST

/* The generator's published values for state 1234567, and u on 53 bits. */
START_TEST(generator_is_splitmix64)
{
    tkx__rng rng = {1234567};
    tkx__rng one;

    ck_assert(tkx__rng_next(&rng) == UINT64_C(6457827717110365317));
    ck_assert(tkx__rng_next(&rng) == UINT64_C(3203168211198807973));
    tkx__rng_init(&one, UINT64_MAX, 3);
    ck_assert_uint_eq(one.state, 2);
    for (int i = 0; i < 1000; i++) {
        double u = tkx__rng_uniform(&rng);

        ck_assert(u >= 0 && u < 1);
    }
}
END_TEST

START_TEST(draws_follow_the_probabilities)
{
    tkx__sample_params p = {1, 4, 1, 0, NULL};
    tkx__rng rng = {5};
    const int64_t *ids;
    const double *probs;
    double want[4];
    int64_t kept[4];
    int seen[4] = {0};
    float logprob;

    ck_assert_uint_eq(tkx__sample_filter(sampler, logits, &p, NULL, 0, &ids, &probs), 4);
    memcpy(want, probs, sizeof want);
    memcpy(kept, ids, sizeof kept);
    for (int i = 0; i < 20000; i++) {
        int64_t id = tkx__sample_token(sampler, logits, &p, NULL, 0, &rng, &logprob);

        for (int j = 0; j < 4; j++)
            seen[j] += kept[j] == id;
    }
    for (int j = 0; j < 4; j++)
        ck_assert_double_eq_tol(seen[j] / 20000.0, want[j], 0.02);
}
END_TEST

/* Of the whole vocabulary: by sums of blocks what going through all ids gives. */
START_TEST(draws_by_cumulative_probability)
{
    tkx__sample_params p = {3, -1, 1, 0, NULL};
    tkx__rng rng = {11};
    static double probs[N];
    const int64_t *ids;
    const double *all;
    float logprob;

    ck_assert_uint_eq(tkx__sample_filter(sampler, logits, &p, NULL, 0, &ids, &all), N);
    memcpy(probs, all, sizeof probs);
    for (int i = 0; i < 2000; i++) {
        tkx__rng copy = rng;
        double u = tkx__rng_uniform(&copy);
        int64_t id = tkx__sample_token(sampler, logits, &p, NULL, 0, &rng, &logprob);
        double before = 0;

        for (int64_t j = 0; j < id; j++)
            before += probs[j];
        ck_assert_double_le(before, u + 1e-12);
        ck_assert_double_gt(before + probs[id], u - 1e-12);
    }
}
END_TEST

START_TEST(logprob_modes)
{
    tkx__sample_params p = {0.5f, 3, 1, TKX__LOGPROB_RAW, NULL};
    float got[3];
    int64_t id[3];
    double raw = 0;
    double tempered = 0;
    double want[N];

    for (int m = 0; m < 3; m++) {
        tkx__rng rng = {77};

        p.mode = (tkx__logprob_mode)m;
        id[m] = tkx__sample_token(sampler, logits, &p, NULL, 0, &rng, &got[m]);
    }
    ck_assert_int_eq(id[0], id[1]);
    ck_assert_int_eq(id[0], id[2]);
    for (int i = 0; i < N; i++) {
        raw += exp((double)logits[i]);
        tempered += exp((double)logits[i] * 2);
    }
    reference(&p, want);
    ck_assert_double_eq_tol((double)got[0], (double)logits[id[0]] - log(raw), 1e-5);
    ck_assert_double_eq_tol((double)got[1], (double)logits[id[0]] * 2 - log(tempered),
                            1e-5);
    ck_assert_double_eq_tol((double)got[2], log(want[id[0]]), 1e-5);
}
END_TEST

START_TEST(top_is_sorted)
{
    int64_t ids[10];
    float lp[10];

    logits[3] = logits[8] = 40;
    ck_assert_uint_eq(tkx__sample_top(sampler, logits, 10, ids, lp), 10);
    ck_assert_int_eq(ids[0], 3);
    ck_assert_int_eq(ids[1], 8);
    for (int i = 1; i < 10; i++)
        ck_assert(lp[i] <= lp[i - 1]);
    ck_assert_float_eq_tol(lp[2], tkx__sample_logprob(sampler, logits, ids[2]), 1e-6f);
}
END_TEST

START_TEST(extras_change_the_logits)
{
    static const int64_t history[] = {9, 9, 10, -5, N};
    static const int64_t bias_id[] = {11};
    static const float bias[] = {100};
    tkx__sample_extras e = {.frequency_penalty = 30};
    tkx__sample_params p = {0, -1, 1, 0, &e};
    tkx__rng rng = {0};
    float lp;

    logits[9] = 50;
    logits[10] = 45;
    logits[12] = 10;
    /* 50 - 60, 45 - 30, 10 */
    ck_assert_int_eq(tkx__sample_token(sampler, logits, &p, history, 5, &rng, &lp), 10);
    e = (tkx__sample_extras){.repetition_penalty = 10};
    ck_assert_int_eq(tkx__sample_token(sampler, logits, &p, history, 5, &rng, &lp), 12);
    e = (tkx__sample_extras){.bias_ids = bias_id, .bias_values = bias, .n_bias = 1};
    ck_assert_int_eq(tkx__sample_token(sampler, logits, &p, NULL, 0, &rng, &lp), 11);
    e = (tkx__sample_extras){.min_p = 0.5f};
    p.temperature = 1;
    ck_assert_int_eq(tkx__sample_token(sampler, logits, &p, NULL, 0, &rng, &lp), 9);
}
END_TEST

START_TEST(bad_parameters_are_refused)
{
    static const int64_t id[] = {N};
    static const float value[] = {1};
    tkx__sample_extras bad_bias = {.bias_ids = id, .bias_values = value, .n_bias = 1};
    const tkx__sample_params bad[] = {
        {-1, -1, 1, 0, NULL},       {NAN, -1, 1, 0, NULL},
        {INFINITY, -1, 1, 0, NULL}, {1, -1, 0, 0, NULL},
        {1, -1, NAN, 0, NULL},      {1, -1, 1, 0, &bad_bias},
        {1, -1, -2, 0, NULL},       {1, -1, 1, 0, &(tkx__sample_extras){.min_p = 2}},
    };
    const tkx__sample_params good = {1, -1, 1, 0, NULL};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_int_eq(tkx__sample_params_check(&bad[i], N, NULL),
                         TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(tkx__sample_params_check(&good, N, NULL), TKX_OK);
    bad_bias = (tkx__sample_extras){
        .bias_ids = (int64_t[]){1}, .bias_values = (float[]){INFINITY}, .n_bias = 1};
    ck_assert_int_eq(tkx__sample_params_check(&bad[5], N, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
}
END_TEST

/* The last temperature before greedy draws what greedy does. */
START_TEST(smallest_temperatures_are_greedy)
{
    tkx__sample_params p = {1e-40f, -1, 1, TKX__LOGPROB_TEMPERED, NULL};
    tkx__rng rng = {0};
    float lp;

    logits[77] = 100;
    ck_assert_int_eq(tkx__sample_token(sampler, logits, &p, NULL, 0, &rng, &lp), 77);
    ck_assert_float_eq(lp, 0);
}
END_TEST

/* Whatever the cuts, the logprob says so. */
START_TEST(logits_that_are_no_numbers)
{
    static const tkx__sample_extras half = {.min_p = 0.5f};
    const tkx__sample_params params[] = {{0, -1, 1, 0, NULL},
                                         {1, -1, 1, 0, NULL},
                                         {1, 5, 1, 0, NULL},
                                         {1, -1, 0.5f, 0, NULL},
                                         {1, 5, 0.5f, TKX__LOGPROB_FILTERED, NULL},
                                         {1, -1, 1, TKX__LOGPROB_TEMPERED, &half}};
    tkx__rng rng = {0};

    for (size_t i = 0; i < N; i++)
        logits[i] = NAN;
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        float lp = 0;
        int64_t id = tkx__sample_token(sampler, logits, &params[i], NULL, 0, &rng, &lp);

        ck_assert(id >= 0 && id < N);
        ck_assert_msg(isnan(lp), "case %zu: %g", i, (double)lp);
    }
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("sample");
    Suite *s = suite_create("sample");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, filters_equal_a_full_sort);
    tcase_add_test(tc, greedy_takes_the_lowest_of_a_tie);
    tcase_add_test(tc, ties_at_the_cut_keep_low_ids);
    tcase_add_test(tc, generator_is_splitmix64);
    tcase_add_test(tc, draws_follow_the_probabilities);
    tcase_add_test(tc, draws_by_cumulative_probability);
    tcase_add_test(tc, logprob_modes);
    tcase_add_test(tc, top_is_sorted);
    tcase_add_test(tc, extras_change_the_logits);
    tcase_add_test(tc, bad_parameters_are_refused);
    tcase_add_test(tc, smallest_temperatures_are_greedy);
    tcase_add_test(tc, logits_that_are_no_numbers);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
