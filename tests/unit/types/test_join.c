/* SPDX-License-Identifier: Apache-2.0 */
/* test_join.c - one output of several chunks: order and reductions (behaviour check
   16). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "support/suite.h"
#include "types/forward_backward_output.h"

/* n outputs with logprobs first, first + 1, ..., and the metrics given. */
static tkx_forward_backward_output *part(int n, int first, const char *metrics)
{
    char text[2000];
    int at = snprintf(text, sizeof text,
                      "{\"loss_fn_output_type\":\"A\",\"loss_fn_outputs\":[");
    tkx_forward_backward_output *out = NULL;

    for (int i = 0; i < n; i++)
        at += snprintf(text + at, sizeof text - (size_t)at,
                       "%s{\"logprobs\":{\"data\":[%d],\"dtype\":\"float32\"}}",
                       i ? "," : "", first + i);
    snprintf(text + at, sizeof text - (size_t)at, "],\"metrics\":{%s}}", metrics);
    ck_assert_int_eq(
        tkx__forward_backward_output_decode_json(text, strlen(text), &out, NULL), TKX_OK);
    return out;
}

static double value(const tkx_forward_backward_output *o, const char *name)
{
    const tkx_metric *m = tkx_metric_find(o->metrics, o->n_metrics, name);

    ck_assert_msg(m != NULL, "%s is missing", name);
    return m->value;
}

START_TEST(order_is_kept_and_metrics_are_reduced)
{
    tkx_forward_backward_output *parts[] = {
        part(3, 10,
             "\"loss:mean\":1.0,\"loss:slack\":1.0,\"tok:sum\":5,\"c:unique\":4,"
             "\"m:max\":7,\"low:min\":2,\"h:hash2\":3,\"plain\":1,\"odd:thing\":1"),
        part(1, 20,
             "\"loss:mean\":2.0,\"loss:slack\":2.0,\"tok:sum\":7,\"c:unique\":9,"
             "\"low:min\":1,\"h:hash2\":-1,\"plain\":2,\"odd:thing\":2,\"late:sum\":1"),
    };
    tkx_forward_backward_output *o = NULL;

    ck_assert_int_eq(tkx__forward_backward_output_join(parts, 2, &o, NULL), TKX_OK);
    ck_assert_uint_eq(o->n_outputs, 4);
    for (size_t i = 0; i < 4; i++) {
        const tkx_tensor *l = tkx_forward_backward_output_field(o, i, "logprobs");
        ck_assert_double_eq(l->values.f32[0], i < 3 ? 10.0 + (double)i : 20.0);
    }
    ck_assert_double_eq(value(o, "loss:mean"), 1.25);
    ck_assert_double_eq(value(o, "loss:slack"), 0.75);
    ck_assert_double_eq(value(o, "tok:sum"), 12);
    ck_assert_double_eq(value(o, "c:unique"), 4);
    ck_assert_double_eq(value(o, "c:unique_1"), 9);
    ck_assert_double_eq(value(o, "low:min"), 1);
    ck_assert_double_eq(value(o, "plain"), 1.25);
    ck_assert_double_eq(value(o, "odd:thing"), 1.25);
    const tkx_metric *h = tkx_metric_find(o->metrics, o->n_metrics, "h:hash2");
    ck_assert(h->has_exact && h->exact == 2); /* 3 + (2^64 - 1) */
    /* only what every chunk reports */
    ck_assert_ptr_null(tkx_metric_find(o->metrics, o->n_metrics, "m:max"));
    ck_assert_ptr_null(tkx_metric_find(o->metrics, o->n_metrics, "late:sum"));
    tkx_forward_backward_output_free(o);
}
END_TEST

START_TEST(one_nan_makes_an_extreme_one)
{
    tkx_forward_backward_output *parts[] = {
        part(1, 1, "\"a:min\":1,\"b:max\":\"NaN\",\"c:slack\":2"),
        part(1, 2, "\"a:min\":\"NaN\",\"b:max\":1,\"c:slack\":\"NaN\""),
        part(1, 3, "\"a:min\":0,\"b:max\":9,\"c:slack\":3"),
    };
    tkx_forward_backward_output *o = NULL;

    ck_assert_int_eq(tkx__forward_backward_output_join(parts, 3, &o, NULL), TKX_OK);
    ck_assert(isnan(value(o, "a:min")) && isnan(value(o, "b:max")) &&
              isnan(value(o, "c:slack")));
    tkx_forward_backward_output_free(o);
}
END_TEST

START_TEST(one_chunk_is_passed_on_as_it_is)
{
    tkx_forward_backward_output *parts[] = {part(1, 1, "\"no_colon\":1,\"m:max\":7")};
    tkx_forward_backward_output *o = NULL;

    ck_assert_int_eq(tkx__forward_backward_output_join(parts, 1, &o, NULL), TKX_OK);
    ck_assert_double_eq(value(o, "no_colon"), 1);
    ck_assert_double_eq(value(o, "m:max"), 7);
    tkx_forward_backward_output_free(o);
}
END_TEST

START_TEST(no_outputs_weigh_alike)
{
    tkx_forward_backward_output *parts[] = {part(0, 0, "\"loss:mean\":1"),
                                            part(0, 0, "\"loss:mean\":3")};
    tkx_forward_backward_output *o = NULL;

    ck_assert_int_eq(tkx__forward_backward_output_join(parts, 2, &o, NULL), TKX_OK);
    ck_assert_double_eq(value(o, "loss:mean"), 2);
    tkx_forward_backward_output_free(o);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("join");
    TCase *tc = tcase_create("join");

    tcase_add_test(tc, order_is_kept_and_metrics_are_reduced);
    tcase_add_test(tc, one_nan_makes_an_extreme_one);
    tcase_add_test(tc, one_chunk_is_passed_on_as_it_is);
    tcase_add_test(tc, no_outputs_weigh_alike);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
