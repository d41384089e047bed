/* SPDX-License-Identifier: Apache-2.0 */
/* test_custom_terms.c - ready-made losses: values by hand, gradients by differences. */
#include <math.h>
#include <string.h>

#include <tkx/custom_terms.h>

#include "support/suite.h"

enum { N = 3 };

static const float weights[N] = {1, 0, 0.5f};
static const float reference[N] = {-1, -2, -0.5f};
static const tkx_named_tensor inputs[] = {
    {"weights", {.dtype = TKX_DTYPE_FLOAT32, .n_values = N, .values.f32 = weights}},
    {"logprobs", {.dtype = TKX_DTYPE_FLOAT32, .n_values = N, .values.f32 = reference}},
};
static float logprobs[2][N] = {{-1.5f, -3, -0.25f}, {-0.75f, -1, -2}};
static float gradients[2][N];
static tkx_datum datum[2];
static tkx_custom_item items[2];

static void set_up(void)
{
    memset(gradients, 0, sizeof gradients);
    for (int i = 0; i < 2; i++) {
        datum[i] = (tkx_datum){.loss_fn_inputs = inputs, .n_loss_fn_inputs = 2};
        items[i] = (tkx_custom_item){.datum = &datum[i],
                                     .logprobs = logprobs[i],
                                     .gradient = gradients[i],
                                     .n = N,
                                     .n_columns = 1};
    }
}

/* Loop: each kind, then all of them summed. */
START_TEST(gradients_agree_with_differences)
{
    tkx_custom_term terms[TKX_N_TERMS];
    tkx_custom_terms all = {terms, _i < TKX_N_TERMS ? 1 : TKX_N_TERMS};
    double error;

    for (int k = 0; k < TKX_N_TERMS; k++)
        terms[k] =
            (tkx_custom_term){.kind = (tkx_custom_term_kind)(_i < TKX_N_TERMS ? _i : k),
                              .coefficient = 0.5 + k,
                              .beta = 0.7};
    ck_assert_int_eq(
        tkx_custom_loss_check(tkx_custom_terms_loss, items, 2, &all, 0, &error, NULL),
        TKX_OK);
    ck_assert_double_lt(error, 1e-4); /* float gradients, differences of second order */
    ck_assert(gradients[0][0] != 0);
    ck_assert(gradients[0][1] == 0); /* weight 0 */
}
END_TEST

static int wrong(tkx_custom_item *all, size_t n, tkx_custom_report *report, void *data)
{
    int result = tkx_custom_terms_loss(all, n, report, data);

    all[1].gradient[2] += 0.5f;
    return result;
}

START_TEST(a_wrong_gradient_is_seen)
{
    const tkx_custom_term term = {.kind = TKX_TERM_L2, .coefficient = 1};
    tkx_custom_terms all = {&term, 1};
    double error;

    ck_assert_int_eq(tkx_custom_loss_check(wrong, items, 2, &all, 0, &error, NULL),
                     TKX_OK);
    ck_assert_double_gt(error, 0.1);
}
END_TEST

/* Right until the nth call, which fails. */
static int failing(tkx_custom_item *all, size_t n, tkx_custom_report *report, void *data)
{
    const tkx_custom_term term = {.kind = TKX_TERM_L2, .coefficient = 1};
    tkx_custom_terms terms = {&term, 1};
    int *n_left = data;

    if (--*n_left == 0)
        return 1;
    return tkx_custom_terms_loss(all, n, report, &terms);
}

/* Loop: the call that fails; the second and third are differences, half of one each. */
START_TEST(a_loss_that_fails_measures_nothing)
{
    const float *given = items[0].logprobs;
    int n_left = _i;
    double error;

    ck_assert_int_eq(tkx_custom_loss_check(failing, items, 2, &n_left, 0, &error, NULL),
                     TKX_ERR_INVALID_ARGUMENT);
    ck_assert_int_eq(n_left, 0);
    ck_assert(error == 0);
    ck_assert_ptr_eq(items[0].logprobs, given);
}
END_TEST

START_TEST(what_a_term_needs_is_asked_for)
{
    const tkx_custom_term term = {.kind = TKX_TERM_DPO, .coefficient = 1};
    tkx_custom_terms all = {&term, 1};
    tkx_error *err = NULL;
    double error;

    ck_assert_int_eq(
        tkx_custom_loss_check(tkx_custom_terms_loss, items, 1, &all, 0, &error, &err),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "pairs"));
    tkx_error_free(err);
    err = NULL;
    datum[1].n_loss_fn_inputs = 1;
    ck_assert_int_eq(
        tkx_custom_loss_check(tkx_custom_terms_loss, items, 2, &all, 0, &error, &err),
        TKX_ERR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(tkx_error_message(err), "datum 1"));
    tkx_error_free(err);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("custom_terms");
    TCase *tc = tcase_create("custom_terms");

    tcase_add_checked_fixture(tc, set_up, NULL);
    tcase_add_loop_test(tc, gradients_agree_with_differences, 0, TKX_N_TERMS + 1);
    tcase_add_test(tc, a_wrong_gradient_is_seen);
    tcase_add_loop_test(tc, a_loss_that_fails_measures_nothing, 1, 4);
    tcase_add_test(tc, what_a_term_needs_is_asked_for);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
