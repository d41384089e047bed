/* SPDX-License-Identifier: Apache-2.0 */
/* test_rows.c - norms, gates, sums of exponentials: right, and the same bits in all sets.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

#include "infer/kernels/exact.h"
#include "model/dtype.h"
#include "support/suite.h"
#include "weights.h"

START_TEST(blocks_are_those_of_the_files)
{
    for (unsigned type = 0; type < TKX__W_END; type++) {
        tkx__dtype dtype;

        if (!tkx__wtype_is_known(type))
            continue;
        ck_assert(tkx__dtype_from_gguf(type, &dtype));
        ck_assert_uint_eq(tkx__wtype_block_cols((tkx__wtype)type),
                          tkx__dtype_get(dtype)->block_elements);
        ck_assert_uint_eq(tkx__wtype_block_size((tkx__wtype)type),
                          tkx__dtype_get(dtype)->block_bytes);
    }
}
END_TEST

START_TEST(exp_is_within_two_units)
{
    double worst = 0;

    for (int i = -870000; i <= 880000; i++) {
        float x = (float)i * 1e-4f;
        double want = exp((double)x);
        double unit = ldexp(1, ilogb(want) - 23);
        double off = fabs((double)tkx__exact_exp(x) - want) / unit;

        worst = off > worst ? off : worst;
    }
    ck_assert_double_lt(worst, 2);
    ck_assert(tkx__exact_exp(0) == 1);
    ck_assert(tkx__exact_exp(-INFINITY) == 0);
    ck_assert(tkx__exact_exp(-100) == 0);
}
END_TEST

START_TEST(sets_agree)
{
    const tkx__kernels *sets[8];
    size_t n_sets = usable_kernels(sets);
    uint32_t seed = 17;

    for (size_t n = 1; n <= 257; n++) {
        float *x = chance_floats(&seed, n);
        float *w = chance_floats(&seed, n);
        float *want = calloc(n, sizeof *want);
        float *got = calloc(n, sizeof *got);
        double lse = tkx__logsumexp(sets[0], x, n);
        size_t best = tkx__argmax(sets[0], x, n);

        for (size_t s = 1; s < n_sets; s++) {
            tkx__rmsnorm(sets[0], want, x, w, n, 1e-6f);
            tkx__rmsnorm(sets[s], got, x, w, n, 1e-6f);
            ck_assert_mem_eq(want, got, n * sizeof *got);
            tkx__swiglu(sets[0], want, x, w, n);
            tkx__swiglu(sets[s], got, x, w, n);
            ck_assert_mem_eq(want, got, n * sizeof *got);
            tkx__axpy(sets[0], want, 0.3f, x, n);
            tkx__axpy(sets[s], got, 0.3f, x, n);
            ck_assert_mem_eq(want, got, n * sizeof *got);
            tkx__softmax(sets[0], want, n);
            tkx__softmax(sets[s], got, n);
            ck_assert_mem_eq(want, got, n * sizeof *got);
            ck_assert(tkx__logsumexp(sets[s], x, n) == lse);
            ck_assert_uint_eq(tkx__argmax(sets[s], x, n), best);
        }
        free(got);
        free(want);
        free(w);
        free(x);
    }
}
END_TEST

START_TEST(norm_and_gate_are_right)
{
    const tkx__kernels *k = NULL;
    uint32_t seed = 2;
    float *x = chance_floats(&seed, 100);
    float *w = chance_floats(&seed, 100);
    float y[100];
    double mean = 0;

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    for (int i = 0; i < 100; i++)
        mean += (double)x[i] * (double)x[i] / 100;
    tkx__rmsnorm(k, y, x, w, 100, 1e-5f);
    for (int i = 0; i < 100; i++)
        ck_assert_double_eq_tol((double)y[i],
                                (double)x[i] / sqrt(mean + 1e-5) * (double)w[i], 1e-6);
    tkx__swiglu(k, y, x, w, 100);
    for (int i = 0; i < 100; i++)
        ck_assert_double_eq_tol(
            (double)y[i], (double)x[i] / (1 + exp(-(double)x[i])) * (double)w[i], 1e-6);
    free(w);
    free(x);
}
END_TEST

/* Two ways of pairing rotate the same values. */
START_TEST(rope_turns_pairs)
{
    const tkx__kernels *k = NULL;
    static const float inv_freq[] = {1, 0.1f};
    float c[2];
    float s[2];
    float half[] = {1, 2, 3, 4};
    float pairs[] = {1, 3, 2, 4};

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    tkx__rope_row(inv_freq, 2, 7, c, s);
    tkx__rope_apply(k, half, 1, 4, 2, c, s, false);
    tkx__rope_apply(k, pairs, 1, 4, 2, c, s, true);
    ck_assert_double_eq_tol((double)half[0], cos(7) - 3 * sin(7), 1e-6);
    ck_assert_double_eq_tol((double)half[2], 3 * cos(7) + sin(7), 1e-6);
    ck_assert(half[0] == pairs[0] && half[2] == pairs[1]);
    ck_assert(half[1] == pairs[2] && half[3] == pairs[3]);
}
END_TEST

START_TEST(argmax_takes_the_lowest_of_a_tie)
{
    const tkx__kernels *k = NULL;
    float x[40] = {0};

    ck_assert_int_eq(tkx__kernels_select(NULL, &k, NULL), TKX_OK);
    x[11] = x[30] = 2;
    x[5] = NAN;
    ck_assert_uint_eq(tkx__argmax(k, x, 40), 11);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rows");
    Suite *s = suite_create("rows");

    tcase_add_test(tc, blocks_are_those_of_the_files);
    tcase_add_test(tc, exp_is_within_two_units);
    tcase_add_test(tc, sets_agree);
    tcase_add_test(tc, norm_and_gate_are_right);
    tcase_add_test(tc, rope_turns_pairs);
    tcase_add_test(tc, argmax_takes_the_lowest_of_a_tie);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
